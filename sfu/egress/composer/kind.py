"""Composed archives and broadcasts as kinds of recordings."""

import os
from collections.abc import Callable
from pathlib import Path

from sfu.egress.child.encoded import VideoFormat, default_bitrate_bps
from sfu.egress.child.journal import Journal
from sfu.egress.child.kinds import Archive, Kind
from sfu.egress.child.manifest import History
from sfu.egress.composer.assembly import Mp4
from sfu.egress.composer.composed import ComposedArchive, ComposedJob
from sfu.egress.composer.encode import Encoders
from sfu.egress.composer.live import LiveBroadcast
from sfu.egress.composition import Composition
from sfu.egress.control import JobLine
from sfu.egress.live_outputs import LiveOutputs

MEMORY_BYTES = 2_147_483_648
"""16 streams of 1080p with their references, and what waits on a machine that is behind."""
_THREADS_ABOVE = ((1080, 3), (720, 2))
"""By the shorter side: more than one thread where a core does not keep up."""


class Composed:
    """Implements `Kind`."""

    memory_bytes = MEMORY_BYTES
    form = Mp4()
    needs_network = False

    def __init__(self) -> None:
        self._encoders: Encoders | None = None

    def of(self, job: JobLine) -> Kind:
        return self if job.live is None else Live()

    def prepare(self, job: JobLine) -> None:
        """Opens the encoders: their threads are the last ones that the process may start."""
        self._encoders = open_encoders(_composition_of(job))

    def open(
        self, job: JobLine, journal: Journal, history: History, beat: Callable[[], None]
    ) -> Archive:
        composition = _composition_of(job)
        encoders = self._encoders or open_encoders(composition)
        composed = ComposedJob(job.hold_ms, composition, encoders)
        return ComposedArchive(Path(job.folder), journal, history, composed, beat)


class Live:
    """A broadcast. Implements `Kind`."""

    memory_bytes = MEMORY_BYTES
    form = None

    def __init__(self) -> None:
        self._encoders: Encoders | None = None
        self.needs_network = False

    def of(self, job: JobLine) -> Kind:  # noqa: ARG002 - it is chosen
        return self

    def prepare(self, job: JobLine) -> None:
        self.needs_network = job.live is not None and bool(job.live.rtmp)
        self._encoders = open_encoders(_composition_of(job), steady=True)

    def open(
        self, job: JobLine, journal: Journal, history: History, beat: Callable[[], None]
    ) -> Archive:
        composition = _composition_of(job)
        encoders = self._encoders or open_encoders(composition, steady=True)
        composed = ComposedJob(job.hold_ms, composition, encoders)
        outputs = job.live or LiveOutputs()
        return LiveBroadcast(Path(job.folder), journal, history, composed, outputs, beat)


def open_encoders(wanted: Composition, *, steady: bool = False) -> Encoders:
    """`steady`: for viewers who watch meanwhile."""
    video = VideoFormat(
        wanted.width,
        wanted.height,
        wanted.bitrate_bps or default_bitrate_bps(wanted.width, wanted.height),
        wanted.quantization,
        steady,
        threads=_threads(min(wanted.width, wanted.height)),
    )
    return Encoders(video if wanted.has_video else None, audio=wanted.has_audio)


def _threads(side: int) -> int:
    """Not more than the process may use: the library would count the machine's cores."""
    wanted = next((threads for above, threads in _THREADS_ABOVE if side >= above), 1)
    return min(wanted, len(os.sched_getaffinity(0)))


def _composition_of(job: JobLine) -> Composition:
    if job.composition is None:
        raise ValueError("the job does not say what to compose")
    return job.composition
