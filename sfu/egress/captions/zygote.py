"""The zygote of processes that caption. It loads the recognizers, whose models all of them share.
Others have none."""

import socket
import sys

from sfu.egress.captions.process import main
from sfu.egress.captions.sphinx import Sphinx
from sfu.egress.zygote import open_tap, serve

if __name__ == "__main__":
    engines = [Sphinx() for _ in range(int(sys.argv[1]))]
    with socket.socket(fileno=int(sys.argv[2])) as inherited:
        serve(inherited, lambda: main(open_tap, engines))
