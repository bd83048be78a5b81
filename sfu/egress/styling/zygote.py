"""The zygote of what reads stylesheets: it has loaded WeasyPrint and its fonts."""

import socket
import sys

from sfu.egress.styling.boxes import Engine
from sfu.egress.styling.process import main
from sfu.egress.zygote import serve

if __name__ == "__main__":
    engine = Engine()
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited, lambda: main(engine))
