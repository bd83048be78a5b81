"""What records archives, in memory: the same interface as the processes have.

A test says what a child would: `job.listener.on_progress(...)`; a job that is finished writes its
file on the next turn of the loop, unless nothing was recorded.
"""

import asyncio
import hashlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sfu.egress.composition import Layout
from sfu.egress.jobs import ArchiveJob, EgressError, Finished, JobListener

from .tap_records import RecordKind, read_records


@dataclass
class FakeJob:
    """`done`: what was asked of it, in order. `is_slow`: a test says when it is complete."""

    job: ArchiveJob
    media: socket.socket
    listener: JobListener
    recorded_ms: int = 0
    fails_with: str | None = None
    is_slow: bool = False
    done: list[str] = field(default_factory=list)
    is_over: bool = False
    layouts: list[Layout] = field(default_factory=list)

    def pause(self) -> None:
        self.done.append("pause")

    def resume(self) -> None:
        self.done.append("resume")

    def streams(self, present: Mapping[str, Mapping[str, object]]) -> None:
        del present
        self.done.append("streams")

    def abort(self) -> None:
        self.end()

    def end(self) -> None:
        self.is_over = True
        self.media.close()

    def events(self) -> list[dict[str, Any]]:
        """What the tap said of streams since the last call."""
        records = read_records(self.media)
        return [dict(one.event) for one in records if one.kind is RecordKind.JSON]

    def record(self, recorded_ms: int) -> None:
        """Media came for this long."""
        self.recorded_ms += recorded_ms
        self.listener.on_progress(self.recorded_ms, self.recorded_ms * 100)

    def fail(self, code: str) -> None:
        self.end()
        self.listener.on_failed(code, "it failed")

    def set_layout(self, layout: Layout) -> None:
        self.layouts.append(layout)
        self.done.append(f"layout {layout.type} {layout.screenshare}")

    def finish(self, reason: str) -> None:
        if "finish" not in self.done and not self.is_over:
            self.done.append("finish")
            if not self.is_slow:
                asyncio.get_running_loop().call_soon(self.complete)

    def complete(self) -> None:
        if self.is_over:
            return
        if self.fails_with is not None or not self.recorded_ms:
            self.fail(self.fails_with or "no_media")
            return
        self.end()
        self.listener.on_finished(finished(self.job, self.recorded_ms))


def finished(job: ArchiveJob, recorded_ms: int) -> Finished:
    """A complete file, as short as it can be."""
    content = b"PK" + bytes(1_000)
    file = job.folder / ("archive.zip" if job.composition is None else "archive.mp4")
    file.write_bytes(content)
    return Finished(file, len(content), hashlib.sha256(content).digest(), recorded_ms)


class FakeEgress:
    """`room`: how many more jobs may start. `left`: recorded time in folders of a killed server,
    by archive."""

    def __init__(self, room: int = 64) -> None:
        self.room = room
        self.jobs: dict[str, FakeJob] = {}
        self.left: dict[str, int] = {}
        self.refuses_recovery: str | None = None
        self.closed = False

    def start(self, job: ArchiveJob, media: socket.socket, listener: JobListener) -> FakeJob:
        if not self.room:
            media.close()
            raise EgressError("no_capacity", "all processes are busy")
        self.room -= 1
        self.jobs[job.archive] = FakeJob(job, media, listener)
        return self.jobs[job.archive]

    async def recover(self, job: ArchiveJob) -> Finished | None:
        if self.refuses_recovery is not None:
            raise EgressError(self.refuses_recovery, "it failed")
        recorded_ms = self.left.get(job.archive, 0)
        return finished(job, recorded_ms) if recorded_ms else None

    def counters(self) -> dict[str, int]:
        return {"restarts": 1, "ignored.paused": 2}

    async def close(self) -> None:
        self.closed = True
        for job in self.jobs.values():
            job.end()
