"""Three nodes as processes behind one URL of HAProxy, and what goes wrong with them."""

import asyncio
import contextlib
import signal
import time

import aiohttp
import pytest
import sqlalchemy as sa
from sealroute_client.errors import SealrouteError

from tests import postgres
from tests.cluster.lab import balanced, received, running_lab
from tests.served import NEEDS_THE_MEDIA_CORE, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.long,
    pytest.mark.timeout(240),
    NEEDS_THE_MEDIA_CORE,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
]


SILENT = "sealroute_cluster_engine_silent_seconds"


@pytest.fixture
async def lab(postgres_server, tmp_path):
    async with running_lab(tmp_path, postgres_server, 3) as running:
        yield running


@pytest.fixture
async def url(lab):
    async with balanced(lab.nodes) as found:
        yield found


@pytest.fixture
async def joined():
    """Clients to be disconnected at the end."""
    found = []
    yield found
    await asyncio.gather(*(one.disconnect() for one in found))


async def come(lab, url, joined, count, session_id=None):
    made = [lab.client(url, session_id) for _ in range(count)]
    for one in made:
        await one.connect()
        joined.append(one)
    return made


async def gated(lab) -> float:
    """Clients whose socket ends at another node than their session's."""
    return sum([await node.metric("sealroute_clients_gated") for node in lab.running()])


async def test_round_robin_over_three_nodes_brings_everybody_into_one_call(lab, url, joined):
    people = await come(lab, url, joined, 6)
    await until(lambda: all(len(one.connections) == 6 for one in people), 20)
    assert await gated(lab) == 4
    homes = [await node.metric("sealroute_cluster_homes") for node in lab.nodes]
    assert sorted(homes) == [0, 0, 1]
    for one in people[:3]:
        await one.publish()
    viewers = [
        await received(viewer, publisher) for viewer in people[3:] for publisher in people[:3]
    ]
    await until(lambda: all(v.tracks["video"].frames > 20 for v in viewers), 40)
    assert all(viewer.state.failed == 0 for viewer in viewers)
    application = lab.application(url)
    for _ in range(6):
        found = await asyncio.to_thread(application.list_streams, lab.session_id)
        assert found.count == 3
    for one in people[:3]:
        await asyncio.to_thread(application.force_disconnect, lab.session_id, one.connection_id)
    await until(lambda: all(len(one.connections) == 3 for one in people[3:]), 20)


async def test_sessions_that_begin_at_once_at_all_nodes_have_one_home_each(lab, url, joined):
    sessions = [await lab.new_session() for _ in range(6)]
    made = [lab.client(node.url, named) for named in sessions for node in lab.nodes]
    await asyncio.gather(*(one.connect() for one in made))
    joined += made
    for begin in range(0, len(made), 3):
        together = made[begin : begin + 3]
        await until(lambda group=together: all(len(one.connections) == 3 for one in group), 20)
    shown = await lab.nodes[2].ask("cluster", "status")
    assert [node["state"] for node in shown["nodes"]] == ["ready"] * 3
    assert sum(node["sessions"] for node in shown["nodes"]) == 6
    assert all(node["beatAgeS"] < 30 for node in shown["nodes"])
    token = lab.application(url).get_headers()
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{url}/v2/project/{lab.api_key}/session", headers=token) as answer,
    ):
        listed = await answer.json()
    assert {one["sessionId"] for one in listed["items"]} == set(sessions)
    assert all(one["connectionCount"] == 3 for one in listed["items"])


async def test_of_a_killed_home_all_clients_are_in_one_call_again(lab, url, joined):
    people = await come(lab, url, joined, 6)
    await people[0].publish()
    viewer = await received(people[5], people[0])
    await until(lambda: viewer.tracks["video"].frames > 10, 20)
    killed = await lab.home()
    again = [asyncio.Event() for _ in people]
    for one, event in zip(people, again, strict=True):
        one.on("sessionReconnected", lambda _event, event=event: event.set())
    begin_s = time.monotonic()
    await killed.kill()
    async with asyncio.timeout(30):
        await asyncio.gather(*(event.wait() for event in again))
    gap_s = time.monotonic() - begin_s
    assert await lab.home() in lab.running()
    await until(lambda: all(len(one.connections) == 6 for one in people), 20)
    seen = await received(people[4], people[0])
    await until(lambda: seen.tracks["video"].frames > 10, 20)
    # docs/cluster.md: 4 s; the rest is what a busy machine takes.
    assert gap_s < 12, gap_s
    await killed.start()
    await lab.sees_each_other(3)


