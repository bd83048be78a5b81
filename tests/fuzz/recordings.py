"""What participants send into files, and what an earlier process left in a folder; any bytes."""

import contextlib
import tempfile
from functools import cache
from pathlib import Path

from sfu.egress.child.bitstream import annex_b, obus
from sfu.egress.child.codec_private import in_matroska, private_of
from sfu.egress.child.fragments import runs_of
from sfu.egress.child.frame_sizes import size_of
from sfu.egress.child.journal import JOURNAL, read_journal
from sfu.egress.child.matroska import scan_cluster, scan_header

CODECS = ("h264", "av1", "vp8", "vp9", "opus")
_HEAD_BYTES = 12


def recorded_frames(data: bytes) -> None:
    """The first byte chooses the codec of a frame: its size, and what a header says of it."""
    if not data:
        return
    codec, frame = CODECS[data[0] % len(CODECS)], data[1:]
    assert min(size_of(codec, frame)) >= 0
    assert sum(map(len, annex_b(frame))) <= len(frame)
    with contextlib.suppress(ValueError):
        assert sum(len(unit) for _, unit in obus(frame)) <= len(frame)
    with contextlib.suppress(ValueError):
        assert len(private_of(codec, frame)) <= len(frame) + 64
    in_matroska(codec, frame)


@cache
def _folder() -> tuple[tempfile.TemporaryDirectory, Path]:
    kept = tempfile.TemporaryDirectory()
    return kept, Path(kept.name)


def recorder_files(data: bytes) -> None:
    """A file, a part and a journal as the process before this one may have left them."""
    with contextlib.suppress(ValueError):
        scanned = scan_header(data)
        rest = data[scanned.end :]
        scan_cluster(scanned, rest[:_HEAD_BYTES], rest[_HEAD_BYTES:])
        assert scanned.end <= len(data)
    with contextlib.suppress(ValueError):
        runs_of(data)
    if b'"entry"' not in data:
        return
    _, folder = _folder()
    (folder / JOURNAL).write_bytes(data)
    assert len(list(read_journal(folder))) <= data.count(b"\n") + 1
