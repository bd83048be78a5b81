"""The process of one stylesheet: a question on descriptor 3, an answer, and the end.

An application may write anything. The process opens no file and no socket, has a bound for its time
and its memory, and nothing comes back but boxes.
"""

import resource
import socket
import time

from sfu.egress.child.confinement import confine
from sfu.egress.child.control_socket import ControlSocket
from sfu.egress.child.main import CONTROL_DESCRIPTOR
from sfu.egress.style_lines import (
    BoxesLine,
    FaultLine,
    StyleLine,
    StyleReader,
    StyleUp,
    TooMuchLine,
)
from sfu.egress.styling.boxes import Engine, StyleError

CPU_S = 2
MEMORY_BYTES = 536_870_912
FIRST_LINE_S = 10.0


def main(engine: Engine) -> int:
    control = ControlSocket(socket.socket(fileno=CONTROL_DESCRIPTOR), StyleReader())
    wanted = _first_line(control)
    if wanted is None:
        return 2
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    confine(None, MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))  # no file, no socket, on any kernel
    control.send(_answer(engine, wanted))
    return 0


def _first_line(control: ControlSocket[StyleLine]) -> StyleLine | None:
    until_s = time.monotonic() + FIRST_LINE_S
    while not control.closed and (left_s := until_s - time.monotonic()) > 0:
        if lines := control.poll(left_s):
            return lines[0]
    return None


def _answer(engine: Engine, wanted: StyleLine) -> StyleUp:
    try:
        return BoxesLine(engine.boxes(wanted))
    except StyleError as error:
        return FaultLine(error.at, error.fault)
    except Exception:  # noqa: BLE001 - what an engine does with nonsense is the nonsense's fault
        return TooMuchLine()
