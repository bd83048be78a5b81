"""What was lost goes on: over a fresh transport within the same Connection, or over a fresh
Connection of the same Session.

The server has forgotten the transport and all that went over it. Publishers get another stream
id, since their streams have ended for everybody; Subscribers go on with the streams they had.
"""

import asyncio
from typing import TYPE_CHECKING

from sealroute_client import events

if TYPE_CHECKING:
    from sealroute_client.session import Session


class Recovery:
    """One at a time and direction: a second loss while one is made good waits for it."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._locks = {"uplink": asyncio.Lock(), "downlink": asyncio.Lock()}

    def begin(self, direction: str) -> None:
        """Called as the server tells, before it tells which streams ended by that."""
        if direction == "uplink":
            self._session.publishing.lose()
            self._session.spawn(self._publish_again(is_lost=True))
        else:
            self._session.subscribing.lose()
            self._session.spawn(self._subscribe_again(is_lost=True))

    def rejoin(self) -> None:
        """The server knows the client no more, as after its restart: all is asked for again."""
        self.begin("uplink")
        self.begin("downlink")

    def resume(self) -> None:
        """What failed for want of a connection is tried again."""
        self._session.spawn(self._publish_again(is_lost=False))
        self._session.spawn(self._subscribe_again(is_lost=False))

    async def _publish_again(self, *, is_lost: bool) -> None:
        async with self._locks["uplink"]:
            if is_lost:
                await self._session.publishing.close_uplink()
                self._session.emit(events.TransportLost(direction="uplink"))
            await self._session.publishing.take_up_again()

    async def _subscribe_again(self, *, is_lost: bool) -> None:
        async with self._locks["downlink"]:
            if is_lost:
                await self._session.subscribing.close_downlink()
                self._session.emit(events.TransportLost(direction="downlink"))
            await self._session.subscribing.take_up_again()
