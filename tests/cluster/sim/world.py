"""Nodes, clients, links and an engine on virtual time: the pure parts of a cluster, driven by one
seeded loop. What the shells do with sockets and a database is done here with a heap of events."""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable
from itertools import count

from signaling.cluster.engine import Beat, NodeRow, NodeState
from signaling.cluster.engine_memory import ClusterTable
from signaling.cluster.homing import (
    Answer,
    ClaimHome,
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
    Gone,
    Membership,
    SendBeat,
)
from signaling.domain.error_codes import ErrorCode
from signaling.domain.errors import DomainError
from tests.cluster.sim import parts
from tests.cluster.sim.parts import Client, Mutation, Violation


class Node:
    """One machine: a process that may be killed and started again."""

    def __init__(self, world: "World", index: int) -> None:
        self.world, self.index = world, index
        self.offset = world.random.uniform(-1e6, 1e6)
        self.is_up = self.is_cut_from_clients = self.is_cut_from_engine = False
        self.frozen_until = 0.0
        self.process = 0
        self.start()

    def now(self) -> float:
        return self.world.now + self.offset

    def start(self) -> None:
        self.process += 1
        self.is_up = True
        self.member: Membership | None = None
        self.homing = self.world.mutation.homing(0, self.world.mutation.homes)
        self.waiting: dict[str, list[Callable[[], None]]] = defaultdict(list)
        self.used_at: dict[str, float] = {}
        self.heard_at: dict[int, float] = {}
        self.forwarded: list[tuple[int, list[int], Callable[[], None]]] = []
        self.join()
        self.later(parts.TICK_S * self.world.random.random(), self.tick)

    def kill(self) -> None:
        self.is_up = False
        if self.member is None:
            return
        me = self.member.incarnation
        for other in self.world.nodes:
            if other.is_up and self.world.reaches(other, self):
                other.later(0.01, lambda o=other: o.hear_refusal(me))

    def later(self, delay: float, act: Callable[[], None]) -> None:
        """In this process, if it still runs; when it is awake."""
        process = self.process

        def run() -> None:
            if not self.is_up or self.process != process:
                return
            if self.world.now < self.frozen_until:
                self.world.at(self.frozen_until + 0.001, run)
            else:
                act()

        self.world.at(self.world.now + delay, run)

    # --- the engine ---------------------------------------------------------------------

    def ask(self, work, answer, fail, way: float = 0.0) -> None:
        """`work(table)` at the engine; then `answer(result)` or `fail(error)` here, never both.
        `way`: how much longer than usual it is on its way there."""
        world, done = self.world, []
        asked = world.table

        def once(act) -> Callable[[], None]:
            def run() -> None:
                if not done:
                    done.append(1)
                    act()

            return run

        def at_engine() -> None:
            # What is on its way when the database fails over is lost with its connection.
            if world.engine_away or self.is_cut_from_engine or world.table is not asked:
                return
            try:
                result = work(world.table)
            except DomainError as error:
                failed = error.code
                self.later(world.engine_delay(), once(lambda: fail(failed)))
                return
            self.later(world.engine_delay(), once(lambda: answer(result)))

        if world.engine_away:
            self.later(0.02, once(lambda: fail(ErrorCode.STORAGE_UNAVAILABLE)))
            return
        world.at(world.now + world.engine_delay() + way, at_engine)
        self.later(parts.CALL_FAILS_S, once(lambda: fail(ErrorCode.STORAGE_UNAVAILABLE)))

    def join(self) -> None:
        row = NodeRow(name=f"n{self.index}")
        self.ask(
            lambda table: table.join(row),
            self.joined,
            lambda _code: self.later(0.25, self.join),
        )

    def joined(self, incarnation: int) -> None:
        self.member = Membership(incarnation, self.now(), self.world.mutation.rules)
        self.world.lives[incarnation] = (self, self.process)
        self.heard_at.clear()
        self.act(self.homing.handle_reborn(incarnation))
        self.poll()

    # --- effects ------------------------------------------------------------------------

    def poll(self) -> None:
        if self.member is not None:
            self.act(self.member.poll(self.now()))
        self.act(self.homing.poll(self.now()))

    def act(self, effects) -> None:
        for effect in effects:
            if not isinstance(effect, Came | Reclaimed):
                getattr(self, f"on_{type(effect).__name__.lower()}")(effect)

    def on_sendbeat(self, effect: SendBeat) -> None:
        member = self.member
        beat = Beat(member.incarnation, NodeState.READY, effect.hears)

        def answered(view) -> None:
            if self.member is not member:
                return
            effects = member.handle_view(view, self.now())
            self.homing.handle_nodes(member.nodes())
            self.act(effects)
            self.act(self.homing.handle_count(view.homes, view.epochs))
            self.wake()

        def failed(_code) -> None:
            member.handle_failure(self.now())
            self.wake()

        self.ask(lambda table: self.world.beat(table, beat), answered, failed)

    def wake(self) -> None:
        if self.member is not None and self.member.next_beat is not None:
            self.later(max(0.0, self.member.next_beat - self.now()) + 0.0005, self.poll)

    def on_certify(self, effect: Certify) -> None:
        member = self.member
        self.ask(
            lambda table: self.world.certify(table, effect),
            lambda done: self.certified(member, effect.incarnation, done),
            lambda _code: None,
            self.world.way(),
        )

    def certified(self, member: Membership, incarnation: int, done: bool) -> None:
        if self.member is member:
            self.act(member.handle_certified(incarnation, is_dead=done))

    def on_gone(self, effect: Gone) -> None:
        self.heard_at.pop(effect.incarnation, None)
        self.homing.handle_gone(effect.incarnation)
        again = [one for one in self.forwarded if one[0] == effect.incarnation and not one[1]]
        if self.world.mutation.homes.ends_routes:
            for _, answered, go_on in again:
                answered.append(1)
                go_on()

    def on_died(self, _effect: Died) -> None:
        self.member = None
        self.join()

    def on_audit(self, _effect: Audit) -> None:
        self.act(self.homing.handle_audit())

    def on_lookup(self, effect: LookUp) -> None:
        self.ask(
            lambda table: table.home_of(effect.session_id),
            lambda home: self.act(self.homing.handle_found(effect.session_id, home, self.now())),
            lambda code: self.act(self.homing.handle_failed(effect, code, self.now())),
        )
        self.later(0.5, self.poll)

    def on_claimhome(self, effect: ClaimHome) -> None:
        self.ask(
            lambda table: self.world.claim(table, effect),
            lambda home: self.act(self.homing.handle_claimed(effect, home, self.now())),
            lambda code: self.act(self.homing.handle_failed(effect, code, self.now())),
            self.world.way(),
        )

    def on_releasehome(self, effect: ReleaseHome) -> None:
        session_id = effect.home.session_id
        self.ask(
            lambda table: table.release(effect.home),
            lambda _done: self.act(self.homing.handle_released(session_id)),
            lambda _code: self.act(self.homing.handle_released(session_id)),
        )

    def on_readhomes(self, _effect: ReadHomes) -> None:
        me = self.homing.incarnation
        self.ask(
            lambda table: table.homes_of(me),
            lambda homes: self.act(self.homing.handle_homes(homes)),
            lambda _code: self.act(self.homing.handle_homes_unread()),
        )

    def on_answer(self, effect: Answer) -> None:
        for go_on in self.waiting.pop(effect.home.session_id, []):
            go_on()

    def on_refuse(self, effect: Refuse) -> None:
        self.waiting.pop(effect.session_id, None)

    def on_lost(self, effect: Lost) -> None:
        self.used_at.pop(effect.home.session_id, None)

    # --- links --------------------------------------------------------------------------

    def hear_refusal(self, incarnation: int) -> None:
        if self.member is not None:
            self.heard_at.pop(incarnation, None)
            self.member.handle_lost(incarnation, self.now(), refused=True)
            self.wake()

    def tick(self) -> None:
        self.later(parts.TICK_S, self.tick)
        if self.member is not None:
            for row in self.member.nodes():
                if row.incarnation != self.member.incarnation:
                    self._ping(row.incarnation)
        now = self.world.now
        for session_id in [f"s{n}" for n in range(parts.SESSIONS)]:
            if self.homing.held(session_id) is not None:
                used = now - self.used_at.get(session_id, -1e9) < parts.UNUSED_S
                if used or session_id in self.used_at:
                    self.homing.handle_occupied(session_id, self.now(), is_occupied=used)
                if not used:
                    self.used_at.pop(session_id, None)
        self.poll()

    def _ping(self, incarnation: int) -> None:
        if incarnation not in self.world.lives:  # the answer to its join was lost
            self.hear_refusal(incarnation)
            return
        node, process = self.world.lives[incarnation]
        world, now = self.world, self.world.now
        both_ways = world.reaches(self, node) and world.reaches(node, self)
        is_this = node.is_up and node.process == process
        answers = both_ways and is_this and now >= node.frozen_until
        if both_ways and not is_this:
            self.hear_refusal(incarnation)
        elif answers:
            if incarnation not in self.heard_at:
                self.member.handle_heard(incarnation)
            self.heard_at[incarnation] = now
        elif incarnation in self.heard_at and now - self.heard_at[incarnation] > parts.PING_S:
            del self.heard_at[incarnation]
            self.member.handle_lost(incarnation, self.now(), refused=False)
            self.wake()

    # --- clients ------------------------------------------------------------------------

    def take_command(self, client: Client, number: int, until: float) -> None:
        """As a gate."""
        if self.world.now > until or self.is_cut_from_clients:
            return
        session_id = client.session
        self.act(self.homing.handle_shown(session_id, client.epoch))
        again = lambda: self.take_command(client, number, until)  # noqa: E731
        effects = self.homing.handle_wanted(session_id, "p", parts.LIMIT, self.now())
        if not any(isinstance(effect, Answer) for effect in effects):
            self.waiting[session_id].append(again)
            self.act(effects)
            return
        home = effects[0].home
        if home.incarnation == self.homing.incarnation or self.homing.held(session_id) is not None:
            self.serve(client, number, self)
            return
        self._forward(client, number, home.incarnation, until)

    def _forward(self, client: Client, number: int, to: int, until: float) -> None:
        node, process = self.world.lives[to]
        answered: list[int] = []
        self.forwarded = [one for one in self.forwarded if not one[1]]
        self.forwarded.append((to, answered, lambda: self.take_command(client, number, until)))

        def at_home() -> None:
            if not node.is_up or node.process != process or not self.world.reaches(node, self):
                return
            if not node.serve(client, number, self):
                answered.append(1)
                node.invite(client)
                self.later(0.002, not_home)
                return
            answered.append(1)

        def not_home() -> None:
            self.homing.handle_forgotten(client.session)
            self.later(0.05, lambda: self.take_command(client, number, until))

        def unreachable() -> None:
            if answered:
                return
            self.homing.handle_forgotten(client.session)
            self.world.leave(client, self)

        if self.world.reaches(self, node) and node.is_up:
            node.later(0.002, at_home)
        self.later(parts.GATE_WAITS_S, unreachable)

    def invite(self, client: Client) -> None:
        """A node that others take for the home of a session and that does not hold it."""
        self.act(self.homing.handle_wanted(client.session, "p", parts.LIMIT, self.now()))

    def serve(self, client: Client, number: int, gate: "Node") -> bool:
        """As a home."""
        self.act(self.homing.handle_shown(client.session, client.epoch))
        home = self.homing.held(client.session)
        if home is None:
            return False
        self.used_at[client.session] = self.world.now
        self.homing.handle_occupied(client.session, self.now(), is_occupied=True)
        self.world.accepted(self, home)
        gate.later(0.004, lambda: gate.reply(client, number, home.epoch))
        return True

    def reply(self, client: Client, number: int, epoch: int) -> None:
        if not self.is_cut_from_clients and client.gate is self and client.lives:
            self.world.served(client, number, epoch)


