"""What renders pages, in memory: the same interface as the processes have.

A test says what a browser does: `run.listener.on_published(connection, stream)`, `run.end("page")`.
"""

from dataclasses import dataclass
from typing import Literal

from sfu.egress.jobs import EgressError
from sfu.egress.render_jobs import RenderEnd, RenderJob, RenderListener

End = Literal["page", "refused", "start", "crashed", "unpublished", "process"]


@dataclass
class FakeRender:
    job: RenderJob
    listener: RenderListener
    left: bool = False

    def end(self, how: End, text: str = "") -> None:
        self.listener.on_over(RenderEnd(how, text))

    def leave(self) -> None:
        self.left = True


class FakeRenders:
    """`room`: how many may start."""

    def __init__(self, *, room: int = 64) -> None:
        self.room = room
        self.runs: list[FakeRender] = []

    def start(self, job: RenderJob, listener: RenderListener) -> FakeRender:
        if len(self.runs) >= self.room:
            raise EgressError("no_capacity", "all processes are busy")
        run = FakeRender(job, listener)
        self.runs.append(run)
        return run

    def counters(self) -> dict[str, int]:
        return {}

    async def close(self) -> None:
        pass
