"""A network namespace of the bench's own: peers that shun loopback interfaces find another one.

Janus gathers no candidates on `lo`. In the namespace one end of a veth pair carries an address; all
traffic between local addresses still runs over `lo`, for every server alike.
"""

import os
import shutil
import subprocess
import sys

ADDRESS = "10.77.0.1"
_INTERFACE, _OTHER_END = "bench0", "bench1"
_INSIDE = "BENCH_NAMESPACE"
_COMMANDS = (
    ("link", "set", "lo", "up"),
    ("link", "add", _INTERFACE, "type", "veth", "peer", "name", _OTHER_END),
    ("addr", "add", f"{ADDRESS}/24", "dev", _INTERFACE),
    ("link", "set", _INTERFACE, "up"),
    ("link", "set", _OTHER_END, "up"),
)


def is_inside() -> bool:
    return os.environ.get(_INSIDE) == "1"


def enter(module: str) -> None:
    """Starts `python -m module` again inside a new namespace; returns when that is not possible
    here or has been done."""
    if is_inside():
        ip = shutil.which("ip") or "ip"
        for words in _COMMANDS:
            subprocess.run([ip, *words], check=True)
        return
    unshare = shutil.which("unshare")
    if os.geteuid() != 0 or unshare is None or shutil.which("ip") is None:
        return
    os.environ[_INSIDE] = "1"
    os.execv(unshare, [unshare, "--net", "--", sys.executable, "-m", module, *sys.argv[1:]])
