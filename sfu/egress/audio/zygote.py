"""The zygote of processes that decode audio. Recordings have another one, without a codec."""

import socket
import sys

from sfu.egress.audio.process import main
from sfu.egress.zygote import open_tap, serve

if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited, lambda: main(open_tap))
