"""Audio Connectors of a node, over the media plane of tests and processes as a test has them."""

import asyncio
from dataclasses import replace

import pytest

from config.connector_settings import ConnectorSettings
from sfu.core_api import MediaKind
from sfu.egress.connector_jobs import AudioFormat
from sfu.egress.jobs import PacketForm
from sfu.target_policy import TargetPolicy, networks
from signaling.connectors.connection import WantedConnection
from signaling.connectors.service import AudioConnectors, ConnectorParts
from signaling.domain.audio_connecting import target_of
from signaling.domain.errors import DomainError, ErrorCode
from signaling.domain.projects import new_project
from signaling.domain.roles import Role
from signaling.domain.tokens import Admission
from signaling.egress.dialing import Dialer
from signaling.metrics import Metrics
from signaling.protocol import messages as m
from tests.conversation import House, settle
from tests.descriptors import open_descriptors
from tests.egress_world import Names, alone, metric_of, refused
from tests.fakes.connectors import FakeConnectors
from tests.fakes.tap_records import RecordKind, read_records


class World:
    def __init__(self, *, e2ee=False, egress=True, stops=None, **settings):
        self.house = House(e2ee=e2ee)
        self.egress = FakeConnectors()
        self.metrics = Metrics(dict)
        dialer = Dialer(TargetPolicy(networks("127.0.0.0/8")), Names())
        self.connectors = AudioConnectors(
            ConnectorParts(
                self.house.directory,
                self.egress if egress else None,
                dialer,
                self.metrics,
                ConnectorSettings(**settings),
                stops or alone(),
            )
        )

    def admission(self, role=Role.PUBLISHER):
        return Admission(self.house.record, role, 2e9, connection_data="bot")

    async def start(self, role=Role.PUBLISHER, uri="ws://bot.test/a?b=c", streams=None, **audio):
        audio = AudioFormat(16_000, audio.pop("bidirectional", True), **audio)
        wanted = WantedConnection(target_of(uri), audio, {"X-Bot": "7"}, streams)
        return await self.connectors.start(self.admission(role), wanted)

    @property
    def run(self):
        return self.egress.runs[-1]

    def events(self):
        """What the tap said since the last call."""
        read = read_records(self.run.media)
        return [
            (one.event["event"], one.event["stream"]) for one in read if one.kind is RecordKind.JSON
        ]

    def metric(self, name, **labels):
        return metric_of(self.metrics, "audio_connector", name, **labels)

    async def close(self):
        await self.connectors.close()
        await self.house.plane.close()


@pytest.fixture
async def world():
    world = World()
    yield world
    await world.close()


async def test_a_connection_is_announced_when_its_websocket_is_open(world):
    viewer = await world.house.joined()
    world.egress.opens = False
    starting = asyncio.create_task(world.start())
    await settle()
    assert not [one for one in viewer.inbox if isinstance(one, m.ConnectionCreated)]
    world.run.open()
    started = await starting
    (created,) = [one for one in viewer.inbox if isinstance(one, m.ConnectionCreated)]
    assert created.connection.connection_id == started.connection
    assert created.connection.data == "bot"
    assert world.metric("sealroute_egress_running") == 1
    assert world.metric("sealroute_egress_starts_total") == 1


async def test_the_application_hears_of_it_by_callbacks_as_of_any_client(world):
    moderator = await world.house.joined(Role.MODERATOR)
    world.house.notices.clear()
    started = await world.start()
    world.run.listener.on_spoken()
    await settle()
    moderator.ask(m.ForceDisconnect, connection_id=started.connection)
    await settle()
    told = world.house.notices
    assert [one.event for one in told] == [
        "connectionCreated",
        "streamCreated",
        "streamDestroyed",
        "connectionDestroyed",
    ]
    assert {told[0].subject, told[-1].subject} == {started.connection}
    assert (told[0].connection.data, told[-1].reason) == ("bot", "forceDisconnected")


async def test_the_job_says_where_to_and_who_it_is(world):
    started = await world.start()
    job = world.run.job
    assert (job.host, job.port, job.resource, job.secure) == ("bot.test", 80, "/a?b=c", False)
    assert job.headers == {"X-Bot": "7"}
    assert job.upgrade_headers == {
        "X-Bot": "7",
        "x-opentok-ws-sessionid": "2_session",
        "x-opentok-ws-connectionid": started.connection,
        "x-opentok-ws-conferenceid": started.id,
    }


