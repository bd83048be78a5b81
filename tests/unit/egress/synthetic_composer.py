"""The zygote of composed jobs, with a reader that gets ready-made items instead of packets."""

import runpy
import socket
import sys
from pathlib import Path

from sfu.egress.child.main import main
from sfu.egress.composer.kind import Composed
from sfu.egress.zygote import serve

if __name__ == "__main__":
    reader = runpy.run_path(str(Path(__file__).with_name("synthetic_zygote.py")))["ItemReader"]
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited, lambda: main(reader, Composed()))
