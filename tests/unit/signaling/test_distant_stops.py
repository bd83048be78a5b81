"""Stops over another node of the same database: one mechanism for whatever runs on one node."""

import asyncio
from dataclasses import replace

import pytest

from signaling.connectors.service import AudioConnectors
from signaling.domain.archiving import ArchiveStatus
from signaling.domain.broadcasting import BroadcastStatus
from signaling.domain.captioning import CaptionsStatus
from signaling.domain.errors import ErrorCode, NotFound, Unavailable
from signaling.domain.stops import AskedStop
from signaling.egress.distant_stops import WAIT_S, DistantStops, Stoppable
from signaling.egress.neighbors import ALIVE_S
from tests.archive_world import ArchiveWorld
from tests.broadcast_world import BroadcastWorld
from tests.captions_world import CaptionsWorld
from tests.conversation import settle
from tests.egress_world import alone, node_beside, refused
from tests.fakes.clock import FakeClock
from tests.migrated import open_migrated
from tests.unit.connectors.test_connectors import World, _project

ID = "5c2f0d1e-0000-4000-8000-000000000001"


@pytest.fixture
async def store(tmp_path):
    opened = await open_migrated(tmp_path)
    yield opened
    await opened.close()


def runs(*ids, project="1"):
    """A feature that runs objects of a project, and which of them it was asked to stop."""
    running = dict.fromkeys(ids, project)
    stopped: list[str] = []

    async def stop(object_id):
        del running[object_id]
        stopped.append(object_id)

    return Stoppable(lambda: running, stop), stopped


async def test_the_node_that_runs_it_ends_it_and_leaves_no_row(store):
    here = node_beside(store)
    feature, stopped = runs(ID)
    here.offer(feature)
    assert await node_beside(store, here).ask("1", ID) is True
    assert stopped == [ID]
    assert await store.stops.stops_of([ID]) == ()


async def test_what_runs_nowhere_or_is_another_projects_is_not_stopped(store):
    here = node_beside(store)
    feature, stopped = runs(ID)
    here.offer(feature)
    other = node_beside(store, here)
    assert await other.ask("2", ID) is False
    assert await other.ask("1", ID.replace("1", "2")) is False
    assert stopped == []


@pytest.mark.parametrize("name", ["", "no id", "x" * 4_000, ID.upper(), "\0"])
async def test_what_is_no_id_is_not_stored(store, name):
    assert await node_beside(store).ask("1", name) is False
    assert await store.stops.stops_of([name]) == ()


async def test_a_node_alone_neither_asks_nor_looks():
    """Its store would fail."""
    stops = alone()
    feature, _ = runs(ID)
    stops.offer(feature)
    assert await stops.ask("1", ID) is False
    await stops.look()


async def test_a_node_that_was_slow_ends_it_later(store):
    here = node_beside(store)
    feature, stopped = runs(ID)
    here.offer(feature)
    assert await node_beside(store).ask("1", ID) is False
    await here.look()
    assert stopped == [ID]


async def test_what_ended_meanwhile_counts_as_ended(store):
    async def over(_object_id):
        raise NotFound(ErrorCode.CAPTIONS_NOT_FOUND)

    here = node_beside(store)
    here.offer(Stoppable(lambda: {ID: "1"}, over))
    assert await node_beside(store, here).ask("1", ID) is True


async def test_rows_that_nobody_took_up_are_forgotten(store):
    await store.stops.add_stop(AskedStop("old", ID, "1", 5))
    await node_beside(store).ask("1", ID)
    assert [one.id == "old" for one in await store.stops.stops_of([ID])] == [False]


class Node:
    """A node of a shared database in virtual time. `waits`: how long who asked it waited."""

    def __init__(self, store, clock):
        self.waits: list[float] = []
        self.stops = DistantStops(store.stops, clock, is_shared=True, sleep=self._sleep)

    async def _sleep(self, seconds):
        self.waits.append(seconds)


async def pass_time(clock, seconds, *nodes):
    for _ in range(round(seconds)):
        clock.now_s += 1.0
        for node in nodes:
            await node.stops.beat()


async def test_nobody_waits_for_other_nodes_where_there_are_none(store):
    clock = FakeClock()
    node = Node(store, clock)
    await pass_time(clock, 1, node)
    assert await node.stops.ask("1", ID) is False
    assert sum(node.waits) == pytest.approx(WAIT_S)
    node.waits.clear()
    await pass_time(clock, ALIVE_S, node)
    assert await node.stops.ask("1", ID) is False
    assert node.waits == []
    # Should there be one after all, it ends the object at its next look.
    assert len(await store.stops.stops_of([ID])) == 2


