"""Runs of the simulation: faults by seed, and what must hold at the end of each."""

from collections.abc import Callable

from tests.cluster.sim.parts import LIMIT, NODES, SESSIONS, Mutation, Violation
from tests.cluster.sim.world import World

HEALED_S = 18.0
GAPS_S = {"kill": 4.0, "cut": 6.0, "freeze": 7.0, "engine": 1.0}
"""The longest gap of service that a single fault may make (P6, P5)."""


def kill(world: World, end: float) -> None:
    node = world.random.choice(world.nodes)
    if node.is_up:
        node.kill()
        world.at(end, lambda: node.is_up or node.start())


def freeze(world: World, end: float) -> None:
    world.random.choice(world.nodes).frozen_until = min(world.now + 8.0, end)


def cut(world: World, end: float) -> None:
    """A node that nobody reaches: no other node, no client, and it not the engine."""
    node = world.random.choice(world.nodes)
    pairs = {(node.index, other) for other in range(NODES)}
    _cut(world, pairs | {(b, a) for a, b in pairs}, end)
    node.is_cut_from_clients = node.is_cut_from_engine = True

    def heal() -> None:
        node.is_cut_from_clients = node.is_cut_from_engine = False

    world.at(end, heal)


def cut_but_for_clients(world: World, end: float) -> None:
    node = world.random.choice(world.nodes)
    pairs = {(node.index, other) for other in range(NODES)}
    _cut(world, pairs | {(b, a) for a, b in pairs}, end)
    cut_engine(world, end)


def cut_engine(world: World, end: float) -> None:
    node = world.random.choice(world.nodes)
    node.is_cut_from_engine = True
    world.at(end, lambda: setattr(node, "is_cut_from_engine", False))


def cut_pair(world: World, end: float) -> None:
    a, b = world.random.sample(range(NODES), 2)
    _cut(world, {(a, b), (b, a)}, end)


def cut_one_way(world: World, end: float) -> None:
    a, b = world.random.sample(range(NODES), 2)
    _cut(world, {(a, b)}, end)


def cut_alone(world: World, end: float) -> None:
    """A node that hears nobody, and reaches the engine and clients."""
    node = world.random.randrange(NODES)
    pairs = {(node, other) for other in range(NODES)}
    _cut(world, pairs | {(b, a) for a, b in pairs}, end)


def _cut(world: World, pairs: set[tuple[int, int]], end: float) -> None:
    world.cuts |= pairs
    world.at(end, lambda: world.cuts.difference_update(pairs))


def engine(world: World, end: float) -> None:
    world.engine_away = True
    world.at(end, lambda: setattr(world, "engine_away", False))


def slow(world: World, end: float) -> None:
    world.engine_slow = 300.0
    world.at(end, lambda: setattr(world, "engine_slow", 1.0))


def late(world: World, _end: float) -> None:
    """Claims and certificates arrive seconds late, while those who asked for them die, or those
    whom they are about wake up."""
    world.late_until = HEALED_S
    for after in (0.0, 2.4):
        world.at(world.now + after, lambda: kill(world, HEALED_S))
    freeze(world, world.now + 4.0)


def rewind_after_kill(world: World, end: float) -> None:
    """A fail-over that loses who took over the sessions of a node that died."""
    kill(world, end)
    world.at(world.now + world.random.uniform(2.0, 4.0), lambda: rewind(world, end))


def rewind(world: World, _end: float) -> None:
    world.rewind(world.random.uniform(0.2, 3.0))


def leave(world: World, _end: float) -> None:
    """All clients of a session go."""
    session = f"s{world.random.randrange(SESSIONS)}"
    for client in world.clients:
        client.lives = client.lives and client.session != session


Fault = Callable[[World, float], None]
FAULTS: tuple[Fault, ...] = (
    kill, freeze, cut, cut_but_for_clients, cut_engine, cut_pair, cut_one_way, cut_alone, engine,
    slow, rewind, leave, late, rewind_after_kill,
)  # fmt: skip
SINGLE: tuple[Fault, ...] = (kill, cut, freeze, engine)


def run(seed: int, mutation: Mutation | None = None) -> World:
    """One run. Errors: `Violation`."""
    world = World(seed, mutation)
    single = SINGLE[seed // 4 % len(SINGLE)] if seed % 4 == 0 else None
    faults = [single] if single else world.random.choices(FAULTS, k=world.random.randint(1, 4))
    for fault in faults:
        begin = world.random.uniform(6.0, 10.0) if single else world.random.uniform(1.0, 14.0)
        end = HEALED_S if single else world.random.uniform(begin, HEALED_S)
        world.at(begin, lambda f=fault, e=end: f(world, e))
    if single is not None:
        world.run(6.0)
    before = (world.claims, world.certificates)
    world.run(HEALED_S)
    if single is engine and (world.claims, world.certificates) != before:
        raise Violation("P5: an engine that is away makes claims or certificates")
    world.run(HEALED_S + 6.0)
    if single is not None:
        worst = max(client.worst_gap for client in world.clients if client.served_at)
        if worst > GAPS_S[single.__name__]:
            raise Violation(f"P6: {worst:.1f} s without service after {single.__name__}")
    _check_healed(world)
    world.run(world.now + 8.0)
    _check_empty(world)
    return world


def _check_healed(world: World) -> None:
    """P4, but for what is empty. A session beyond the limit of its project has no home."""
    for number in range(SESSIONS):
        session = f"s{number}"
        clients = [c for c in world.clients if c.session == session and c.lives]
        row = world.table.home_of(session)
        holders = [n for n in world.nodes if n.is_up and n.homing.held(session) is not None]
        if not clients or (row is None and not holders and _is_full(world)):
            continue
        if row is None or len(holders) != 1:
            raise Violation(f"P4: {session} has {len(holders)} homes")
        held = holders[0].homing.held(session)
        if (held.incarnation, held.epoch) != (row.incarnation, row.epoch):
            raise Violation(f"P4: the home of {session} is not the one in the table")
        for client in clients:
            if client.epoch != row.epoch or world.now - client.served_at > 1.0:
                raise Violation(f"P4: client {client.number} is not at the home of {session}")


def _is_full(world: World) -> bool:
    return sum(world.table.home_of(f"s{n}") is not None for n in range(SESSIONS)) >= LIMIT


def _check_empty(world: World) -> None:
    for number in range(SESSIONS):
        session = f"s{number}"
        if not any(c.session == session and c.lives for c in world.clients):
            holders = [n for n in world.nodes if n.is_up and n.homing.held(session)]
            row = world.table.home_of(session)
            orphan = row is not None and row.incarnation in world.table.orphans()
            if holders or (row is not None and not orphan):
                raise Violation(f"P4: {session} is empty and has a home")
