"""Who lives: a node's own beats, and its judgement of the others.

Pure: time is a parameter (`now`, monotonic, of this node alone), effects are values. No wall clock
is read, and none of another node: what counts is how long another node's beat stood still between
readings of one's own that succeeded.
"""

from dataclasses import dataclass, field

from signaling.cluster.engine import NodeRow, View


@dataclass(frozen=True, slots=True)
class Rules:
    """Times in seconds. The switches at the end exist for the simulation, which shows that each of
    them is needed."""

    beat_s: float = 1.0
    refused_s: float = 1.5
    """A beat that stood still as long, of a node whose port refuses: its process is gone."""
    silent_s: float = 3.5
    """The same of a node that is only silent: a busy one may be late by three beats."""
    gap_s: float = 1.7
    """Readings further apart say nothing of what was between them: counting begins again."""
    unsure_s: float = 1.5
    retry_s: float = 0.25
    asks_witnesses: bool = True
    trusts_own_links: bool = True
    restarts_after_gaps: bool = True


_AFTER_S = 0.001
"""So that rounding does not put a judgement before its time."""


@dataclass(frozen=True, slots=True)
class SendBeat:
    """Say that this node lives; what comes back goes to `handle_view` or `handle_failure`."""

    hears: frozenset[int]


@dataclass(frozen=True, slots=True)
class Certify:
    """Ask the engine to declare a node dead whose beat is still that."""

    incarnation: int
    seen_beat: int


@dataclass(frozen=True, slots=True)
class Came:
    node: NodeRow


@dataclass(frozen=True, slots=True)
class Gone:
    """A node lives no more, by the engine: all routes to it end at once."""

    incarnation: int


@dataclass(frozen=True, slots=True)
class Died:
    """This node is declared dead. It begins a new life."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The database may have lost what this node has, or has what this node does not know of."""


Effect = SendBeat | Certify | Came | Gone | Died | Audit


@dataclass(slots=True)
class _Seen:
    """A node's row. `since`: when its beat was first read, in an unbroken row of readings."""

    row: NodeRow
    since: float


@dataclass(slots=True)
class _Links:
    heard: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)


class Membership:
    """One life of this node: a new one takes a new object. A beat is on its way at most once."""

    def __init__(self, incarnation: int, now: float, rules: Rules | None = None) -> None:
        self.incarnation = incarnation
        self._rules = rules or Rules()
        self._seen: dict[int, _Seen] = {}
        self._links = _Links()
        self._mine: NodeRow | None = None
        self._next_beat = now
        self._sent: float | None = None
        self._acknowledged = now
        self._last_read: float | None = None
        self._timeline: int | None = None
        self._is_dead = False

    def is_unsure(self, now: float) -> bool:
        """Whether no beat was acknowledged that was sent a short while ago."""
        return now - self._acknowledged > self._rules.unsure_s

    def unacknowledged_s(self, now: float) -> float:
        return now - self._acknowledged

    @property
    def next_beat(self) -> float | None:
        """When `poll` has something to do; None while a beat is on its way."""
        return None if self._sent is not None or self._is_dead else self._next_beat

    def node(self, incarnation: int) -> NodeRow | None:
        """The row of another living node, or one's own."""
        if incarnation == self.incarnation:
            return self._mine
        seen = self._seen.get(incarnation)
        return None if seen is None else seen.row

    def nodes(self) -> tuple[NodeRow, ...]:
        others = [seen.row for seen in self._seen.values()]
        return tuple(sorted([*filter(None, [self._mine]), *others], key=lambda r: r.incarnation))

    def poll(self, now: float) -> list[Effect]:
        if self._is_dead or self._sent is not None or now < self._next_beat:
            return []
        self._sent = now
        return [SendBeat(frozenset(self._links.heard))]

    def handle_heard(self, incarnation: int) -> None:
        self._links.heard.add(incarnation)
        self._links.refused.discard(incarnation)

    def handle_lost(self, incarnation: int, now: float, *, refused: bool) -> None:
        """Others should know at once that this node hears it no more."""
        if refused:
            self._links.refused.add(incarnation)
        if incarnation in self._links.heard:
            self._links.heard.discard(incarnation)
            self._next_beat = min(self._next_beat, now)

    def handle_failure(self, now: float) -> None:
        """A beat failed, or took too long."""
        self._sent = None
        self._next_beat = now + self._rules.retry_s

    def handle_view(self, view: View, now: float) -> list[Effect]:
        """The answer of the beat that is on its way."""
        if self._sent is None or self._is_dead:
            return []
        sent, self._sent = self._sent, None
        self._mine = view.row(self.incarnation)
        if self._mine is None:
            self._is_dead = True
            return [Died()]
        self._acknowledged = sent
        effects = self._read(view, now)
        self._next_beat = max(self._due_after(sent), now)
        if self._timeline not in {None, view.timeline}:
            effects.append(Audit())
        self._timeline = view.timeline
        return effects + [
            Certify(seen.row.incarnation, seen.row.beat)
            for seen in self._seen.values()
            if self._looks_dead(seen, sent)
        ]

    def handle_certified(self, incarnation: int, *, is_dead: bool) -> list[Effect]:
        if not is_dead or incarnation not in self._seen:
            return []
        return [self._forget(incarnation)]

    def _read(self, view: View, now: float) -> list[Effect]:
        is_gap = self._last_read is None or now - self._last_read > self._rules.gap_s
        if not self._rules.restarts_after_gaps:
            is_gap = False
        self._last_read = now
        others = {row.incarnation: row for row in view.rows if row.incarnation != self.incarnation}
        effects: list[Effect] = [self._forget(one) for one in [*self._seen] if one not in others]
        for incarnation, row in others.items():
            seen = self._seen.get(incarnation)
            if seen is None:
                self._seen[incarnation] = _Seen(row, now)
                effects.append(Came(row))
                continue
            if seen.row.beat != row.beat or is_gap:
                seen.since = now
            seen.row = row
        return effects

    def _due_after(self, sent: float) -> float:
        """After a second, or as soon as a node that stands still may be judged."""
        judged = [seen.since + self._still_s(seen) + _AFTER_S for seen in self._seen.values()]
        regular = sent + self._rules.beat_s
        return min([regular, *(due for due in judged if due > sent)])

    def _still_s(self, seen: _Seen) -> float:
        is_refused = seen.row.incarnation in self._links.refused
        return self._rules.refused_s if is_refused else self._rules.silent_s

    def _forget(self, incarnation: int) -> Gone:
        self._seen.pop(incarnation, None)
        self._links.heard.discard(incarnation)
        self._links.refused.discard(incarnation)
        return Gone(incarnation)

    def _looks_dead(self, seen: _Seen, sent: float) -> bool:
        """From the reading that saw its beat first to the beginning of the newest one."""
        incarnation = seen.row.incarnation
        if sent - seen.since < self._still_s(seen):
            return False
        if self._rules.trusts_own_links and incarnation in self._links.heard:
            return False
        return not (self._rules.asks_witnesses and self._is_witnessed(incarnation, sent))

    def _is_witnessed(self, incarnation: int, sent: float) -> bool:
        """Whether another node, which beats itself, hears it."""
        return any(
            sent - other.since < self._rules.gap_s and incarnation in other.row.hears
            for other in self._seen.values()
            if other.row.incarnation != incarnation
        )
