"""Where sessions have their home, as one node knows it, and what it asks of the engine for it.

Pure: time is a parameter, effects are values, each answered by a `handle_` method. Of a session
here: `none > asked > held > released`. A held home ends at once when anybody shows a higher epoch
(superseded). A node that is declared dead claims what it holds again for its next life.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from signaling.cluster.engine import Home, NodeRow
from signaling.domain.error_codes import ErrorCode


@dataclass(frozen=True, slots=True)
class HomeRules:
    """Times in seconds. The switches exist for the simulation."""

    rank_s: float = 0.15
    """Candidates for the home of a dead node wait that long for each that is before them."""
    retry_s: float = 0.25
    linger_s: float = 5.0
    heeds_epochs: bool = True
    audits: bool = True
    ends_routes: bool = True


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask the engine who is home: `handle_found`, or `handle_failed`."""

    session_id: str


@dataclass(frozen=True, slots=True)
class ClaimHome:
    """`handle_claimed` or `handle_failed`, with `me`: what an earlier life asked counts no more."""

    session_id: str
    project_id: str
    limit: int | None
    me: int


@dataclass(frozen=True, slots=True)
class ReleaseHome:
    """`handle_released`, also if it failed."""

    home: Home


@dataclass(frozen=True, slots=True)
class Answer:
    """The home that was asked for."""

    home: Home


@dataclass(frozen=True, slots=True)
class Refuse:
    session_id: str
    code: ErrorCode


@dataclass(frozen=True, slots=True)
class Lost:
    """Another node is home: clients of the session go there."""

    home: Home


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """This node is home with another epoch than before."""

    home: Home


@dataclass(frozen=True, slots=True)
class ReadHomes:
    """Ask the engine for the homes of this node: `handle_homes`, or `handle_homes_unread`."""


HomeEffect = LookUp | ClaimHome | ReleaseHome | Answer | Refuse | Lost | Reclaimed | ReadHomes


class _Step(Enum):
    LOOKING = auto()
    WAITING = auto()
    CLAIMING = auto()
    RELEASING = auto()


@dataclass(slots=True)
class _Ask:
    """`due`: when a waiting one goes on. `claims`: with a claim; else it looks again."""

    project_id: str
    limit: int | None
    step: _Step = _Step.LOOKING
    due: float = 0.0
    claims: bool = False
    is_wanted: bool = True


@dataclass(slots=True)
class _Held:
    home: Home
    idle_since: float | None


