"""A node's shell over the engine in memory."""

import asyncio

import pytest

from signaling.clock import SystemClock
from signaling.cluster.base import NodeCame, NodeDied, Reborn, Renewed, Superseded
from signaling.cluster.directory import ClusterDirectory
from signaling.cluster.engine import NodeRow, NodeState
from signaling.cluster.engine_memory import EngineMemory
from signaling.cluster.homing import HomeRules
from signaling.domain.errors import DomainError, ErrorCode, Unavailable


class Nodes:
    """Directories over one table; `changes` has what each of them told."""

    def __init__(self) -> None:
        self.engine = EngineMemory()
        self.all: list[ClusterDirectory] = []
        self.changes: list[list[object]] = []

    async def start(self, name: str, linger_s: float = 600.0) -> ClusterDirectory:
        node = ClusterDirectory(
            self.engine, NodeRow(name), SystemClock(), HomeRules(rank_s=0.001, linger_s=linger_s)
        )
        told: list[object] = []
        node.watch(told.append)
        self.changes.append(told)
        await node.start()
        self.all.append(node)
        return node


@pytest.fixture
async def nodes():
    made = Nodes()
    yield made
    for node in made.all:
        await node.close()


async def until(holds) -> None:
    while not holds():  # noqa: ASYNC110 - it is polled for whatever a test waits
        await asyncio.sleep(0.005)


async def test_who_asks_first_is_home_and_all_others_are_told_so(nodes):
    a, b = await nodes.start("a"), await nodes.start("b")
    await until(lambda: len(a.nodes()) == len(b.nodes()) == 2)
    home = await a.home("s", "p")
    assert (home.incarnation, a.held("s")) == (a.me, home)
    assert await b.home("s", "p") == home
    assert b.held("s") is None
    assert b.node(a.me).name == "a"
    assert any(isinstance(one, NodeCame) and one.node.name == "b" for one in nodes.changes[0])


async def test_of_those_who_ask_at_once_all_get_one_home(nodes):
    all_of_them = [await nodes.start(name) for name in "abc"]
    asked = [node.home("s", "p") for node in all_of_them for _ in range(3)]
    assert len({home.epoch for home in await asyncio.gather(*asked)}) == 1


async def test_beyond_the_limit_of_its_project_a_session_has_no_home(nodes):
    a = await nodes.start("a")
    await a.home("s", "p", 1)
    with pytest.raises(DomainError) as refused:
        await a.home("t", "p", 1)
    assert refused.value.code is ErrorCode.SESSION_LIMIT
    assert (await a.home("s", "p", 1)).incarnation == a.me


async def test_without_the_engine_what_is_here_goes_on_and_nothing_else_begins(nodes, monkeypatch):
    a = await nodes.start("a")
    home = await a.home("s", "p")

    async def away(*_given):
        raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE)

    for method in ("home_of", "claim", "beat"):
        monkeypatch.setattr(nodes.engine, method, away)
    with pytest.raises(Unavailable):
        await a.home("t", "p")
    assert await a.home("s", "p") == home


async def test_who_is_declared_dead_begins_a_new_life_and_keeps_what_nobody_took(nodes):
    a = await nodes.start("a")
    before = await a.home("s", "p")
    (row,) = await nodes.engine.nodes()
    assert await nodes.engine.certify(a.me, row.beat)
    a.lost(0, refused=False)  # the next beat is a second away
    await until(lambda: any(isinstance(one, Renewed) for one in nodes.changes[0]))
    after = a.held("s")
    assert after.incarnation == a.me > before.incarnation
    assert after.epoch > before.epoch
    assert Reborn(a.me) in nodes.changes[0]


async def test_who_is_declared_dead_loses_what_another_took(nodes):
    a, b = await nodes.start("a"), await nodes.start("b")
    before = await a.home("s", "p")
    first = a.me
    await nodes.engine.certify(first, nodes.engine.table.nodes()[0].beat)
    taken = await nodes.engine.claim("s", "p", None, b.me)
    assert taken.incarnation == b.me
    await until(lambda: Superseded("s", before.epoch) in nodes.changes[0])
    await until(lambda: NodeDied(first) in nodes.changes[1])
    assert a.held("s") is None


async def test_a_home_that_is_shown_a_higher_epoch_ends_at_once(nodes):
    a = await nodes.start("a")
    home = await a.home("s", "p")
    a.show("s", home.epoch)
    assert a.held("s") == home
    a.show("s", home.epoch + 1)
    assert a.held("s") is None
    assert nodes.changes[0][-1] == Superseded("s", home.epoch)


