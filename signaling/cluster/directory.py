"""The shell of a node in a cluster: clock, tasks and engine of `membership` and `homing`.

It implements `base.Cluster`. A call of the engine that takes too long counts as one that failed;
what it did there all the same shows in the count of homes that each beat answers.

What nobody expected ends no loop: a node that silently beat no more would go on with sessions that
others have claimed. It is logged and counted. A call that raised is as one that failed, so that a
node which can ask nothing is unsure; the others declare it dead when its beats do not come.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import structlog

from signaling.clock import Clock
from signaling.cluster.base import (
    Change,
    Figures,
    NodeCame,
    NodeDied,
    OnChange,
    Reborn,
    Renewed,
    Superseded,
)
from signaling.cluster.engine import Beat, Engine, Home, NodeRow, NodeState
from signaling.cluster.homing import (
    Answer,
    ClaimHome,
    HomeEffect,
    HomeRules,
    Homing,
    LookUp,
    Lost,
    ReadHomes,
    Reclaimed,
    Refuse,
    ReleaseHome,
)
from signaling.cluster.membership import (
    Audit,
    Came,
    Certify,
    Died,
    Effect,
    Gone,
    Membership,
    SendBeat,
)
from signaling.domain.errors import DomainError, ErrorCode, error

log = structlog.get_logger(__name__)

CALL_S = 5.0
"""A call of the engine that takes longer has failed: as long as requests wait for a home."""
RETRY_S = 0.25
IDLE_S = 1.0
SWEEP_S = 60.0
"""What a dead node had is kept that long for its clients, who come to other nodes. Then it counts
against the limit of its project no more."""

Fail = Callable[[ErrorCode], None]


class ClusterDirectory:
    """One node of a cluster; `start` and `close` are its begin and its end."""

    def __init__(
        self, engine: Engine, row: NodeRow, clock: Clock, rules: HomeRules | None = None
    ) -> None:
        self._engine, self._row, self._clock = engine, row, clock
        self._member: Membership | None = None
        self._homing = Homing(0, rules)
        self._state = NodeState.READY
        self._waiting: dict[str, list[asyncio.Future[Home]]] = {}
        self._watchers: list[OnChange] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._figures = Figures()

    # --- what the rest of the server sees -------------------------------------------------

    @property
    def me(self) -> int:
        return self._homing.incarnation

    @property
    def is_unsure(self) -> bool:
        return self._member is None or self._member.is_unsure(self._now())

    async def home(self, session_id: str, project_id: str, limit: int | None = None) -> Home:
        answer: asyncio.Future[Home] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(session_id, []).append(answer)
        self._act(self._homing.handle_wanted(session_id, project_id, limit, self._now()))
        return await answer

    async def find(self, session_id: str) -> Home | None:
        known = self._homing.known(session_id)
        if known is not None:
            return known
        try:
            async with asyncio.timeout(CALL_S):
                home = await self._engine.home_of(session_id)
        except TimeoutError:
            raise error(ErrorCode.STORAGE_UNAVAILABLE) from None
        # What this node came to hold meanwhile is newer than what the engine said.
        known = self._homing.known(session_id)
        if known is not None or home is None:
            return known
        return home if self._homing.handle_seen(home) else None

    def held(self, session_id: str) -> Home | None:
        return self._homing.held(session_id)

    def show(self, session_id: str, epoch: int) -> None:
        self._act(self._homing.handle_shown(session_id, epoch))

    def forget(self, session_id: str) -> None:
        self._homing.handle_forgotten(session_id)

    def occupied(self, session_id: str, *, is_occupied: bool) -> None:
        self._homing.handle_occupied(session_id, self._now(), is_occupied=is_occupied)
        self._wake.set()

    def node(self, incarnation: int) -> NodeRow | None:
        return None if self._member is None else self._member.node(incarnation)

    def nodes(self) -> tuple[NodeRow, ...]:
        return () if self._member is None else self._member.nodes()

    def heard(self, incarnation: int) -> None:
        if self._member is not None:
            self._member.handle_heard(incarnation)

    def lost(self, incarnation: int, *, refused: bool) -> None:
        if self._member is not None:
            self._member.handle_lost(incarnation, self._now(), refused=refused)
            self._wake.set()

    def watch(self, on_change: OnChange) -> None:
        self._watchers.append(on_change)

    def figures(self) -> Figures:
        now, member = self._now(), self._member
        silent_s = 0.0 if member is None else member.unacknowledged_s(now)
        return replace(self._figures, homes=len(self._homing), silent_s=silent_s)

    def drain(self) -> None:
        """With the next beat, at the latest in a second."""
        self._state = NodeState.DRAINING

    # --- begin and end --------------------------------------------------------------------

    async def start(self) -> None:
        """Joins, and beats from now on. Errors: `storage_unavailable`."""
        self._live(await self._engine.join(replace(self._row, state=self._state)))
        self._loops = [asyncio.create_task(self._beat()), asyncio.create_task(self._sweep())]

    async def close(self) -> None:
        """Leaves: others may be home at once. An engine that is away is not waited for."""
        tasks = [*self._loops, *self._calls]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for session_id in [*self._waiting]:
            self._refuse(session_id, ErrorCode.SERVER_SHUTDOWN)
        try:
            async with asyncio.timeout(CALL_S):
                await self._engine.leave(self.me)
        except (DomainError, TimeoutError):
            log.warning("left the cluster unsaid", incarnation=self.me)

    def _live(self, incarnation: int) -> None:
        self._figures.lives += 1
        self._member = Membership(incarnation, self._now())
        self._act(self._homing.handle_reborn(incarnation))
        self._wake.set()

    async def _beat(self) -> None:
        while True:
            self._wake.clear()
            pause_s = RETRY_S
            try:
                if self._member is not None:
                    self._act(self._member.poll(self._now()))
                self._act(self._homing.poll(self._now()))
                pause_s = self._pause_s()
            except Exception:
                self._note_fault("beat")
                log.exception("beat failed")
                await asyncio.sleep(RETRY_S)  # even if something wakes it at once
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()

    def _pause_s(self) -> float:
        beat = None if self._member is None else self._member.next_beat
        dues = [due for due in (beat, self._homing.next_due()) if due is not None]
        return max(0.0, min([IDLE_S, *(due - self._now() for due in dues)]))

    async def _sweep(self) -> None:
        """By the oldest node alone, of what had no living node a minute ago either."""
        before: frozenset[int] = frozenset()
        while True:
            await asyncio.sleep(SWEEP_S)
            if self.nodes() and self.nodes()[0].incarnation == self.me:
                try:
                    now = await self._engine.orphans()
                    await self._engine.sweep(before & now)
                    before = now
                except DomainError:
                    before = frozenset()
                except Exception:
                    self._note_fault("sweep")
                    log.exception("sweep failed")
                    before = frozenset()

    def _now(self) -> float:
        return self._clock.monotonic_s()

    # --- effects --------------------------------------------------------------------------

    def _act(self, effects: "list[Effect] | list[HomeEffect]") -> None:
        for effect in effects:
            match effect:
                case SendBeat() | Certify() | Died() | Audit():
                    self._act_as_member(effect)
                case Came(node):
                    self._tell(NodeCame(node))
                case Gone(incarnation):
                    self._figures.gone += 1
                    self._homing.handle_gone(incarnation)
                    self._tell(NodeDied(incarnation))
                case Answer(home):
                    self._answer(home)
                case Refuse(session_id, code):
                    self._refuse(session_id, code)
                case Lost(home):
                    self._figures.superseded += 1
                    self._tell(Superseded(home.session_id, home.epoch))
                case Reclaimed(home):
                    self._tell(Renewed(home))
                case _:
                    self._act_as_home(effect)
        if effects:
            self._wake.set()

    def _act_as_member(self, effect: SendBeat | Certify | Died | Audit) -> None:
        member = self._member
        if member is None:
            return
        match effect:
            case SendBeat(hears):
                beat = Beat(self.me, self._state, hears, self._row.load)

                def failed(_code: ErrorCode) -> None:
                    self._figures.beats_failed += 1
                    member.handle_failure(self._now())

                self._call(partial(self._sent, member, beat), failed)
            case Certify():
                self._call(partial(self._certified, member, effect), _ignore)
            case Died():
                log.warning("declared dead by other nodes", incarnation=self.me)
                self._member = None
                self._rejoin()
            case Audit():
                self._act(self._homing.handle_audit())

    def _act_as_home(self, effect: HomeEffect) -> None:
        homing = self._homing
        match effect:
            case LookUp() | ClaimHome():

                def failed(code: ErrorCode) -> None:
                    self._act(homing.handle_failed(effect, code, self._now()))

                self._call(partial(self._asked, effect), failed)
            case ReleaseHome():
                self._call(partial(self._released, effect), partial(self._unreleased, effect))
            case ReadHomes():
                self._call(self._homes_read, self._homes_unread)

    async def _sent(self, member: Membership, beat: Beat) -> None:
        begin_s = self._now()
        view = await self._engine.beat(beat)
        self._figures.beats += 1
        self._figures.beat_s = self._now() - begin_s
        if self._member is member:
            effects = member.handle_view(view, self._now())
            self._homing.handle_nodes(member.nodes())
            self._act(effects)
            if self._member is member:
                self._act(self._homing.handle_count(view.homes, view.epochs))

    async def _certified(self, member: Membership, effect: Certify) -> None:
        is_dead = await self._engine.certify(effect.incarnation, effect.seen_beat)
        if self._member is member:
            self._act(member.handle_certified(effect.incarnation, is_dead=is_dead))

    async def _asked(self, effect: LookUp | ClaimHome) -> None:
        engine, homing = self._engine, self._homing
        if isinstance(effect, LookUp):
            home = await engine.home_of(effect.session_id)
            self._act(homing.handle_found(effect.session_id, home, self._now()))
            return
        home = await engine.claim(effect.session_id, effect.project_id, effect.limit, effect.me)
        self._figures.claims += home is not None
        self._figures.claims_lost += home is None
        self._act(homing.handle_claimed(effect, home, self._now()))

    async def _released(self, effect: ReleaseHome) -> None:
        await self._engine.release(effect.home)
        self._act(self._homing.handle_released(effect.home.session_id))

    def _unreleased(self, effect: ReleaseHome, _code: ErrorCode) -> None:
        self._act(self._homing.handle_released(effect.home.session_id))

    async def _homes_read(self) -> None:
        self._act(self._homing.handle_homes(await self._engine.homes_of(self.me)))

    def _homes_unread(self, _code: ErrorCode) -> None:
        self._act(self._homing.handle_homes_unread())

    def _rejoin(self) -> None:
        async def join() -> None:
            self._live(await self._engine.join(replace(self._row, state=self._state)))
            self._tell(Reborn(self.me))

        def again(_code: ErrorCode) -> None:
            asyncio.get_running_loop().call_later(RETRY_S, self._rejoin)

        self._call(join, again)

    def _call(self, work: Callable[[], Awaitable[None]], failed: Fail) -> None:
        """`failed` instead of what follows the call, if the engine does not answer in time."""

        async def run() -> None:
            try:
                async with asyncio.timeout(CALL_S):
                    await work()
            except DomainError as refusal:
                failed(refusal.code)
            except TimeoutError:
                failed(ErrorCode.STORAGE_UNAVAILABLE)
            except Exception:
                self._note_fault("call")
                log.exception("call of the engine failed")
                failed(ErrorCode.STORAGE_UNAVAILABLE)
            self._wake.set()

        task = asyncio.create_task(run())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    def _answer(self, home: Home) -> None:
        for answer in self._waiting.pop(home.session_id, []):
            if not answer.done():
                answer.set_result(home)

    def _refuse(self, session_id: str, code: ErrorCode) -> None:
        for answer in self._waiting.pop(session_id, []):
            if not answer.done():
                answer.set_exception(error(code))

    def _tell(self, change: Change) -> None:
        for on_change in self._watchers:
            try:
                on_change(change)
            except Exception:
                self._note_fault("watcher")
                log.exception("change not followed", change=type(change).__name__)

    def _note_fault(self, where: str) -> None:
        self._figures.faults[where] = self._figures.faults.get(where, 0) + 1


def _ignore(_code: ErrorCode) -> None:
    """The next reading judges again."""
