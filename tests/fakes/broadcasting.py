"""What broadcasts, in memory: the same interface as the processes have.

A test says what a process would: `job.listener.on_output("hls", "ready")`; a job that is finished
ends on the next turn of the loop.
"""

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Any

from sfu.egress.broadcast_jobs import BroadcastJob, BroadcastListener
from sfu.egress.composition import Layout
from sfu.egress.jobs import EgressError

from .tap_records import RecordKind, read_records


@dataclass
class FakeBroadcast:
    """`layouts`: those that were set, in order."""

    job: BroadcastJob
    media: socket.socket
    listener: BroadcastListener
    layouts: list[Layout] = field(default_factory=list)
    finished_with: str | None = None

    def set_layout(self, layout: Layout) -> None:
        self.layouts.append(layout)

    def finish(self, reason: str) -> None:
        if self.finished_with is None:
            self.finished_with = reason
            asyncio.get_running_loop().call_soon(self.end)

    def end(self) -> None:
        if self.media.fileno() >= 0:
            self.media.close()
            self.listener.on_finished()

    def fail(self, code: str) -> None:
        self.media.close()
        self.listener.on_failed(code, "it failed")

    def events(self) -> list[dict[str, Any]]:
        """What the tap said of streams since the last call."""
        records = read_records(self.media)
        return [dict(one.event) for one in records if one.kind is RecordKind.JSON]


class FakeBroadcastEgress:
    """`room`: how many more may start."""

    def __init__(self, room: int = 64) -> None:
        self.room = room
        self.jobs: dict[str, FakeBroadcast] = {}

    def start_broadcast(
        self, job: BroadcastJob, media: socket.socket, listener: BroadcastListener
    ) -> FakeBroadcast:
        if not self.room:
            media.close()
            raise EgressError("no_capacity", "all processes are busy")
        self.room -= 1
        self.jobs[job.broadcast] = FakeBroadcast(job, media, listener)
        return self.jobs[job.broadcast]


class FakeHls:
    """`starts`: how often it was asked to run."""

    def __init__(self) -> None:
        self.starts = 0

    async def start(self) -> None:
        self.starts += 1
