"""The zygote of composed jobs: it has loaded codecs and numpy, and is otherwise the one of
recordings."""

import socket
import sys

from sfu.egress.child.main import main
from sfu.egress.composer.kind import Composed
from sfu.egress.zygote import open_tap, serve

if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited, lambda: main(open_tap, Composed()))
