"""The browsers that renders of a test run: those below a process of its own, and no others of this
machine, which belong to somebody else."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from sfu.egress.render.command import HOME

_OURS = f"--user-data-dir={HOME}/profile"


def browsers_below(ancestor: int) -> list[int]:
    """The main process of each browser that descends from this one."""
    return [
        pid
        for pid, words in _below(ancestor)
        if _OURS in words and not words[0].endswith("bwrap") and not _kind(words)
    ]


def runner_of(browser: int, ancestor: int) -> int:
    """The process of the render that a browser belongs to: a child of the zygote, which is one of
    this ancestor."""
    above = [browser]
    while above[-1] != ancestor:
        stat = Path(f"/proc/{above[-1]}/stat").read_text()
        above.append(int(stat.rpartition(")")[2].split()[1]))
    return above[-3]


def tabs_below(ancestor: int) -> list[int]:
    """Their processes that run pages."""
    return [pid for pid, words in _below(ancestor) if _OURS in words and _kind(words) == "renderer"]


def end(pid: int) -> None:
    """A process of `browsers_below` or `tabs_below`."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _kind(words: list[str]) -> str:
    return next((one.partition("=")[2] for one in words if one.startswith("--type=")), "")


def _below(ancestor: int) -> Iterator[tuple[int, list[str]]]:
    parents: dict[int, int] = {}
    for one in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name may hold anything; what follows the last bracket does not.
            parents[int(one.parent.name)] = int(one.read_text().rpartition(")")[2].split()[1])
    for pid in parents:
        above = pid
        while above and above != ancestor:
            above = parents.get(above, 0)
        if above == ancestor and pid != ancestor:
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
                yield pid, text.replace("\0", " ").split(" ")
