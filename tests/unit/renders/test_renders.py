"""Renders of a node, over the media plane of tests and browsers as tests have them."""

from dataclasses import replace

import pytest

from signaling.domain.errors import DomainError, ErrorCode
from signaling.domain.rendering import RenderEvent, RenderStatus
from signaling.domain.roles import Role
from signaling.domain.tokens import Admission
from signaling.renders.running import _HouseKeeping
from signaling.renders.service import Renders, WantedRender
from tests.conversation import House, settle
from tests.egress_world import metric_of, node_beside, refused
from tests.fakes.renders import FakeRenders
from tests.migrated import open_migrated
from tests.render_world import NODE, render_parts
from tests.stored import project

PAGE = "http://page.test/overlay"


class World:
    def __init__(self, store, folder, owner, **settings):
        self.house = House()
        self.store, self.folder, self.owner = store, folder, owner
        self.egress = FakeRenders()
        self.notices: list = []
        self.parts = self.parts_of(**settings)
        self.renders = Renders(self.parts)

    def parts_of(self, **settings):
        return render_parts(
            self.store,
            self.folder,
            egress=self.egress,
            session=self.house.directory.find,
            clock=self.house.time,
            schedule=self.house.time.call_later,
            notices=self.notices,
            stops=node_beside(self.store),
            **settings,
        )

    async def start(self, role=Role.PUBLISHER, url=PAGE, seconds=60, data="", **wanted):
        record = self.house.record
        admission = Admission(record, role, 2e9, connection_data=data)
        asked = WantedRender(url, "token", "overlay", "1280x720", seconds, **wanted)
        return await self.renders.start(admission, asked)

    @property
    def run(self):
        return self.egress.runs[-1]

    async def publish(self):
        """As the browser does: it joins and publishes like any client. Its client and stream."""
        client = await self.house.joined()
        return client, await client.publish()

    async def started(self, **wanted):
        record = await self.start(**wanted)
        client, stream = await self.publish()
        self.run.listener.on_published(client.connection, stream)
        for _ in range(20):
            await settle()
            self.run.listener.on_beat()
        return record, client, stream

    def statuses(self):
        return [notice.render["status"] for _, notice in self.notices]

    def metric(self, name, **labels):
        return metric_of(self.parts.metrics, "render", name, **labels)

    async def show(self, record):
        return await self.renders.show(self.owner, record.id)

    async def close(self):
        await self.renders.close()
        await self.house.plane.close()


@pytest.fixture
async def store(tmp_path):
    store = await open_migrated(tmp_path)
    yield store
    await store.close()


@pytest.fixture
async def world(store, tmp_path):
    owner = replace(project(1), api_key="1")
    await store.add_project(owner)
    world = World(store, tmp_path, owner)
    await store.add_session(world.house.record)
    yield world
    await world.close()


async def test_a_render_is_starting_until_the_session_has_its_stream(world):
    record = await world.start()
    assert (record.status, record.stream_id) == (RenderStatus.STARTING, "")
    assert world.statuses() == []
    job = world.run.job
    assert (job.url, job.token, job.session) == (PAGE, "token", "2_session")
    assert (job.width, job.height, job.node) == (1280, 720, NODE)
    assert "token" not in repr(job)
    client, stream = await world.publish()
    world.run.listener.on_published(client.connection, stream)
    for _ in range(20):
        await settle()
        world.run.listener.on_beat()
    shown = await world.show(record)
    assert (shown.status, shown.stream_id) == (RenderStatus.STARTED, stream)
    assert world.statuses() == ["started"]
    assert world.renders.rendered(stream) == record.id


@pytest.mark.parametrize("lie", ["connection", "stream", "data", "older"])
async def test_what_a_process_claims_counts_only_where_the_session_agrees(world, lie):
    other = await world.house.joined()
    theirs = await other.publish()
    world.house.time.advance(5)
    record = await world.start(data="another's" if lie == "data" else "")
    client, stream = await world.publish()
    connection = client.connection
    if lie == "connection":
        connection = other.connection
    elif lie == "stream":
        stream = "nothing"
    elif lie == "older":
        connection, stream = other.connection, theirs
    world.run.listener.on_published(connection, stream)
    for _ in range(20):
        await settle()
        world.run.listener.on_beat()
    shown = await world.show(record)
    assert (shown.status, shown.reason) == (RenderStatus.FAILED, "Internal server failure")
    assert world.statuses() == ["failed"]
    assert other.connection in world.house.actor.state.connections