async def test_it_hears_all_audio_and_never_itself(world):
    ann = await world.house.joined()
    first = await ann.publish()
    await world.start()
    assert world.events() == [("streamAdded", first)]
    ben = await world.house.joined()
    second = await ben.publish()
    assert world.events() == [("streamAdded", second)]
    world.run.listener.on_spoken()
    await settle()
    assert world.events() == []
    ann.ask(m.Bye)
    await settle()
    assert world.events() == [("streamRemoved", first)]


async def test_it_hears_the_streams_that_were_named(world):
    ann, ben = await world.house.joined(), await world.house.joined()
    await ann.publish()
    wanted = await ben.publish()
    await world.start(streams=frozenset({wanted}))
    assert world.events() == [("streamAdded", wanted)]


async def test_what_it_says_is_a_stream_of_its_connection_from_the_first_audio_on(world):
    viewer = await world.house.joined()
    started = await world.start()
    await settle()
    assert not world.house.actor.state.streams
    world.run.listener.on_spoken()
    await settle()
    (stream,) = world.house.actor.state.streams.values()
    assert (stream.owner, stream.live, set(stream.mids.values())) == (
        started.connection,
        True,
        {"audio"},
    )
    (created,) = [one for one in viewer.inbox if isinstance(one, m.StreamCreated)]
    assert (created.stream.has_audio, created.stream.has_video) == (True, False)
    assert world.run.said == [PacketForm(1, 111, 1)]


async def test_its_stream_is_muted_as_any_other(world):
    moderator = await world.house.joined(Role.MODERATOR)
    await world.start()
    world.run.listener.on_spoken()
    await settle()
    (name,) = world.house.actor.state.streams
    moderator.ask(m.ForceMuteStream, stream_id=name)
    assert world.house.stream(name).forwarding == {MediaKind.AUDIO: False}


async def test_who_ends_its_stream_does_not_end_what_it_hears(world):
    moderator = await world.house.joined(Role.MODERATOR)
    stream = await moderator.publish()
    started = await world.start()
    world.run.listener.on_spoken()
    await settle()
    (own,) = [name for name in world.house.actor.state.streams if name != stream]
    moderator.ask(m.ForceUnpublish, stream_id=own)
    await settle()
    assert list(world.house.actor.state.streams) == [stream]
    assert started.connection in world.house.actor.state.connections
    assert world.events() == [("streamAdded", stream)]


async def test_after_a_reconnect_the_next_process_learns_of_the_streams_and_speaks_again(world):
    ann = await world.house.joined()
    stream = await ann.publish()
    await world.start()
    world.run.listener.on_spoken()
    await settle()
    world.events()
    world.run.listener.on_open_again()
    assert world.events() == [("streamRemoved", stream), ("streamAdded", stream)]
    world.run.listener.on_spoken()
    await settle()
    assert len(world.run.said) == 2
    assert len(world.house.actor.state.streams) == 2


@pytest.mark.parametrize("how", ["stop", "disconnect", "peer", "tap", "session"])
async def test_however_it_ends_nothing_is_left(world, how):
    viewer = await world.house.joined(Role.MODERATOR)
    before = open_descriptors()
    started = await world.start()
    world.run.listener.on_spoken()
    await settle()
    assert len(world.house.actor.state.streams) == 1
    if how == "stop":
        await world.connectors.stop(_project(), started.id)
    elif how == "disconnect":
        viewer.ask(m.ForceDisconnect, connection_id=started.connection)
    elif how == "peer":
        world.run.lose()
    elif how == "tap":
        (media,) = world.house.plane.sessions.values()
        media.taps[0].lose()
    else:
        await world.house.directory.close()
    await settle()
    assert world.connectors.running() == []
    assert world.run.said[-1] == "leave"
    assert world.metric("sealroute_egress_running") == 0
    assert open_descriptors() - before == set()
    if how != "session":
        assert started.connection not in world.house.actor.state.connections
        assert not world.house.actor.state.streams
        assert any(isinstance(one, m.ConnectionDestroyed) for one in viewer.inbox)
    lost = {"peer": "peer lost", "tap": "process lost"}.get(how)
    if lost is not None:
        assert world.metric("sealroute_egress_failures_total", reason=lost) == 1


def _project():
    return replace(new_project(random_bytes=bytes(44), now_ms=1), api_key="1")


