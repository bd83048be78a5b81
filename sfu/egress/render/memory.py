"""How much memory a browser takes, from what the kernel tells every user of the machine.

A page is not asked: it has a dozen processes, and each of them may take what there is.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_COUNTED = ("RssAnon:", "RssShmem:")
"""Without the programs themselves, which all browsers share. Shared memory counts for each process
that has it mapped: a limit errs on the side of the machine."""
_KIB = 1024


def tree_bytes(root: int, proc: Path = _PROC) -> int:
    """Of a process and all that descend from it; 0 once it is gone."""
    return sum(_bytes_of(proc / str(pid)) for pid in _tree(root, proc))


def _tree(root: int, proc: Path) -> Iterator[int]:
    left = [root]
    while left:
        pid = left.pop()
        yield pid
        with suppress(OSError):  # it has ended meanwhile
            for thread in (proc / str(pid) / "task").iterdir():
                with suppress(OSError):
                    left += map(int, (thread / "children").read_text().split())


def _bytes_of(process: Path) -> int:
    with suppress(OSError):
        lines = (process / "status").read_text().splitlines()
        return sum(int(one.split()[1]) * _KIB for one in lines if one.startswith(_COUNTED))
    return 0
