"""What connects audio, in memory: the same interface as the processes have.

A test says what a process would: `run.open()`, `run.listener.on_spoken()`, `run.lose()`.
"""

import asyncio
import socket
from dataclasses import dataclass, field

from sfu.egress.connector_jobs import ConnectorJob, ConnectorListener, HowOver
from sfu.egress.jobs import EgressError, PacketForm


@dataclass
class FakeRun:
    """`said`: what was asked of it, in order."""

    job: ConnectorJob
    media: socket.socket
    listener: ConnectorListener
    said: list[object] = field(default_factory=list)
    _opened: "asyncio.Future[None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def open(self) -> None:
        self._opened.set_result(None)

    def refuse(self, code: str = "connect_failed") -> None:
        self._opened.set_exception(EgressError(code, "it did not open"))

    def lose(self, how: HowOver = "peer lost") -> None:
        self.listener.on_over(how)

    async def opened(self) -> None:
        await asyncio.shield(self._opened)

    def speak(self, form: PacketForm) -> None:
        self.said.append(form)

    def leave(self) -> None:
        if "leave" not in self.said:
            self.said.append("leave")


class FakeConnectors:
    """`opens`: whether the WebSocket of a new run is open at once. `room`: how many may start."""

    def __init__(self, *, opens: bool = True, room: int = 64) -> None:
        self.opens = opens
        self.room = room
        self.runs: list[FakeRun] = []
        self.closed = False
        self._has_started = asyncio.Event()

    async def started(self) -> FakeRun:
        """The last run, once there is one."""
        await self._has_started.wait()
        return self.runs[-1]

    def start(
        self, job: ConnectorJob, media: socket.socket, listener: ConnectorListener
    ) -> FakeRun:
        if len(self.runs) >= self.room:
            raise EgressError("no_capacity", "all processes are busy")
        run = FakeRun(job, media, listener)
        self.runs.append(run)
        self._has_started.set()
        if self.opens:
            run.open()
        return run

    def counters(self) -> dict[str, int]:
        return {}

    async def close(self) -> None:
        self.closed = True
