"""Webhook deliveries as the outbox stores them. Times are Unix milliseconds."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from signaling.domain.callbacks import Callback, CallbackEvent, origin_of
from signaling.domain.shares import may_take


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedWebhook:
    """What is posted, where, and until when. `body` is the JSON text that is signed and posted."""

    event_id: str
    callback_id: str
    project_id: str
    session_id: str
    origin: str
    url: str = field(repr=False)
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


@dataclass(frozen=True, slots=True)
class Places:
    """Places for attempts: how many are `free`, and how many each origin and project has. An origin
    has at most `per_origin`, and a project its share of all, so that neither holds up others."""

    free: int
    per_origin: int
    origins: Mapping[str, int] = field(default_factory=dict)
    projects: Mapping[str, int] = field(default_factory=dict)

    def full_origins(self) -> list[str]:
        return [name for name, own in self.origins.items() if own >= self.per_origin]

    def full_projects(self) -> list[str]:
        return [name for name, own in self.projects.items() if not may_take(own, self.free)]

    def admitted(self, heads: Iterable[WebhookDelivery]) -> list[WebhookDelivery]:
        """Those of the heads, each of another lane, that get a place; the first ones first."""
        free, origins, projects = self.free, Counter(self.origins), Counter(self.projects)
        found = []
        for head in heads:
            fits = origins[head.origin] < self.per_origin
            if fits and may_take(projects[head.project_id], free):
                free -= 1
                origins[head.origin] += 1
                projects[head.project_id] += 1
                found.append(head)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a node takes from the outbox: of the ordering keys that get one of its `places` the
    oldest delivery, and with it up to `in_a_row` of the same key in order. They are hidden from
    other claims until `hidden_until_ms`, or until they are settled."""

    now_ms: int
    hidden_until_ms: int
    places: Places
    in_a_row: int = 1


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
    url: str = field(repr=False)
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
