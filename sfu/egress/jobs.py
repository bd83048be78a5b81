"""The seam between admission and egress: what a job is, and what it reports."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from sfu.egress.composition import Composition, Layout
from sfu.egress.live_outputs import LiveOutputs


class EgressError(Exception):
    """A job that is refused or failed. Codes: no_capacity, child_lost, no_media, disk_full,
    storage."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class ArchiveJob:
    """One archive: with `composition` one file of all streams, else a file for each. `folder`
    belongs to the job alone. `live`: a broadcast, which leaves no file."""

    archive: str
    folder: Path
    session: str
    name: str
    created_unix_ms: int
    hold_ms: int
    composition: Composition | None = None
    live: LiveOutputs | None = None


@dataclass(frozen=True, slots=True)
class PacketForm:
    """The packets of a published stream."""

    ssrc: int
    payload_type: int
    audio_level_id: int


@dataclass(frozen=True, slots=True)
class Finished:
    """`file` is None where it is not on this machine."""

    file: Path | None
    size_bytes: int
    sha256: bytes
    recorded_ms: int


class JobListener(Protocol):
    """Called from the event loop. After `on_finished` or `on_failed` nothing follows."""

    def on_recording(self) -> None:
        """The first frame is in a file."""

    def on_progress(self, recorded_ms: int, size_bytes: int) -> None: ...
    def on_finished(self, result: Finished) -> None: ...
    def on_failed(self, code: str, text: str) -> None:
        """Codes: child_lost, no_media, disk_full, storage. What was written stays in the folder:
        `Egress.recover` makes an archive of it once the cause is gone."""


@runtime_checkable
class OutputListener(Protocol):
    """A `JobListener` of a broadcast."""

    def on_output(self, output: str, status: str) -> None: ...


class Job(Protocol):
    def pause(self) -> None:
        """Nothing is written and time does not count until `resume`."""

    def resume(self) -> None: ...
    def streams(self, present: Mapping[str, Mapping[str, object]]) -> None:
        """The streams that are present, each with its `streamAdded` event, for a restarted
        process. Without it that process uses the job's journal."""

    def set_layout(self, layout: Layout) -> None:
        """Of a composed job."""

    def finish(self, reason: str) -> None:
        """Writes what the tap still holds, then completes the files. Idempotent."""

    def abort(self) -> None:
        """Ends the job without another call of the listener; the folder is the caller's."""


class Egress(Protocol):
    def start(self, job: ArchiveJob, media: socket.socket, listener: JobListener) -> Job:
        """Takes over `media`, the child's end of a tap. Errors: `EgressError` no_capacity."""

    async def recover(self, job: ArchiveJob) -> Finished | None:
        """Completes what a killed server left in the folder. None: there is no media in it.
        Errors: `EgressError`."""

    def counters(self) -> Mapping[str, int]:
        """Totals since the start, among them `restarts` and `ignored.<reason>`."""

    async def close(self) -> None:
        """Finishes all jobs. What does not end in time is left to `recover`."""