async def test_only_its_project_stops_it(world):
    started = await world.start()
    other = new_project(random_bytes=b"x" * 44, now_ms=1)
    for project, name in ((other, started.id), (_project(), "no such one")):
        with pytest.raises(DomainError) as failure:
            await world.connectors.stop(project, name)
        assert failure.value.code is ErrorCode.CALL_NOT_FOUND
    assert len(world.connectors.running()) == 1


async def test_a_websocket_that_does_not_open_leaves_no_trace(world):
    viewer = await world.house.joined()
    before, told = open_descriptors(), list(world.house.notices)
    world.egress.opens = False
    starting = asyncio.create_task(world.start())
    await settle()
    world.run.refuse()
    assert await refused(starting) is ErrorCode.CONNECT_FAILED
    assert world.house.notices == told
    assert world.connectors.running() == []
    assert len(world.house.actor.state.connections) == 1
    assert not [one for one in viewer.inbox if isinstance(one, m.ConnectionDestroyed)]
    assert open_descriptors() - before == set()
    reason = "connect_failed"
    assert world.metric("sealroute_egress_failures_total", reason=reason) == 1


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("peer closed", ErrorCode.CONNECT_FAILED),
        ("peer lost", ErrorCode.CONNECT_FAILED),
        ("process lost", ErrorCode.OVERLOADED),
    ],
)
async def test_a_websocket_that_ends_as_soon_as_it_is_open_is_the_error_of_who_asked(
    world, how, code
):
    viewer = await world.house.joined()
    world.egress.opens = False
    starting = asyncio.create_task(world.start())
    await settle()
    world.run.open()
    world.run.lose(how)
    assert await refused(starting) is code
    assert world.connectors.running() == []
    assert not [one for one in viewer.inbox if isinstance(one, m.ConnectionCreated)]


async def test_a_server_that_has_no_process_for_it_does_not_blame_the_caller(world):
    world.egress.opens = False
    starting = asyncio.create_task(world.start())
    await settle()
    world.run.refuse("child_lost")
    assert await refused(starting) is ErrorCode.OVERLOADED
    assert world.connectors.running() == []


async def test_a_caller_that_goes_away_leaves_no_trace(world):
    world.egress.opens = False
    starting = asyncio.create_task(world.start())
    await settle()
    starting.cancel()
    await asyncio.wait({starting})
    assert world.connectors.running() == []
    assert not world.house.actor.state.connections


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("ws://inside.test/", ErrorCode.ADDRESS_REFUSED),
        ("ws://169.254.169.254/latest", ErrorCode.ADDRESS_REFUSED),
        ("ws://[::ffff:10.0.0.1]/", ErrorCode.ADDRESS_REFUSED),
        ("ws://unknown.test/", ErrorCode.CONNECT_FAILED),
    ],
)
async def test_addresses_are_checked_before_anybody_joins(world, uri, code):
    assert await refused(world.start(uri=uri)) is code
    assert world.house.directory.find("2_session") is None
    assert world.egress.runs == []


async def test_a_role_that_may_not_subscribe_or_publish_is_refused(world):
    assert await refused(world.start(Role.SUBSCRIBER)) is ErrorCode.PERMISSION_DENIED
    assert await refused(world.start(Role.PUBLISHER_ONLY)) is ErrorCode.PERMISSION_DENIED
    await world.start(Role.SUBSCRIBER, bidirectional=False)


async def test_an_encrypted_session_has_no_tap_for_it():
    world = World(e2ee=True)
    code = await refused(world.start())
    assert code in (ErrorCode.E2EE_UNSUPPORTED, ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA)
    assert world.connectors.running() == []
    await world.close()


async def test_there_is_room_for_so_many_and_each_end_makes_room():
    world = World(running_per_project=2)
    await world.start()
    second = await world.start()
    assert await refused(world.start()) is ErrorCode.NO_CAPACITY
    second.leave()
    await world.start()
    world.egress.room = 0
    second = world.connectors.running()[0]
    second.leave()
    assert await refused(world.start()) is ErrorCode.NO_CAPACITY
    await world.close()


async def test_without_what_it_needs_the_feature_is_not_there():
    for world in (World(egress=False), World(enabled=False)):
        assert await refused(world.start()) is ErrorCode.FEATURE_UNAVAILABLE
        await world.close()
