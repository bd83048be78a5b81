"""What a finished archive is: its size and its checksum, as this process finds them.

The process that wrote the file has ended. It decoded what participants sent, so somebody may have
taken it over, and its word for its own file would be worth nothing.
"""

import asyncio
import hashlib
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sfu.egress.control import LineError

_CHUNK_BYTES = 1_048_576
_LOWEST = 19
"""Media that is forwarded goes first: nobody waits for a checksum but who waits for the archive."""


@dataclass(frozen=True, slots=True)
class Measured:
    size_bytes: int
    sha256: bytes


async def measured(file: Path) -> Measured:
    """One file at a time, in a thread of the lowest priority; a gigabyte takes a second or two.
    Call it when its process has ended. Cancelled, it stops at the next megabyte.

    Errors: `LineError` where there is no such file: a link to another one is none."""
    stop = threading.Event()
    try:
        return await asyncio.get_running_loop().run_in_executor(_thread(), measure, file, stop)
    finally:
        stop.set()


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "checksums", _step_back)


def _step_back() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)


def measure(file: Path, stop: threading.Event) -> Measured:
    """Errors: `LineError`."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as cause:
        raise LineError("there is no file of its own") from cause
    try:
        _check(os.fstat(descriptor))
        digest, size = hashlib.sha256(), 0
        while chunk := _read(descriptor):
            if stop.is_set():
                raise LineError("nobody waits for it any more")
            digest.update(chunk)
            size += len(chunk)
    finally:
        os.close(descriptor)
    return Measured(size, digest.digest())


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK_BYTES)
    except OSError as cause:
        raise LineError("the file cannot be read") from cause


def _check(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise LineError("it is no file of its own")
    if not found.st_size:
        raise LineError("the file is empty")
