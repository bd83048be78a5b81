"""The zygote of processes that call. Others have no SRTP."""

import socket
import sys

from sfu.egress.sip.process import main
from sfu.egress.zygote import open_tap, serve

if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited, lambda: main(open_tap))
