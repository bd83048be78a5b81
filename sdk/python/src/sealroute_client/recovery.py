"""What was lost goes on: over a fresh transport within the same Connection, or over a fresh
Connection of the same Session.

The server has forgotten the transport and all that went over it. Publishers get another stream
id, since their streams have ended for everybody; Subscribers go on with the streams they had.
"""

import asyncio
from typing import TYPE_CHECKING

from sealroute_client import events
from sealroute_client.errors import TransportLostTooOften
from sealroute_client.losses import LossBackoff

if TYPE_CHECKING:
    from sealroute_client.session import Session


class Recovery:
    """One at a time and direction: a second loss while one is made good waits for it."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._locks = {"uplink": asyncio.Lock(), "downlink": asyncio.Lock()}
        self._backoffs = {"uplink": LossBackoff(), "downlink": LossBackoff()}
        self._lost: set[str] = set()
        """Directions that wait to be made good: what is not there cannot be lost once more."""
        self._lost_again: set[str] = set()
        """Of these, those where the application's next publication or subscription made a link
        meanwhile that is lost too."""
        self._is_calm = {"uplink": asyncio.Event(), "downlink": asyncio.Event()}
        """Set where nothing waits to be made good."""
        self._given_up: set[str] = set()

    def begin(self, direction: str) -> None:
        """Called as the server tells, before it tells which streams ended by that."""
        if direction == "uplink":
            self._session.publishing.lose()
        else:
            self._session.subscribing.lose()
        if direction in self._lost:
            self._lost_again.add(direction)
            return
        self._lost.add(direction)
        self._is_calm[direction].clear()
        self._given_up.discard(direction)
        delay_s = self._backoffs[direction].on_loss(asyncio.get_running_loop().time())
        if delay_s is None:
            self._session.spawn(self._give_up(direction))
        elif direction == "uplink":
            self._session.spawn(self._publish_again(lost_for_s=delay_s))
        else:
            self._session.spawn(self._subscribe_again(lost_for_s=delay_s))

    async def made_good(self, direction: str) -> None:
        """Returns when what a loss interrupted may begin once more.

        Errors: TransportLostTooOften."""
        await self._is_calm[direction].wait()
        if direction in self._given_up:
            raise _too_often(direction)

    def rejoin(self) -> None:
        """The server knows the client no more, as after its restart: all is asked for again."""
        self.begin("uplink")
        self.begin("downlink")

    def resume(self) -> None:
        """What failed for want of a connection is tried again."""
        self._session.spawn(self._publish_again())
        self._session.spawn(self._subscribe_again())

    async def _publish_again(self, *, lost_for_s: float | None = None) -> None:
        async with self._locks["uplink"]:
            if lost_for_s is not None:
                await self._wait_out("uplink", lost_for_s)
            await self._session.publishing.take_up_again()

    async def _subscribe_again(self, *, lost_for_s: float | None = None) -> None:
        async with self._locks["downlink"]:
            if lost_for_s is not None:
                await self._wait_out("downlink", lost_for_s)
            await self._session.subscribing.take_up_again()

    async def _wait_out(self, direction: str, delay_s: float) -> None:
        await self._close(direction)
        self._session.emit(events.TransportLost(direction=direction))
        await asyncio.sleep(delay_s)
        self._settle(direction)
        if direction in self._lost_again:
            await self._close(direction)

    async def _give_up(self, direction: str) -> None:
        async with self._locks[direction]:
            await self._close(direction)
            self._session.emit(events.TransportLost(direction=direction))
            error = _too_often(direction)
            if direction == "uplink":
                is_over = await self._session.publishing.give_up(error)
            else:
                is_over = await self._session.subscribing.give_up()
            self._given_up.add(direction)
            self._settle(direction)
            if is_over:
                self._session.emit(events.ErrorOccurred(error=error))

    def _settle(self, direction: str) -> None:
        self._lost.discard(direction)
        self._is_calm[direction].set()

    async def _close(self, direction: str) -> None:
        self._lost_again.discard(direction)
        if direction == "uplink":
            await self._session.publishing.close_uplink()
        else:
            await self._session.subscribing.close_downlink()


def _too_often(direction: str) -> TransportLostTooOften:
    return TransportLostTooOften(f"The {direction} was lost too often; try again later")