async def test_a_killed_gate_takes_no_session_along(lab, url, joined):
    people = await come(lab, url, joined, 6)
    home = await lab.home()
    before = {one.connection_id for one in people}
    killed = next(node for node in lab.nodes if node is not home)
    await killed.kill()
    lost = [one for one in people if not await _answers(one)]
    await until(lambda: all(len(one.connections) == 6 for one in people), 20)
    await asyncio.gather(*(one.signal("again") for one in people))
    assert {one.connection_id for one in people} == before, "they resumed"
    assert await lab.home() is home
    assert len(lost) <= 2


async def _answers(client) -> bool:
    with contextlib.suppress(SealrouteError, TimeoutError):
        async with asyncio.timeout(0.5):
            await client.signal("there?")
            return True
    return False


async def test_a_node_that_stops_hands_its_clients_to_the_others(lab, url, joined):
    people = await come(lab, url, joined, 6)
    stopped = await lab.home()
    begin_s = time.monotonic()
    await stopped.stop()
    await until(lambda: all(len(one.connections) == 6 for one in people), 20)
    await asyncio.gather(*(one.signal("again") for one in people))
    assert await lab.home() in lab.running()
    assert time.monotonic() - begin_s < 20
    shown = await lab.running()[0].ask("cluster", "status")
    assert len(shown["nodes"]) == 2


async def test_a_frozen_node_is_declared_dead_and_begins_anew_when_it_wakes(lab, joined):
    people = await come(lab, lab.nodes[0].url, joined, 1)
    people += await come(lab, lab.nodes[1].url, joined, 1)
    frozen = await lab.home()
    assert frozen is lab.nodes[0]
    frozen.process.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(30):
            while await lab.home() is frozen:  # noqa: ASYNC110 - it is in the database
                await asyncio.sleep(0.2)
    finally:
        frozen.process.send_signal(signal.SIGCONT)
    async with asyncio.timeout(20):
        while await frozen.metric("sealroute_cluster_lives_total") != 2:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    await lab.sees_each_other(3)
    await until(lambda: all(len(one.connections) == 2 for one in people), 30)
    assert sum([await node.metric("sealroute_cluster_homes") for node in lab.nodes]) == 1


async def test_calls_go_on_without_the_database_and_new_ones_are_refused_clearly(lab, url, joined):
    people = await come(lab, url, joined, 3)
    heard = asyncio.Event()
    people[2].on("signal", lambda _event: heard.set())
    with away(lab.database):
        begin_s = time.monotonic()
        while time.monotonic() - begin_s < 6:
            heard.clear()
            await people[0].signal("still there")
            await asyncio.wait_for(heard.wait(), 5)
            await asyncio.sleep(0.2)
        for node in lab.nodes:
            assert await node.metric("sealroute_cluster_nodes_gone_total") == 0
            assert await node.metric(SILENT) > 3
        late = lab.client(lab.nodes[1].url)
        asked_s = time.monotonic()
        with pytest.raises(SealrouteError) as refused:
            await late.connect()
        assert refused.value.code == "storage_unavailable"
        assert time.monotonic() - asked_s < 9
    async with asyncio.timeout(20):
        for node in lab.nodes:
            while await node.metric(SILENT) > 3:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
    await come(lab, lab.nodes[1].url, joined, 1)
    await until(lambda: all(len(one.connections) == 4 for one in people), 20)
    for node in lab.nodes:
        assert await node.metric("sealroute_cluster_lives_total") == 1


@contextlib.contextmanager
def away(database):
    """Nobody has a connection to the database, and nobody gets one."""
    name = postgres.name_of(database)
    address = sa.make_url(database).set(drivername="postgresql+psycopg", database="postgres")
    engine = sa.create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": name},
        )
        try:
            yield
        finally:
            connection.execute(sa.text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
    engine.dispose()