async def test_a_node_that_lives_is_waited_for_until_it_leaves_or_is_silent(store):
    clock = FakeClock()
    here, leaving, killed = (Node(store, clock) for _ in range(3))
    await pass_time(clock, 30, here, leaving, killed)
    await here.stops.ask("1", ID)
    assert sum(here.waits) == pytest.approx(WAIT_S)
    await leaving.stops.leave()
    await pass_time(clock, ALIVE_S + 3, here, killed)
    here.waits.clear()
    await here.stops.ask("1", ID)
    assert sum(here.waits) == pytest.approx(WAIT_S)
    await pass_time(clock, ALIVE_S + 3, here)
    here.waits.clear()
    await here.stops.ask("1", ID)
    assert here.waits == []
    newcomer = Node(store, clock)
    await pass_time(clock, 3, here, newcomer)
    await here.stops.ask("1", ID)
    assert sum(here.waits) == pytest.approx(WAIT_S)


async def test_who_could_not_look_for_a_while_knows_nothing_of_the_others(store):
    clock = FakeClock()
    here = Node(store, clock)
    await pass_time(clock, 30, here)
    clock.now_s += ALIVE_S + 1
    await here.stops.ask("1", ID)
    assert sum(here.waits) == pytest.approx(WAIT_S)


async def test_captions(store, tmp_path):
    world = await CaptionsWorld(store, tmp_path).prepare()
    here = node_beside(store)
    world.restart(here)
    await world.house.joined()
    record = await world.start()
    world.restart(node_beside(store, here))
    over = await world.captions.stop(world.project, record.id)
    assert over.status is CaptionsStatus.STOPPED
    assert world.statuses() == [("started", ""), ("stopped", over.reason)]
    assert await refused(world.captions.stop(world.project, record.id)) == "captions_not_found"
    await world.close()


async def test_a_broadcast(store, tmp_path):
    world = await BroadcastWorld(store, tmp_path).prepare()
    here = node_beside(store)
    world.restart(here)
    await world.house.joined()
    record = await world.start()
    world.restart(node_beside(store, here))
    over = await world.broadcasts.stop(world.project, record.id)
    assert (over.status, over.reason) == (BroadcastStatus.STOPPED, "user initiated")
    assert world.job(record).finished_with == "user initiated"
    assert await refused(world.broadcasts.stop(world.project, record.id)) == "broadcast_not_running"
    await world.close()


async def test_an_archive(store, tmp_path):
    world = await ArchiveWorld(store, tmp_path).prepare()
    here = node_beside(store)
    world.restart(here)
    await world.house.joined()
    record = await world.start()
    world.restart(node_beside(store, here))
    world.job(record).record(1_000)
    over = await world.archives.stop(world.project, record.id)
    assert (over.is_recording, over.reason) == (False, "user initiated")
    assert over.status is not ArchiveStatus.FAILED
    assert await refused(world.archives.stop(world.project, record.id)) == "archive_not_recording"
    await world.close()


async def test_what_a_killed_node_left_is_refused_as_before(store, tmp_path):
    world = await ArchiveWorld(store, tmp_path).prepare()
    await world.house.joined()
    record = await world.start()
    world.restart(node_beside(store))
    assert await refused(world.archives.stop(world.project, record.id)) == "archive_not_recording"
    await world.close()


async def test_an_audio_connection(store):
    here = node_beside(store)
    world = World(stops=here)
    started = await world.start()
    parts = replace(world.connectors._parts, stops=node_beside(store, here))
    other = AudioConnectors(parts)
    await other.stop(_project(), started.id)
    await settle()
    assert world.connectors.running() == []
    assert await refused(other.stop(_project(), started.id)) == "call_not_found"
    await other.close()
    await world.house.plane.close()


async def test_looking_goes_on_when_the_storage_was_away(store):
    asked = []

    class Storage:
        async def stops_of(self, ids):
            asked.append(ids)
            raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE)

        async def forget_stops(self, _before_ms):
            raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE)

    async def sleep(_seconds):
        if len(asked) == 2:
            raise asyncio.CancelledError

    stops = DistantStops(Storage(), FakeClock(), is_shared=True, sleep=sleep)
    feature, _ = runs(ID)
    stops.offer(feature)
    with pytest.raises(asyncio.CancelledError):
        await stops.run()
    assert len(asked) == 2