async def test_a_home_that_nobody_uses_is_released_after_a_while(nodes):
    a = await nodes.start("a", linger_s=0.05)
    first = await a.home("s", "p")
    await until(lambda: nodes.engine.table.home_of("s") is None)
    assert a.held("s") is None
    again = await a.home("s", "p")
    assert (again.incarnation, again.epoch > first.epoch) == (a.me, True)


async def test_who_closes_leaves_its_homes_to_others(nodes):
    a, b = await nodes.start("a"), await nodes.start("b")
    await a.home("s", "p")
    await a.close()
    assert nodes.engine.table.nodes()[0].state is NodeState.LEFT
    assert (await b.home("s", "p")).incarnation == b.me


async def test_a_call_that_raises_what_nobody_expected_is_counted_and_the_node_beats_on(
    nodes, monkeypatch
):
    a = await nodes.start("a")
    await until(a.nodes)
    beat, broken = nodes.engine.beat, 3

    async def failing(given):
        nonlocal broken
        if broken:
            broken -= 1
            raise ValueError(given)
        return await beat(given)

    monkeypatch.setattr(nodes.engine, "beat", failing)
    acknowledged = a.figures().beats
    await until(lambda: a.figures().beats > acknowledged)
    assert a.figures().faults == {"call": 3}
    assert a.figures().beats_failed == 3


async def test_who_cannot_follow_a_change_keeps_nobody_from_it(nodes):
    a = await nodes.start("a")

    def fails(_change):
        raise ValueError

    a._watchers.insert(0, fails)
    b = await nodes.start("b")
    await until(lambda: a.node(b.me))
    assert any(isinstance(one, NodeCame) and one.node.name == "b" for one in nodes.changes[0])
    assert a.figures().faults["watcher"] >= 1


async def test_a_loop_that_raises_begins_again(nodes, monkeypatch):
    a = await nodes.start("a")
    await until(a.nodes)
    poll, broken = a._homing.poll, [True]

    def failing(now):
        if broken:
            raise ValueError(broken.pop())
        return poll(now)

    monkeypatch.setattr(a._homing, "poll", failing)
    a.occupied("s", is_occupied=True)  # wakes it
    await until(lambda: a.figures().faults.get("beat"))
    beats = a.figures().beats
    await until(lambda: a.figures().beats > beats)


async def test_a_node_says_what_it_has_done(nodes):
    a, b = await nodes.start("a"), await nodes.start("b")
    await a.home("s", "p")
    assert (a.figures().homes, a.figures().claims, b.figures().homes) == (1, 1, 0)
    await until(lambda: a.node(b.me))
    await b.close()
    await until(lambda: a.figures().gone == 1)
    assert (a.figures().lives, a.figures().superseded) == (1, 0)
    assert 0 <= a.figures().silent_s < 60


async def test_who_drains_says_so_to_the_others(nodes):
    a, b = await nodes.start("a"), await nodes.start("b")
    await until(lambda: b.node(a.me))
    a.drain()
    a.lost(0, refused=False)  # the next beat is a second away
    await until(lambda: b.node(a.me).state is NodeState.DRAINING)


async def test_to_find_a_home_makes_nobody_one(nodes):
    a, b = await nodes.start("a"), await nodes.start("b", linger_s=0.05)
    await until(lambda: len(a.nodes()) == len(b.nodes()) == 2)
    assert await a.find("s") is None
    assert nodes.engine.table.home_of("s") is None
    home = await b.home("s", "p")
    assert await a.find("s") == await b.find("s") == home
    await until(lambda: nodes.engine.table.home_of("s") is None)
    a.forget("s")
    assert await a.find("s") is None


async def test_who_is_home_at_a_node_that_lives_no_more_is_nowhere(nodes):
    a, b = await nodes.start("a"), await nodes.start("b")
    await until(lambda: len(a.nodes()) == len(b.nodes()) == 2)
    await b.home("s", "p")
    await nodes.engine.certify(b.me, nodes.engine.table.nodes()[1].beat)
    b._loops[0].cancel()  # it does not come back by itself
    await until(lambda: len(a.nodes()) == 1)
    assert await a.find("s") is None


async def test_what_cannot_be_found_out_is_refused_and_what_is_known_is_not(nodes, monkeypatch):
    a, b = await nodes.start("a"), await nodes.start("b")
    await until(lambda: len(a.nodes()) == 2)
    home = await b.home("s", "p")
    await a.find("s")

    async def away(*_given):
        raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE)

    monkeypatch.setattr(nodes.engine, "home_of", away)
    assert await a.find("s") == home
    with pytest.raises(Unavailable):
        await a.find("t")
