"""What belongs to one Connection beside the domain's state of it, and the way of messages to it."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from sfu.media_plane import ClientMedia, DownlinkOffer
from signaling.outlet import Outgoing, Outlet
from signaling.protocol import messages as m

BACKLOG_MESSAGES = 256
"""What is kept for a client without a WebSocket. More means it will not come back in time."""
Timer = asyncio.TimerHandle


@dataclass
class Seat:
    """Owner: the actor. `held` waits for company: what follows goes behind it."""

    media: ClientMedia
    resume: str
    outlet: Outlet | None
    backlog: deque[Outgoing] = field(default_factory=deque)
    held: list[Outgoing] = field(default_factory=list)
    grace: Timer | None = None
    offer: DownlinkOffer | None = None
    demands: dict[tuple[str, str], m.VideoDemandChanged] = field(default_factory=dict)
    publishing: asyncio.Task[None] | None = None

    def deliver(self, outgoing: Outgoing) -> None:
        """Now, or into the backlog while there is no WebSocket."""
        if self.outlet is not None:
            if self.held:
                self.release()
            self.outlet.send(outgoing)
        elif len(self.backlog) < BACKLOG_MESSAGES:
            self.backlog.append(outgoing)

    def hold(self, outgoing: Outgoing) -> None:
        """What can wait a little, so that several leave together."""
        if self.outlet is None:
            self.deliver(outgoing)
        else:
            self.held.append(outgoing)

    def release(self) -> None:
        held, self.held = self.held, []
        if self.outlet is not None:
            for outgoing in held:
                self.outlet.send(outgoing)
