"""What recognizes speech, in memory: the same interface as the processes have.

A test says what a process would: `run.listener.on_caption("s", "hello", is_final=True)`.
"""

import socket
from dataclasses import dataclass

from sfu.egress.caption_jobs import CaptionJob, CaptionListener
from sfu.egress.jobs import EgressError


@dataclass
class FakeCaptionRun:
    job: CaptionJob
    media: socket.socket
    listener: CaptionListener
    is_left: bool = False

    def leave(self) -> None:
        self.is_left = True

    def say(self, stream: str, text: str, *, is_final: bool = True) -> None:
        self.listener.on_caption(stream, text, is_final=is_final)


class FakeCaptioners:
    """`room`: how many more may start."""

    languages = ("en-US", "de-DE")

    def __init__(self, room: int = 64) -> None:
        self.room = room
        self.runs: list[FakeCaptionRun] = []
        self.loads = 0

    def start(
        self, job: CaptionJob, media: socket.socket, listener: CaptionListener
    ) -> FakeCaptionRun:
        if not self.room:
            raise EgressError("no_capacity", "all processes are busy")
        self.room -= 1
        self.runs.append(FakeCaptionRun(job, media, listener))
        return self.runs[-1]

    async def load(self) -> None:
        self.loads += 1

    def counters(self) -> dict[str, int]:
        return {}

    async def close(self) -> None:
        """Nothing runs."""
