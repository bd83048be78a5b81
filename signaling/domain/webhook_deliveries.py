"""Webhook deliveries as the outbox stores them. Times are Unix milliseconds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from signaling.domain.callbacks import Callback, CallbackEvent, origin_of


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedWebhook:
    """What is posted, where, and until when. `body` is the JSON text that is signed and posted."""

    event_id: str
    callback_id: str
    project_id: str
    session_id: str
    origin: str
    url: str
    event: str
    body: str = field(repr=False)
    give_up_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhookDelivery(QueuedWebhook):
    """An event for one registration."""

    created_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery(QueuedWebhook):
    """One claimed attempt. `attempts` counts the ones before it."""

    id: int
    attempts: int

    @property
    def lane(self) -> tuple[str, str]:
        """The ordering key: of one lane, one delivery is under way at a time."""
        return self.session_id, self.origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a node takes from the outbox: of at most `lanes` ordering keys the oldest delivery, and
    with it up to `in_a_row` of the same key in order. They are hidden from other claims until
    `hidden_until_ms`, or until they are settled."""

    now_ms: int
    hidden_until_ms: int
    lanes: int
    in_a_row: int = 1
    excluded_origins: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an attempt. If neither `delivered` nor `dead`, the next one is at `next_ms`."""

    id: int
    result: str
    delivered: bool = False
    dead: bool = False
    attempts: int = 0
    next_ms: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that was given up; the operator can inspect it and queue it again."""

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
    """`oldest_ms`: when the oldest waiting delivery was queued; None when none waits."""

    waiting: int
    oldest_ms: int | None
    dead: int

    def and_coming(self, happened_ms: Sequence[int]) -> "QueueFigures":
        """The figures including events that are not queued yet, given by their times."""
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
