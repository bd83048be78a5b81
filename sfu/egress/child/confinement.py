"""What a process of a recording gives up before the first byte of media: what it does not need, it
cannot do once it is taken over."""

import hashlib
import os
import resource
from contextlib import suppress
from pathlib import Path

from sfu.egress import landlock

_PAGE_BYTES = resource.getpagesize()

hashlib.sha256().digest()  # OpenSSL reads its configuration with the first digest


def confine(folder: Path | None, memory_bytes: int, *, network: bool = False) -> int:
    """The version of Landlock that holds; 0 where the kernel has none. Not fatal: a job without it
    is what users of such a kernel have. Without a folder no file is left. `memory_bytes`: beyond
    what is mapped now. `network`: it resolves names and connects, in threads that it starts
    afterwards."""
    _limit_memory(memory_bytes)
    if os.geteuid() != 0 and not network:  # for root it does not count
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    try:
        landlock.give_up_new_privileges()
        return landlock.restrict_to(folder, network=network)
    except OSError:
        return 0


def _limit_memory(memory_bytes: int) -> None:
    with suppress(OSError, ValueError):
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE_BYTES
        _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = mapped + memory_bytes
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
