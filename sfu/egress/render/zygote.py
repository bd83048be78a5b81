"""The zygote of processes that run browsers. Nothing is decoded in them."""

import socket
import sys

from sfu.egress.render.process import main
from sfu.egress.zygote import serve

if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited, main)
