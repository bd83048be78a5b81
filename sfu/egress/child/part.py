"""One file of a stream: Matroska or WebM without transcoding, readable after a kill.

A cluster lasts a second and goes to the system when it is complete. The index and the duration
are written in place at the end; `repair` does it for a file whose process was killed. Neither
needs more room than the index takes.
"""

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from sfu.egress.child import matroska
from sfu.egress.child.codec_private import in_matroska
from sfu.egress.child.matroska import TICK_US, Cluster, Cue, Layout, TrackFormat

CLUSTER_TICKS = 1_000
"""What a kill may cost; shorter clusters cost a write each."""
CLUSTER_BYTES = 5_242_880
_HEADER_BYTES = 65_536
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_full(failure: OSError) -> bool:
    return failure.errno in _FULL


class Part:
    """Times are microseconds from the beginning of the file. The first track is the indexed one:
    video, where there is any."""

    def __init__(self, path: Path, tracks: Sequence[TrackFormat]) -> None:
        self.tracks = {track.kind: track for track in tracks}
        self._numbers = {track.kind: at for at, track in enumerate(tracks, 1)}
        self._last = dict.fromkeys(self.tracks, 0)
        self._cluster: Cluster | None = None
        self._points: list[Cue] = []
        self._end_us = 0
        start, self._layout = matroska.header(tracks, webm=path.suffix == ".webm")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        self._end = 0
        try:
            self._append(start)
        except OSError:
            os.close(self._descriptor)
            raise

    def write(self, kind: str, data: bytes, *, at_us: int, duration_us: int, key: bool) -> None:
        """Errors: `OSError` of the file; `ValueError` for what the file cannot hold."""
        content = in_matroska(self.tracks[kind].codec, data)
        if not content or len(content) > matroska.MAX_FRAME_BYTES:
            raise ValueError("a frame without content, or one that is too long")
        # Frames of a track are in order; rounding must not turn two of them round.
        ticks = self._last[kind] = max((at_us + TICK_US // 2) // TICK_US, self._last[kind])
        begins = key and kind == "video"
        cluster = self._cluster
        if cluster is not None and (begins or not self._goes_on(cluster, ticks)):
            self._flush()
        if self._cluster is None:
            self._cluster = Cluster(ticks)
        self._cluster.add(self._numbers[kind], ticks, content, key=key)
        self._end_us = max(self._end_us, at_us + max(0, duration_us))

    def flush_before(self, at_us: int) -> None:
        """Writes a cluster that is old enough, also when nothing more comes."""
        cluster = self._cluster
        if cluster is not None and at_us // TICK_US - cluster.ticks >= CLUSTER_TICKS:
            self._flush()

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Writes the index. Errors: `OSError`, when not even the index has room; the file is
        closed in any case."""
        try:
            try:
                self._flush()
            finally:
                _complete(self._descriptor, self._layout, self._points, self._end, self._end_us)
        finally:
            os.close(self._descriptor)

    def _goes_on(self, cluster: Cluster, ticks: int) -> bool:
        if not cluster.takes(ticks) or ticks - cluster.ticks >= CLUSTER_TICKS:
            return False
        return len(cluster.body) < CLUSTER_BYTES

    def _flush(self) -> None:
        cluster, self._cluster = self._cluster, None
        if cluster is None:
            return
        position = self._end - self._layout.segment_at
        self._append(cluster.encoded())
        if cluster.indexed_ticks is not None:
            self._points.append(Cue(cluster.indexed_ticks, position))

    def _append(self, data: bytes) -> None:
        """All of it, or the file ends where it ended."""
        _write_at(self._descriptor, data, self._end)
        self._end += len(data)


def repair(path: Path, on_progress: Callable[[], None] = lambda: None) -> int | None:
    """Completes a file of a killed process in place: the time of its end in microseconds; None if
    there is not one frame in it. Errors: `OSError`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        try:
            scanned = matroska.scan_header(os.pread(descriptor, _HEADER_BYTES, 0))
        except matroska.NotOursError:
            return None
        while len(head := os.pread(descriptor, 12, scanned.end)) == 12:
            size = min(matroska.size_of(head), _MAX_CLUSTER_BYTES)
            if not matroska.scan_cluster(
                scanned, head, os.pread(descriptor, size, scanned.end + 12)
            ):
                break
            on_progress()
        if scanned.last_ticks is None:
            return None
        end_us = scanned.last_ticks * TICK_US
        _complete(descriptor, scanned.layout, scanned.points, scanned.end, end_us)
        return end_us
    finally:
        os.close(descriptor)


_MAX_CLUSTER_BYTES = matroska.MAX_FRAME_BYTES + 2 * CLUSTER_BYTES


def _complete(
    descriptor: int, layout: Layout, points: Sequence[Cue], end: int, end_us: int
) -> None:
    """What is behind the last complete cluster makes room for the index."""
    os.ftruncate(descriptor, end)
    index = matroska.cues(points)
    _write_at(descriptor, index, end)
    places = matroska.completions(
        layout,
        cues_at=end,
        end=end + len(index),
        duration_ticks=(end_us + TICK_US // 2) // TICK_US,
    )
    for at, data in places:
        _write_at(descriptor, data, at)
    os.fdatasync(descriptor)


def _write_at(descriptor: int, data: bytes, at: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, at)
        rest, at = rest[written:], at + written