async def test_a_stop_ends_the_browser_and_its_connection_at_once(world):
    viewer = await world.house.joined()
    record, client, _ = await world.started()
    over = await world.renders.stop(world.owner, record.id)
    assert (over.status, over.reason) == (RenderStatus.STOPPED, "Stop requested")
    assert world.run.left
    assert client.connection not in world.house.actor.state.connections
    assert viewer.connection in world.house.actor.state.connections
    assert world.statuses() == ["started", "stopped"]
    assert await world.store.renders.render(record.id) == over
    again = await world.renders.stop(world.owner, record.id)
    assert again == over
    assert world.statuses() == ["started", "stopped"]


async def test_a_render_ends_with_its_maximum(world):
    record, _, _ = await world.started(seconds=60)
    world.house.time.advance(59)
    assert (await world.show(record)).is_running
    world.house.time.advance(2)
    assert (await world.show(record)).reason == "Max duration exceeded"
    assert world.run.left


@pytest.mark.parametrize(
    ("how", "text", "status", "reason"),
    [
        ("page", "The page answered 404.", "failed", "The page answered 404."),
        ("refused", "The session is full.", "failed", "The session is full."),
        ("start", "no answer", "failed", "The browser did not start."),
        ("crashed", "a tab", "failed", "The browser crashed twice."),
        ("unpublished", "forceDisconnected", "stopped", "Client disconnected"),
        ("process", "", "failed", "Internal server failure"),
    ],
)
async def test_how_a_browser_ends_is_why_its_render_does(world, how, text, status, reason):
    record = await world.start()
    world.run.end(how, text)
    shown = await world.show(record)
    assert (shown.status.value, shown.reason) == (status, reason)
    assert world.statuses() == [status]
    assert world.metric("sealroute_egress_running") == 0
    failures = sum(
        world.metric("sealroute_egress_failures_total", reason=event.value) for event in RenderEvent
    )
    assert failures == (status == "failed")


async def test_after_a_crash_the_old_connection_goes_and_the_next_stream_is_the_renders(world):
    await world.house.joined()
    record, client, first = await world.started()
    world.run.listener.on_crashed()
    assert client.connection not in world.house.actor.state.connections
    again, second = await world.publish()
    world.run.listener.on_published(again.connection, second)
    for _ in range(20):
        await settle()
        world.run.listener.on_beat()
    shown = await world.show(record)
    assert (shown.status, shown.stream_id) == (RenderStatus.STARTED, second)
    assert [one.render["streamId"] for _, one in world.notices] == [first, second]


async def test_whom_a_server_does_not_render_for(world):
    assert await refused(world.start(role=Role.SUBSCRIBER)) is ErrorCode.PERMISSION_DENIED
    assert await refused(world.start(url="http://10.0.0.1/")) is ErrorCode.ADDRESS_REFUSED
    assert await refused(world.start(url="http://inside.test/")) is ErrorCode.ADDRESS_REFUSED
    assert await refused(world.start(url="http://nobody.test/")) is ErrorCode.CONNECT_FAILED
    asked = world.start(callback_url="http://10.0.0.1/status")
    assert await refused(asked) is ErrorCode.INVALID_PARAMETER
    assert world.egress.runs == []
    assert world.notices == []
    assert world.metric("sealroute_egress_running") == 0


async def test_there_is_room_for_so_many_of_a_project(world):
    for _ in range(2):
        await world.start()
    with pytest.raises(DomainError, match="room for another render") as failure:
        await world.start()
    assert failure.value.code is ErrorCode.NO_CAPACITY


async def test_a_start_without_a_process_leaves_nothing_that_looks_as_if_it_ran(world):
    world.egress.room = 0
    assert await refused(world.start()) is ErrorCode.NO_CAPACITY
    await settle()
    await world.renders.close()
    assert await world.store.renders.running_renders() == ()
    assert await world.parts.marks.all() == []
    assert world.notices == []