class Homing:
    """The homes of one node, through all its lives. Routes are for nodes in `living` only."""

    def __init__(self, incarnation: int, rules: HomeRules | None = None) -> None:
        self.incarnation = incarnation
        self._rules = rules or HomeRules()
        self._held: dict[str, _Held] = {}
        self._asks: dict[str, _Ask] = {}
        self._routes: dict[str, Home] = {}
        self._living: tuple[int, ...] = ()
        self._reads_homes = False
        self._wrong_counts = 0

    def __len__(self) -> int:
        return len(self._held)

    def held(self, session_id: str) -> Home | None:
        """The home that may take commands."""
        held = self._held.get(session_id)
        return None if held is None else held.home

    def known(self, session_id: str) -> Home | None:
        """The home, as far as it is known without the engine."""
        return self.held(session_id) or self._routes.get(session_id)

    def handle_seen(self, home: Home) -> bool:
        """A home in the table, for which nobody waits; whether its node lives."""
        if home.incarnation == self.incarnation or home.incarnation not in self._living:
            return False
        self._routes[home.session_id] = home
        return True

    def next_due(self) -> float | None:
        """When `poll` has something to do, at the earliest."""
        dues = [ask.due for ask in self._asks.values() if ask.step is _Step.WAITING]
        linger = self._rules.linger_s
        dues += [h.idle_since + linger for h in self._held.values() if h.idle_since is not None]
        return min(dues, default=None)

    def handle_nodes(self, rows: Iterable[NodeRow]) -> None:
        """The nodes that live, this one among them."""
        self._living = tuple(sorted(row.incarnation for row in rows))

    def handle_gone(self, incarnation: int) -> None:
        """A node lives no more: nobody is sent to it from now on."""
        self._living = tuple(one for one in self._living if one != incarnation)
        if self._rules.ends_routes:
            to_it = [s for s, home in self._routes.items() if home.incarnation == incarnation]
            for session_id in to_it:
                del self._routes[session_id]

    def handle_wanted(
        self, session_id: str, project_id: str, limit: int | None, now: float
    ) -> list[HomeEffect]:
        held = self._held.get(session_id)
        if held is not None:
            if held.idle_since is not None:
                held.idle_since = now
            return [Answer(held.home)]
        if (route := self._routes.get(session_id)) is not None:
            return [Answer(route)]
        if (ask := self._asks.get(session_id)) is not None:
            ask.is_wanted = True
            return []
        self._asks[session_id] = _Ask(project_id, limit)
        return [LookUp(session_id)]

    def handle_forgotten(self, session_id: str) -> None:
        self._routes.pop(session_id, None)

    def handle_shown(self, session_id: str, epoch: int) -> list[HomeEffect]:
        """Somebody has seen this epoch of a session."""
        if not self._rules.heeds_epochs:
            return []
        if (route := self._routes.get(session_id)) is not None and epoch > route.epoch:
            del self._routes[session_id]
        held = self._held.get(session_id)
        return [] if held is None or epoch <= held.home.epoch else [self._lose(session_id)]

    def handle_occupied(self, session_id: str, now: float, *, is_occupied: bool) -> None:
        held = self._held.get(session_id)
        if held is not None:
            held.idle_since = None if is_occupied else now

    def handle_found(self, session_id: str, home: Home | None, now: float) -> list[HomeEffect]:
        ask = self._asks.get(session_id)
        if ask is None or ask.step is not _Step.LOOKING:
            return []
        if home is None or home.incarnation == self.incarnation:
            return self._claim(session_id, ask)
        if home.incarnation in self._living:
            del self._asks[session_id]
            self._routes[session_id] = home
            return [Answer(home)]
        self._wait(ask, now + self._rank(session_id) * self._rules.rank_s, claims=True)
        return self.poll(now)

    def handle_claimed(self, asked: ClaimHome, home: Home | None, now: float) -> list[HomeEffect]:
        session_id = asked.session_id
        ask = self._asks.get(session_id)
        if ask is None or ask.step is not _Step.CLAIMING or asked.me != self.incarnation:
            return []
        held = self._held.get(session_id)
        if home is not None:
            del self._asks[session_id]
            self._routes.pop(session_id, None)
            idle_since = now if held is None else held.idle_since
            self._held[session_id] = _Held(home, idle_since)
            return [Answer(home) if held is None else Reclaimed(home)]
        lost: list[HomeEffect] = [] if held is None else [self._lose(session_id)]
        if not ask.is_wanted:
            del self._asks[session_id]
            return lost
        self._wait(ask, now + self._rules.retry_s, claims=False)
        return lost

    def handle_failed(
        self, asked: LookUp | ClaimHome, code: ErrorCode, now: float
    ) -> list[HomeEffect]:
        """The engine did not answer, or refused a claim. What is held goes on."""
        session_id = asked.session_id
        ask = self._asks.get(session_id)
        step = _Step.CLAIMING if isinstance(asked, ClaimHome) else _Step.LOOKING
        if ask is None or ask.step is not step:
            return []
        if isinstance(asked, ClaimHome) and asked.me != self.incarnation:
            return []
        if session_id in self._held:
            self._wait(ask, now + self._rules.retry_s, claims=True)
            return []
        del self._asks[session_id]
        return [Refuse(session_id, code)] if ask.is_wanted else []

    def handle_released(self, session_id: str) -> list[HomeEffect]:
        ask = self._asks.get(session_id)
        if ask is None or ask.step is not _Step.RELEASING:
            return []
        if not ask.is_wanted:
            del self._asks[session_id]
            return []
        ask.step = _Step.LOOKING
        return [LookUp(session_id)]

    def handle_count(self, homes: int, epochs: int) -> list[HomeEffect]:
        """How many homes the table gives to this node, and the sum of their epochs: answers that
        were lost show here, and claims that were given up and arrived all the same."""
        here = sum(held.home.epoch for held in self._held.values())
        wrong = (homes, epochs) != (len(self._held), here) and not self._asks
        self._wrong_counts = self._wrong_counts + 1 if wrong else 0
        return self.handle_audit() if self._wrong_counts > 1 else []

    def handle_audit(self) -> list[HomeEffect]:
        if self._reads_homes or not self._rules.audits:
            return []
        self._reads_homes, self._wrong_counts = True, 0
        return [ReadHomes()]

    def handle_homes_unread(self) -> list[HomeEffect]:
        """They are asked for again with the next beat."""
        self._reads_homes, self._wrong_counts = False, 1
        return []

    def handle_homes(self, homes: Iterable[Home]) -> list[HomeEffect]:
        """Claims what is held and not in the table; releases what is there and not held. A higher
        epoch in the table is that of a claim of this node's own, which had been given up."""
        self._reads_homes = False
        table = {home.session_id: home for home in homes if home.incarnation == self.incarnation}
        effects: list[HomeEffect] = []
        for session_id, held in self._held.items():
            found = table.get(session_id)
            if session_id in self._asks:
                continue
            if found is None or found.epoch < held.home.epoch:
                effects += self._renew(session_id, held)
            elif found.epoch > held.home.epoch:
                held.home = found
                effects.append(Reclaimed(found))
        for session_id, home in table.items():
            if session_id not in self._held and session_id not in self._asks:
                effects += self._release(home, is_wanted=False)
        return effects

    def handle_reborn(self, incarnation: int) -> list[HomeEffect]:
        """This node has a new life. Answers to its earlier one count no more."""
        self.incarnation = incarnation
        effects: list[HomeEffect] = []
        for session_id, held in self._held.items():
            effects += self._renew(session_id, held)
        for session_id, ask in self._asks.items():
            if ask.step is _Step.CLAIMING and session_id not in self._held:
                ask.step = _Step.LOOKING
                effects.append(LookUp(session_id))
        return effects

    def poll(self, now: float) -> list[HomeEffect]:
        effects: list[HomeEffect] = []
        for session_id, ask in self._asks.items():
            if ask.step is not _Step.WAITING or now < ask.due:
                continue
            if ask.claims:
                effects += self._claim(session_id, ask)
            else:
                ask.step = _Step.LOOKING
                effects.append(LookUp(session_id))
        idle = [
            (session_id, held)
            for session_id, held in self._held.items()
            if held.idle_since is not None and now >= held.idle_since + self._rules.linger_s
        ]
        for session_id, held in idle:
            if session_id not in self._asks:
                del self._held[session_id]
                effects += self._release(held.home, is_wanted=False)
        return effects

    def _renew(self, session_id: str, held: _Held) -> list[HomeEffect]:
        """No limit: the session is there, and counted no more than before."""
        ask = self._asks[session_id] = _Ask(held.home.project_id, None, is_wanted=False)
        return self._claim(session_id, ask)

    def _claim(self, session_id: str, ask: _Ask) -> list[HomeEffect]:
        ask.step = _Step.CLAIMING
        return [ClaimHome(session_id, ask.project_id, ask.limit, self.incarnation)]

    def _release(self, home: Home, *, is_wanted: bool) -> list[HomeEffect]:
        self._asks[home.session_id] = _Ask(
            home.project_id, None, step=_Step.RELEASING, is_wanted=is_wanted
        )
        return [ReleaseHome(home)]

    def _wait(self, ask: _Ask, due: float, *, claims: bool) -> None:
        ask.step, ask.due, ask.claims = _Step.WAITING, due, claims

    def _lose(self, session_id: str) -> Lost:
        return Lost(self._held.pop(session_id).home)

    def _rank(self, session_id: str) -> int:
        """How many nodes are before this one. By lot, the same on every node: each session has an
        order of its own, so that the homes of a dead node are spread."""
        order = sorted(self._living, key=lambda one: (_lot(session_id, one), one))
        return order.index(self.incarnation) if self.incarnation in order else len(order)


def _lot(session_id: str, incarnation: int) -> int:
    text = f"{session_id} {incarnation}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())
