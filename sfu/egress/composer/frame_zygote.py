"""The zygote of composed jobs whose media comes as whole frames."""

import socket
import sys

from sfu.egress.child.frame_reader import open_frames
from sfu.egress.child.main import main
from sfu.egress.composer.kind import Composed
from sfu.egress.zygote import serve

if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited, lambda: main(open_frames, Composed()))