class World:
    def __init__(self, seed: int, mutation: Mutation | None = None) -> None:
        self.random = random.Random(seed)
        self.mutation = mutation or Mutation()
        self.now = 0.0
        self._events: list = []
        self._order = count()
        self.table = self.mutation.table()
        self.history: list[tuple[float, ClusterTable]] = []
        self.engine_away = False
        self.engine_slow = 1.0
        self.late_until = 0.0
        self.cuts: set[tuple[int, int]] = set()
        self.lives: dict[int, tuple[Node, int]] = {}
        self.owners: dict[tuple[str, int], tuple[int, int]] = {}
        self.beat_at: dict[int, float] = {}
        self.certificates = self.claims = self.needless = 0
        self.nodes: list[Node] = []
        for index in range(parts.NODES):
            self.nodes.append(Node(self, index))
        self.clients = [Client(number) for number in range(parts.CLIENTS)]
        for client in self.clients:
            self.at(1.0 + self.random.random(), lambda c=client: self.command(c))
        self.at(0.0, self.keep)

    def at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), act))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, act = heapq.heappop(self._events)
            act()
        self.now = until

    def keep(self) -> None:
        self.history = [*self.history[-8:], (self.now, self.table.copy())]
        self.at(self.now + 0.5, self.keep)

    def rewind(self, seconds: float) -> None:
        """A fail-over that loses the newest writes."""
        earlier = [table for when, table in self.history if when <= self.now - seconds]
        timeline = self.table.timeline + 1
        if earlier:
            self.table = earlier[-1].copy()
        self.table.timeline = timeline
        self.history = []

    def way(self) -> float:
        """Claims and certificates may wait on their way, in a pooler or in a socket's queue, until
        long after who asked has given them up."""
        most = min(6.0, self.late_until - self.now)
        return self.random.uniform(0.0, most) if most > 0 else 0.0

    def engine_delay(self) -> float:
        return self.random.uniform(0.001, 0.003) * self.engine_slow

    def reaches(self, one: Node, other: Node) -> bool:
        return (one.index, other.index) not in self.cuts

    # --- what is checked at the engine ------------------------------------------------------

    def beat(self, table: ClusterTable, beat: Beat):
        view = table.beat(beat)
        if view.row(beat.incarnation) is not None:
            self.beat_at[beat.incarnation] = self.now
        return view

    def certify(self, table: ClusterTable, effect: Certify) -> bool:
        living = any(
            row.incarnation == effect.incarnation and row.state is NodeState.READY
            for row in table.nodes()
        )
        done = table.certify(effect.incarnation, effect.seen_beat)
        if done and living:
            self.certificates += 1
            if self.now - self.beat_at.get(effect.incarnation, -1e9) < 1.0:
                raise Violation("P5: a node whose beat changed within 1 s is certified")
            node, process = self.lives.get(effect.incarnation, (self.nodes[0], 0))
            healthy = node.is_up and node.process == process and not node.is_cut_from_engine
            self.needless += healthy and self.now >= node.frozen_until
        return done

    def claim(self, table: ClusterTable, effect: ClaimHome):
        is_more = table.home_of(effect.session_id) is None
        home = table.claim(effect.session_id, effect.project_id, effect.limit, effect.me)
        if home is None:
            return None
        self.claims += 1
        if not any(
            row.incarnation == effect.me and row.state is NodeState.READY for row in table.nodes()
        ):
            raise Violation("P3: a dead node has changed something")
        taken = sum(table.home_of(f"s{number}") is not None for number in range(parts.SESSIONS))
        if effect.limit is not None and is_more and taken > effect.limit:
            raise Violation("P12: more sessions than the limit")
        return home

    # --- clients ------------------------------------------------------------------------

    def command(self, client: Client) -> None:
        if not client.lives:
            return
        self.at(self.now + parts.COMMAND_S, lambda: self.command(client))
        if client.gate is None or not client.gate.is_up:
            up = [node for node in self.nodes if node.is_up and node is not client.left]
            if not up:
                return
            client.gate, client.asked = self.random.choice(up), 0
        gate, number = client.gate, next(self._order)
        if client.asked == 0:
            client.asked = number
            self.at(self.now + parts.CLIENT_WAITS_S, lambda: self.give_up(client, gate, number))
        gate.later(0.001, lambda: gate.take_command(client, number, self.now + parts.PATIENCE_S))

    def give_up(self, client: Client, gate: Node, number: int) -> None:
        if client.asked == number:
            self.leave(client, gate)

    def leave(self, client: Client, gate: Node) -> None:
        if client.gate is gate:
            client.gate, client.asked, client.left = None, 0, gate

    def accepted(self, node: Node, home) -> None:
        owner = (home.incarnation, node.index)
        if self.owners.setdefault((home.session_id, home.epoch), owner) != owner:
            raise Violation("P1: two homes in one epoch")

    def served(self, client: Client, number: int, epoch: int) -> None:
        if epoch < client.epoch:
            if self.mutation.clients_have_fences:
                return
            raise Violation("P2: a client took something of an earlier epoch")
        client.epoch = epoch
        client.asked = 0
        if client.served_at:
            client.worst_gap = max(client.worst_gap, self.now - client.served_at)
        client.served_at = self.now
