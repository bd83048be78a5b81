"""What every engine of a cluster promises; those of several nodes promise more."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from config.secret import Secret
from signaling.cluster.engine import NUMBER_BITS, Beat, Engine, NodeRow, NodeState
from signaling.cluster.engine_alone import EngineAlone
from signaling.cluster.engine_memory import EngineMemory
from signaling.cluster.engine_postgres import EnginePostgres, open_engine
from signaling.domain.errors import DomainError, ErrorCode
from signaling.storage.postgres import engine_of
from tests.migrated import fresh_postgres

PROJECT = "12345678"


@pytest.fixture(scope="module")
def address(postgres_server):
    """A database of these tests, to be emptied by each."""
    with ThreadPoolExecutor(1) as thread:  # this one may have a loop
        return thread.submit(asyncio.run, fresh_postgres(postgres_server)).result()


def emptied(address: str) -> Secret[str]:
    plain = engine_of(Secret(address))
    with plain.begin() as connection:
        connection.execute(sa.text("TRUNCATE cluster_nodes, cluster_homes"))
    plain.dispose()
    return Secret(address)


async def opened(kind: str, request) -> Engine:
    if kind == "postgres":
        return await open_engine(emptied(request.getfixturevalue("address")))
    return EngineAlone() if kind == "alone" else EngineMemory()


@pytest.fixture(params=["alone", "memory", "postgres"])
async def any_engine(request):
    engine = await opened(request.param, request)
    yield engine
    await engine.close()


@pytest.fixture(params=["memory", "postgres"])
async def engine(request):
    engine = await opened(request.param, request)
    yield engine
    await engine.close()


def row(name: str = "a", state: NodeState = NodeState.READY) -> NodeRow:
    return NodeRow(
        name=name,
        region="eu",
        release="1.2.3",
        state=state,
        load={"cpu": 0.25},
        proto_min=1,
        proto_max=2,
        control_url="http://10.0.0.1:8080",
        link_url="wss://10.0.0.1:7443",
        certificate="-----BEGIN CERTIFICATE-----",
        started_ms=5,
    )


async def test_a_claim_makes_me_home_and_says_so_again(any_engine):
    me = await any_engine.join(row())
    home = await any_engine.claim("s", PROJECT, None, me)
    assert (home.session_id, home.project_id, home.incarnation) == ("s", PROJECT, me)
    again = await any_engine.claim("s", PROJECT, None, me)
    assert (again.incarnation, again.epoch >= home.epoch) == (me, True)
    assert await any_engine.release(again)
    await any_engine.beat(Beat(me))
    await any_engine.leave(me)


async def test_a_row_comes_back_as_it_was_given(engine):
    me = await engine.join(row())
    (found,) = await engine.nodes()
    assert (found.incarnation, found.beat) == (me, 0)
    assert (found.name, found.region, found.release, found.state) == (
        "a", "eu", "1.2.3", NodeState.READY,
    )  # fmt: skip
    assert (found.proto_min, found.proto_max, found.load) == (1, 2, {"cpu": 0.25})
    assert (found.control_url, found.link_url) == ("http://10.0.0.1:8080", "wss://10.0.0.1:7443")
    assert (found.certificate, found.started_ms) == ("-----BEGIN CERTIFICATE-----", 5)


async def test_a_beat_counts_and_shows_all_who_live(engine):
    a, b = await engine.join(row("a")), await engine.join(row("b", NodeState.JOINING))
    assert a < b
    view = await engine.beat(Beat(a, NodeState.DRAINING, frozenset({b}), {"cpu": 0.5}))
    mine = view.row(a)
    assert (mine.beat, mine.state, mine.hears, mine.load) == (
        1, NodeState.DRAINING, frozenset({b}), {"cpu": 0.5},
    )  # fmt: skip
    assert [one.incarnation for one in view.rows] == [a, b]
    assert (await engine.beat(Beat(a))).row(a).beat == 2
    assert view.homes == 0
    assert view.timeline == a >> NUMBER_BITS


async def test_a_certificate_needs_the_beat_that_was_seen_and_is_final(engine):
    a, b = await engine.join(row("a")), await engine.join(row("b"))
    await engine.beat(Beat(b))
    assert not await engine.certify(b, 0)
    assert await engine.certify(b, 1)
    assert await engine.certify(b, 1), "it is dead, whoever said so"
    view = await engine.beat(Beat(b))
    assert view.row(b) is None
    assert view.row(a) is not None
    assert {one.incarnation: one.state for one in await engine.nodes()}[b] is NodeState.DEAD


async def test_the_dead_claim_give_and_get_nothing(engine):
    a, b = await engine.join(row("a")), await engine.join(row("b"))
    home = await engine.claim("s", PROJECT, None, b)
    await engine.certify(b, 0)
    assert await engine.claim("t", PROJECT, None, b) is None
    assert await engine.give(home, a) is None
    taken = await engine.claim("s", PROJECT, None, a)
    assert (taken.incarnation, taken.epoch > home.epoch) == (a, True)
    assert await engine.give(taken, b) is None
    assert not await engine.release(home)
    assert await engine.home_of("s") == taken


async def test_one_who_joins_may_not_be_home_yet(engine):
    a = await engine.join(row("a", NodeState.JOINING))
    assert await engine.claim("s", PROJECT, None, a) is None
    await engine.beat(Beat(a))
    assert (await engine.claim("s", PROJECT, None, a)).incarnation == a


async def test_of_many_who_claim_at_once_one_is_home(engine):
    nodes = [await engine.join(row(name)) for name in "abcdef"]
    for session in "stuv":
        claims = [engine.claim(session, PROJECT, None, node) for node in nodes]
        won = [home for home in await asyncio.gather(*claims) if home is not None]
        assert len(won) == 1
        assert await engine.home_of(session) == won[0]


async def test_a_released_home_is_nobodys_and_keeps_its_epoch_growing(engine):
    a, b = await engine.join(row("a")), await engine.join(row("b"))
    home = await engine.claim("s", PROJECT, None, a)
    view = await engine.beat(Beat(a))
    assert (view.homes, view.epochs) == (1, sum(one.epoch for one in await engine.homes_of(a)))
    assert await engine.release(home)
    assert not await engine.release(home)
    assert await engine.home_of("s") is None
    view = await engine.beat(Beat(a))
    assert (view.homes, view.epochs) == (0, 0)
    assert (await engine.claim("s", PROJECT, None, b)).epoch > home.epoch


async def test_a_home_is_given_with_a_new_epoch_by_who_has_it(engine):
    a, b = await engine.join(row("a")), await engine.join(row("b"))
    home = await engine.claim("s", PROJECT, None, a)
    given = await engine.give(home, b)
    assert (given.incarnation, given.epoch > home.epoch) == (b, True)
    assert await engine.give(home, b) is None
    assert await engine.homes_of(b) == (given,)
    assert await engine.homes_of(a) == ()


async def test_the_limit_of_a_project_holds_against_a_race(engine):
    nodes = [await engine.join(row(name)) for name in "abc"]
    claims = [engine.claim(f"s{number}", PROJECT, 2, nodes[number % 3]) for number in range(9)]
    answers = await asyncio.gather(*claims, return_exceptions=True)
    refused = [one for one in answers if isinstance(one, DomainError)]
    assert len(refused) == 7
    assert {one.code for one in refused} == {ErrorCode.SESSION_LIMIT}
    assert await engine.claim("other", "87654321", 1, nodes[0]) is not None


async def test_taking_over_is_no_further_session(engine):
    a, b = await engine.join(row("a")), await engine.join(row("b"))
    await engine.claim("s", PROJECT, 1, a)
    assert await engine.claim("s", PROJECT, 1, b) is None
    await engine.certify(a, 0)
    assert (await engine.claim("s", PROJECT, 1, b)).incarnation == b
    with pytest.raises(DomainError):
        await engine.claim("t", PROJECT, 1, b)


async def test_what_the_dead_had_is_swept(engine):
    a, b = await engine.join(row("a")), await engine.join(row("b"))
    await engine.claim("s", PROJECT, None, a)
    kept = await engine.claim("t", PROJECT, None, b)
    assert await engine.orphans() == frozenset()
    await engine.certify(a, 0)
    assert await engine.orphans() == {a}
    assert await engine.sweep(frozenset({a, b})) == 1
    assert await engine.home_of("s") is None
    assert await engine.home_of("t") == kept
    assert await engine.orphans() == frozenset()


async def test_who_leaves_has_no_home_and_no_beat(engine):
    a = await engine.join(row("a"))
    await engine.claim("s", PROJECT, None, a)
    await engine.leave(a)
    assert (await engine.beat(Beat(a))).rows == ()
    assert await engine.home_of("s") is None
    assert (await engine.nodes())[0].state is NodeState.LEFT


async def test_numbers_of_lives_and_reigns_say_the_timeline(engine):
    a = await engine.join(row("a"))
    home = await engine.claim("s", PROJECT, None, a)
    view = await engine.beat(Beat(a))
    assert {a >> NUMBER_BITS, home.epoch >> NUMBER_BITS, view.timeline} == {1}


async def test_without_the_functions_of_the_log_numbers_grow_all_the_same(address):
    engine = EnginePostgres(engine_of(emptied(address)), has_timeline=False)
    a, b = await engine.join(row("a")), await engine.join(row("b"))
    home = await engine.claim("s", PROJECT, 1, b)
    assert a < b < home.epoch < 1 << NUMBER_BITS
    assert (await engine.beat(Beat(a))).timeline == 0
    await engine.close()


async def test_the_dead_of_a_day_ago_are_forgotten(address):
    engine, plain = await open_engine(emptied(address)), engine_of(Secret(address))
    a, b = await engine.join(row("a")), await engine.join(row("b"))
    await engine.claim("s", PROJECT, None, a)
    await engine.claim("t", PROJECT, None, b)
    await engine.leave(a)
    with plain.begin() as connection:
        for table in ("cluster_nodes", "cluster_homes"):
            connection.execute(
                sa.text(f"UPDATE {table} SET changed_at = now() - interval '25 hours'")
            )
    await engine.sweep(frozenset())
    with plain.connect() as connection:
        left = connection.execute(sa.text("SELECT session_id FROM cluster_homes")).scalars().all()
    plain.dispose()
    assert left == ["t"]
    assert [one.incarnation for one in await engine.nodes()] == [b]
    await engine.close()


async def test_a_certificate_and_a_claim_at_once_leave_no_home_to_the_dead(address):
    engine = await open_engine(emptied(address))
    for number in range(10):
        a, b = await engine.join(row("a")), await engine.join(row("b"))
        home, dead, taken = await asyncio.gather(
            engine.claim(f"s{number}", PROJECT, None, a),
            engine.certify(a, 0),
            engine.claim(f"s{number}", PROJECT, None, b),
        )
        assert dead
        now = await engine.home_of(f"s{number}")
        # Whoever came first: what the dead one had, the other takes, unless it asked before.
        assert now == (taken or home)
        assert not (taken and home) or taken.epoch > home.epoch
    await engine.close()
