"""The archive as a zip: stored, not compressed (media does not shrink), the manifest first."""

import json
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 1_048_576
_SYNC_BYTES = 67_108_864
"""How much waits for the disk at a time: whoever waits for gigabytes is taken for dead."""
_YEAR_1980_S = 315_532_800

Moment = tuple[int, int, int, int, int, int]


def write_zip(
    target: Path,
    manifest: tuple[str, Mapping[str, Any]],
    files: Iterable[Path],
    created_unix_ms: int,
    on_progress: Callable[[], None] = lambda: None,
) -> None:
    """Writes `target` and brings it to the disk. `manifest`: its name and its members.

    Errors: `OSError`. The files are read chunk by chunk and stay where they are.
    """
    moment = _moment(created_unix_ms)
    name, members = manifest
    text = json.dumps(members, ensure_ascii=False, indent=1).encode()
    unsynced = 0
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w+b") as opened:
        with zipfile.ZipFile(opened, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            archive.writestr(_entry(name, moment, len(text)), text)
            for file in files:
                entry = _entry(file.name, moment, file.stat().st_size)
                with file.open("rb") as source, archive.open(entry, "w") as stored:
                    while chunk := source.read(_CHUNK_BYTES):
                        stored.write(chunk)
                        unsynced += len(chunk)
                        if unsynced >= _SYNC_BYTES:
                            os.fdatasync(descriptor)
                            unsynced = 0
                        on_progress()
        opened.flush()
        os.fsync(opened.fileno())


def _entry(name: str, moment: Moment, size: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, moment)
    entry.file_size = size  # decides before the first byte whether ZIP64 is needed
    entry.external_attr = 0o600 << 16
    return entry


def _moment(unix_ms: int) -> Moment:
    """UTC. The times of zip files begin in 1980."""
    time_of = time.gmtime(max(unix_ms // 1000, _YEAR_1980_S))
    return (
        time_of.tm_year,
        time_of.tm_mon,
        time_of.tm_mday,
        time_of.tm_hour,
        time_of.tm_min,
        min(time_of.tm_sec, 59),
    )
