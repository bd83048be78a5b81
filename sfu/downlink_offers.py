"""Timing of downlink offers: one offer is outstanding at a time, later changes are batched into
the next."""

from collections.abc import Callable

from sfu.peer_transport import Scheduler

OFFER_INTERVAL_S = 0.05
"""The first offer leaves at once; changes within this time after an offer share the next one.
Joining a room of ten then costs two offers, not nine."""


class DownlinkOffers:
    """`send` gets the number of the offer to make, later and on the loop."""

    def __init__(self, scheduler: Scheduler, send: Callable[[int], None]) -> None:
        self.outstanding: int | None = None
        self._scheduler = scheduler
        self._make_and_send = send
        self._last_number = 0
        self._wanted = False
        self._scheduled = False
        self._next_at = 0.0

    def want(self) -> None:
        self._wanted = True
        if self.outstanding is None:
            self._schedule()

    def answered(self) -> None:
        self.outstanding = None

    def offer_what_waits(self) -> None:
        """After an answer: offers the changes made meanwhile."""
        if self._wanted:
            self._schedule()

    def forget(self) -> None:
        """The downlink and its pending changes are gone. Offer numbers continue."""
        self.outstanding = None
        self._wanted = False

    def _schedule(self) -> None:
        if self._scheduled:
            return
        self._scheduled = True
        if self._scheduler.time() >= self._next_at:
            self._scheduler.call_soon(self._send)
        else:
            self._scheduler.call_at(self._next_at, self._send)

    def _send(self) -> None:
        self._scheduled = False
        if not self._wanted or self.outstanding is not None:
            return
        self._wanted = False
        self._next_at = self._scheduler.time() + OFFER_INTERVAL_S
        self._last_number += 1
        self.outstanding = self._last_number
        self._make_and_send(self._last_number)
