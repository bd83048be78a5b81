"""What calls telephones, in memory: the same interface as the processes have.

A test says what a telephone does: `run.listener.on_state("active")`, `run.end("refused", 486)`.
"""

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Literal

from sfu.egress.jobs import EgressError, PacketForm
from sfu.egress.sip_jobs import CallEnd, SipJob, SipListener

End = Literal["refused", "closed", "lost", "silent", "too_long"]


@dataclass
class FakeCall:
    """`said`: what was asked of it, in order."""

    job: SipJob
    media: socket.socket
    listener: SipListener
    said: list[object] = field(default_factory=list)

    def end(self, how: End = "closed", status: int = 0, reason: str = "") -> None:
        self.listener.on_over(CallEnd(how, status, reason))

    def speak(self, form: PacketForm) -> None:
        self.said.append(form)

    def press(self, digits: str) -> None:
        self.said.append(digits)

    def mute(self, *, on: bool) -> None:
        self.said.append("mute" if on else "unmute")

    def leave(self) -> None:
        if "leave" not in self.said:
            self.said.append("leave")


class FakeCalls:
    """`room`: how many may start. `first_end`: how each ends in the
    next turn of the loop."""

    def __init__(self, *, room: int = 64) -> None:
        self.room = room
        self.first_end: CallEnd | None = None
        self.runs: list[FakeCall] = []
        self.closed = False

    def start(self, job: SipJob, media: socket.socket, listener: SipListener) -> FakeCall:
        if len(self.runs) >= self.room:
            raise EgressError("no_capacity", "all processes are busy")
        run = FakeCall(job, media, listener)
        self.runs.append(run)
        if self.first_end is not None:
            loop = asyncio.get_running_loop()
            loop.call_soon(listener.on_state, "dialing")
            loop.call_soon(listener.on_over, self.first_end)
        return run

    def counters(self) -> dict[str, int]:
        return {}

    async def close(self) -> None:
        self.closed = True