async def test_media_without_tcp_renders_nothing(world):
    node = type(NODE)(NODE.http, secure=False, media={})
    world.renders = Renders(world.parts_of(node=node))
    assert await refused(world.start()) is ErrorCode.FEATURE_UNAVAILABLE


async def test_what_a_killed_server_left_is_ended_by_the_next_one(world):
    record, _, stream = await world.started()
    await world.renders._writes.written(record.id)
    # As after a kill: neither the record nor its mark says that it is over.
    next_server = Renders(world.parts_of())
    world.notices.clear()
    await _HouseKeeping(world.parts, next_server).recover()
    shown = await next_server.show(world.owner, record.id)
    assert (shown.status, shown.reason) == (RenderStatus.FAILED, "Internal server failure")
    assert [one.render["streamId"] for _, one in world.notices] == [stream]
    assert await world.parts.marks.all() == []
    await _HouseKeeping(world.parts, next_server).recover()
    assert world.statuses() == ["failed"]


async def test_a_render_of_another_node_is_left_alone(world, tmp_path):
    record = await world.start()
    parts = render_parts(world.store, tmp_path / "elsewhere", notices=world.notices)
    other = Renders(parts)
    await _HouseKeeping(parts, other).recover()
    assert (await world.store.renders.render(record.id)).is_running
    assert (await other.show(world.owner, record.id)).is_running
    assert world.notices == []


async def test_a_stop_over_another_node_ends_the_browser_here_and_is_reported_once(world, tmp_path):
    record, client, _ = await world.started()
    beside = node_beside(world.store, world.parts.stops)
    parts = render_parts(world.store, tmp_path / "other", notices=world.notices, stops=beside)
    other = Renders(parts)
    over = await other.stop(world.owner, record.id)
    assert (over.status, over.reason) == (RenderStatus.STOPPED, "Stop requested")
    assert await other.stop(world.owner, record.id) == over
    assert world.run.left
    assert client.connection not in world.house.actor.state.connections
    assert world.statuses() == ["started", "stopped"]
    assert await world.renders.show(world.owner, record.id) == over


async def test_a_stop_over_another_node_is_not_undone_by_a_late_start(world, tmp_path):
    record = await world.start()
    beside = node_beside(world.store)
    other = Renders(render_parts(world.store, tmp_path / "elsewhere", stops=beside))
    await other.stop(world.owner, record.id)
    client, stream = await world.publish()
    world.run.listener.on_published(client.connection, stream)
    for _ in range(20):
        await settle()
        world.run.listener.on_beat()
    assert world.statuses() == ["started"]
    await world.renders._writes.written(record.id)
    await world.parts.stops.look()
    assert world.statuses() == ["started", "stopped"]
    assert not (await other.show(world.owner, record.id)).is_running


async def test_the_renders_of_a_removed_project_end(world):
    await world.start()
    await world.store.remove_project("1")
    await _HouseKeeping(world.parts, world.renders).stop_orphans()
    assert world.run.left
    assert world.renders.running() == []


async def test_a_status_url_gets_the_events_of_its_render_and_no_others(world):
    record = await world.start(callback_url="http://127.0.0.1:9/status")
    other = await world.start()
    (own,) = await world.store.callbacks.known_callbacks_of("1")
    assert own.wants("render", record.id)
    assert not own.wants("render", other.id)
    assert not own.wants("archive", record.id)
    # It is no registration: the application neither sees nor removes it.
    assert await world.store.callbacks.callbacks_of("1") == ()
    await world.renders.stop(world.owner, record.id)
    await world.store.renders.forget_callbacks(2**50)
    world.store.callbacks.forget_known()
    assert await world.store.callbacks.known_callbacks_of("1") == ()


async def test_the_end_of_a_server_ends_its_renders(world):
    record, _, _ = await world.started()
    await world.renders.close()
    shown = await world.store.renders.render(record.id)
    assert (shown.status, shown.reason) == (RenderStatus.STOPPED, "Server shutdown")
    assert await world.parts.marks.all() == []
