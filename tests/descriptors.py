"""What this process has open, to tell what a piece of code leaves behind.

Tests share a process, and the collector closes at any moment what an earlier one forgot. So only
what is new is a leak: a count that stays proves nothing, nor does one that changes.
"""

import contextlib
from pathlib import Path


def open_descriptors(kind: str = "") -> set[tuple[str, str]]:
    """Number and target of each; `kind` is the start of a target, such as `socket:`."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add((descriptor.name, str(descriptor.readlink())))
    return {(name, target) for name, target in found if target.startswith(kind)}
