"""Deliveries of callbacks as the outbox keeps them. Times are Unix milliseconds."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from signaling.domain.callbacks import Callback, CallbackEvent, origin_of


@dataclass(frozen=True, slots=True)
class NewWebhookDelivery:
    """An event for one registration. `body` is the JSON text that is posted and signed."""

    event_id: str
    callback_id: str
    project_id: str
    session_id: str
    origin: str
    url: str
    event: str
    body: str = field(repr=False)
    created_ms: int
    give_up_ms: int


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """One claimed attempt. `attempts` were made before it."""

    id: int
    event_id: str
    project_id: str
    session_id: str
    origin: str
    url: str
    event: str
    body: str = field(repr=False)
    give_up_ms: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt. Neither `delivered` nor `dead`: it is tried again at `next_ms`."""

    id: int
    result: str
    delivered: bool = False
    dead: bool = False
    attempts: int = 0
    next_ms: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Given up after its time; kept for the operator to see and to queue again."""

    id: int
    project_id: str
    session_id: str
    url: str
    event: str
    created_ms: int
    attempts: int
    result: str


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """`oldest_ms`: when the oldest that still waits was queued; None when nothing waits."""

    waiting: int
    oldest_ms: int | None
    dead: int

    def and_coming(self, happened_ms: Sequence[int]) -> "QueueFigures":
        """With deliveries that are not queued yet, by when they happened."""
        known = () if self.oldest_ms is None else (self.oldest_ms,)
        oldest_ms = min((*known, *happened_ms), default=None)
        return replace(self, waiting=self.waiting + len(happened_ms), oldest_ms=oldest_ms)


def new_delivery(
    happened: CallbackEvent, callback: Callback, body: str, give_up_after_ms: int
) -> NewWebhookDelivery:
    return NewWebhookDelivery(
        event_id=happened.id,
        callback_id=callback.id,
        project_id=happened.project_id,
        session_id=happened.session_id,
        origin=origin_of(callback.url),
        url=callback.url,
        event=happened.event,
        body=body,
        created_ms=happened.at_ms,
        give_up_ms=happened.at_ms + give_up_after_ms,
    )
