"""SIP calls of a node, over the media plane of tests and telephones as a test has them."""

import asyncio
from dataclasses import replace

import pytest

from config.sip_settings import SipSettings
from sfu.core_api import MediaKind
from sfu.egress.sip_jobs import CallEnd
from sfu.target_policy import TargetPolicy, networks
from signaling.calls.call import WantedCall
from signaling.calls.marks import CallMarks
from signaling.calls.service import CallParts, SipCalls
from signaling.clock import SystemClock
from signaling.domain.errors import DomainError, ErrorCode
from signaling.domain.roles import Role
from signaling.domain.sip_calling import target_of
from signaling.domain.tokens import Admission
from signaling.egress.dialing import Dialer
from signaling.metrics import Metrics
from signaling.protocol import messages as m
from tests.conversation import House, settle
from tests.descriptors import open_descriptors
from tests.egress_world import Names, metric_of, refused
from tests.fakes.calls import FakeCalls


class World:
    def __init__(self, folder, *, e2ee=False, egress=True, **settings):
        self.house = House(e2ee=e2ee)
        self.folder = folder
        self.egress = FakeCalls()
        self.metrics = Metrics(dict)
        self.told: list = []
        dialer = Dialer(TargetPolicy(networks("127.0.0.0/8")), Names(**{"pbx.test": "127.0.0.1"}))
        self.parts = CallParts(
            self.house.directory,
            self.egress if egress else None,
            dialer,
            self.metrics,
            SystemClock(),
            lambda _session, notice: self.told.append(notice),
            SipSettings(**settings),
            CallMarks(folder / "calls"),
            self._session_of,
        )
        self.calls = SipCalls(self.parts)

    async def _session_of(self, name):
        record = self.house.record
        return record if name == record.session_id else None

    def marks(self):
        """The calls that a kill would leave behind."""
        found = self.folder / "calls"
        return sorted(one.name for one in found.iterdir()) if found.exists() else []

    async def start(self, role=Role.PUBLISHER, uri="sip:ann@pbx.test", **wanted):
        admission = Admission(self.house.record, role, 2e9, connection_data="phone")
        asked = WantedCall(target_of(uri), "sip:me@example.com", **wanted)
        return await self.calls.start(admission, asked)

    @property
    def run(self):
        return self.egress.runs[-1]

    def states(self):
        return [(one.event, one.call.get("state")) for one in self.told]

    def metric(self, name, **labels):
        return metric_of(self.metrics, "sip", name, **labels)

    async def close(self):
        await self.calls.close()
        await self.house.plane.close()


@pytest.fixture
async def world(tmp_path):
    world = World(tmp_path)
    yield world
    await world.close()


def of(viewer, kind):
    return [one for one in viewer.inbox if isinstance(one, kind)]


async def test_who_is_heard_before_the_answer_has_a_stream_and_rings_once(world):
    viewer = await world.house.joined()
    await world.start()
    for state in ("ringing", "early"):
        world.run.listener.on_state(state)
    await settle()
    assert len(of(viewer, m.StreamCreated)) == 1
    world.run.listener.on_state("active")
    await settle()
    assert len(of(viewer, m.StreamCreated)) == 1
    assert world.states() == [
        ("callCreated", None),
        ("callUpdated", "RINGING"),
        ("callUpdated", "ACTIVE"),
    ]


async def test_a_call_has_its_client_and_stream_before_anybody_answers(world):
    viewer = await world.house.joined()
    call = await world.start()
    (created,) = of(viewer, m.ConnectionCreated)
    assert (created.connection.connection_id, created.connection.data) == (
        call.connection,
        "phone",
    )
    await settle()
    assert of(viewer, m.StreamCreated) == []
    world.run.listener.on_state("ringing")
    world.run.listener.on_state("active")
    await settle()
    (stream,) = of(viewer, m.StreamCreated)
    assert (stream.stream.stream_id, stream.stream.name) == (call.stream, "ann")
    assert world.states() == [
        ("callCreated", None),
        ("callUpdated", "RINGING"),
        ("callUpdated", "ACTIVE"),
    ]
    assert world.metric("sealroute_egress_running") == 1


async def test_the_telephone_may_hang_up(world):
    viewer = await world.house.joined()
    call = await world.start()
    world.run.end()
    await settle()
    assert [one.connection_id for one in of(viewer, m.ConnectionDestroyed)] == [call.connection]
    assert world.states()[-2:] == [("callUpdated", "HANGUP"), ("callDestroyed", None)]
    assert world.told[-1].call["reason_code"] == 700
    assert world.run.said[-1] == "leave"
    assert world.metric("sealroute_egress_running") == 0
    assert world.metric("sealroute_egress_failures_total", reason="refused") == 0


async def test_a_busy_telephone_is_told_with_its_status(world):
    await world.start()
    world.run.end("refused", 486, "Busy Here")
    told = world.told[-1].call
    assert (told["reason_code"], told["reason_message"]) == (486, "Busy Here")
    assert world.metric("sealroute_egress_failures_total", reason="refused") == 1


async def test_a_telephone_that_refuses_before_the_caller_has_an_answer_is_told_all_the_same(world):
    world.egress.first_end = CallEnd("refused", 503, "Service Unavailable")
    viewer = await world.house.joined()
    call = await world.start()
    assert world.states() == [
        ("callCreated", None),
        ("callUpdated", "DIALING"),
        ("callUpdated", "HANGUP"),
        ("callDestroyed", None),
    ]
    assert world.told[-1].call["reason_code"] == 503
    assert call.connection is not None
    assert call.stream is not None
    await settle()
    assert len(of(viewer, m.ConnectionCreated)) == len(of(viewer, m.ConnectionDestroyed)) == 1
    assert world.calls.running() == []
    await asyncio.gather(*world.calls._tasks)
    assert world.marks() == []


async def test_who_ends_the_connection_hangs_up(world):
    moderator = await world.house.joined(Role.MODERATOR)
    call = await world.start()
    moderator.ask(m.ForceDisconnect, connection_id=call.connection)
    await settle()
    assert world.run.said[-1] == "leave"
    assert world.calls.running() == []
    assert world.told[-1].event == "callDestroyed"


async def test_tones_reach_all_calls_of_a_session_or_one(world):
    first, second = await world.start(), await world.start()
    world.calls.press(first.session, "1")
    world.calls.press(first.session, "2", second.connection)
    assert [one for one in world.egress.runs[0].said if isinstance(one, str)] == ["1"]
    assert [one for one in world.egress.runs[1].said if isinstance(one, str)] == ["1", "2"]
    for session, connection in (("other", None), (first.session, "other")):
        with pytest.raises(DomainError) as failure:
            world.calls.press(session, "1", connection)
        assert failure.value.code is ErrorCode.SIP_LEG_NOT_FOUND


@pytest.mark.parametrize("observes", [True, False])
async def test_a_moderator_mutes_and_who_observes_it_may_speak_again(world, observes):
    moderator = await world.house.joined(Role.MODERATOR)
    call = await world.start(observes_mute=observes)
    world.run.listener.on_state("active")
    await settle()
    moderator.ask(m.ForceMuteStream, stream_id=call.stream)
    await settle()
    assert world.told[-1].event == "muteForced"
    assert (world.run.said[-1] == "mute") is observes
    assert world.house.stream(call.stream).forwarding == {MediaKind.AUDIO: False}
    for digit in "*6":
        world.run.listener.on_digit(digit)
    await settle()
    assert (world.run.said[-1] == "unmute") is observes
    last = of(moderator, m.StreamPropertyChanged)[-1]
    assert last.has_audio is observes


async def test_the_job_says_whom_to_call_and_how(world):
    await world.start(headers={"X-A": "b"}, username="u", password="p", secure=True)
    job = world.run.job
    assert (str(job.target), job.caller, job.secure) == (
        "sip:ann@pbx.test",
        "sip:me@example.com",
        True,
    )
    assert (job.headers, job.username, job.password) == ((("X-A", "b"),), "u", "p")
    assert "password" not in repr(job)


async def test_digits_of_the_telephone_are_told_and_star_six_mutes_who_observes_it(world):
    await world.start(observes_mute=True)
    world.run.listener.on_state("active")
    await settle()
    for digit in "*6":
        world.run.listener.on_digit(digit)
    assert [one.call["digit"] for one in world.told if one.event == "callDigit"] == ["*", "6"]
    assert world.run.said[-1] == "mute"
    for digit in "*6":
        world.run.listener.on_digit(digit)
    assert world.run.said[-1] == "unmute"


async def test_star_six_means_nothing_to_who_does_not(world):
    await world.start()
    world.run.listener.on_state("active")
    for digit in "*6":
        world.run.listener.on_digit(digit)
    assert not {"mute", "unmute"} & {one for one in world.run.said if isinstance(one, str)}


@pytest.mark.parametrize("role", [Role.SUBSCRIBER])
async def test_a_role_that_may_not_publish_may_not_call(world, role):
    assert await refused(world.start(role)) is ErrorCode.PERMISSION_DENIED
    assert world.egress.runs == []


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("sip:a@10.0.0.1", ErrorCode.ADDRESS_REFUSED),
        ("sip:a@inside.test", ErrorCode.ADDRESS_REFUSED),
        ("sip:a@nobody.test", ErrorCode.CONNECT_FAILED),
    ],
)
async def test_an_address_is_checked_before_anybody_sees_a_client(world, uri, code):
    viewer = await world.house.joined()
    assert await refused(world.start(uri=uri)) is code
    assert of(viewer, m.ConnectionCreated) == []
    assert world.told == []


async def test_there_is_room_for_so_many(tmp_path):
    world = World(tmp_path, running_per_project=1)
    await world.start()
    assert await refused(world.start()) is ErrorCode.NO_CAPACITY
    world.run.end()
    await world.start()
    await world.close()


async def test_a_call_that_no_process_takes_leaves_nothing_behind(world):
    world.egress.room = 0
    viewer = await world.house.joined()
    before = open_descriptors()
    assert await refused(world.start()) is ErrorCode.NO_CAPACITY
    await settle()
    assert world.calls.running() == []
    assert of(viewer, m.ConnectionCreated) == []
    assert world.told == []
    assert open_descriptors() == before


async def test_an_encrypted_session_takes_no_call(tmp_path):
    world = World(tmp_path, e2ee=True)
    assert await refused(world.start()) is ErrorCode.E2EE_UNSUPPORTED
    assert world.egress.runs == []
    await world.close()


async def test_without_the_packages_there_are_no_calls(tmp_path):
    world = World(tmp_path, egress=False)
    assert await refused(world.start()) is ErrorCode.FEATURE_UNAVAILABLE
    await world.close()


async def test_a_server_that_closes_hangs_up(world):
    await world.start()
    await world.calls.close()
    assert world.run.said[-1] == "leave"
    assert world.egress.closed
    await asyncio.sleep(0)


async def test_what_a_killed_server_left_is_reported_once_by_the_next_one(world):
    call = await world.start()
    info = world.told[0].call["call"]
    assert world.marks() == [call.id]
    (world.folder / "calls" / "1d9c3b5e-0000-4000-8000-000000000001").write_text("[")
    (world.folder / "calls" / "not ours").touch()
    world.told.clear()
    await world.calls.recover()  # its own calls are not over
    assert world.told == []
    after = SipCalls(world.parts)
    await after.recover()
    await after.recover()
    assert world.states() == [("callUpdated", "HANGUP"), ("callDestroyed", None)]
    assert world.told[-1].call["call"] == info
    assert world.told[-1].call["reason_code"] == 703
    assert world.marks() == ["not ours"]


async def test_a_call_that_is_over_or_did_not_begin_leaves_no_mark(world):
    await world.start()
    world.run.end("refused", 486, "Busy Here")
    await settle()
    await asyncio.gather(*world.calls._tasks)
    assert world.marks() == []
    (world.folder / "calls").rmdir()
    (world.folder / "calls").touch()  # no folder can be made
    assert await refused(world.start()) is ErrorCode.NO_CAPACITY
    assert world.calls.running() == []


async def test_the_calls_of_a_session_that_is_gone_are_forgotten(world):
    await world.start()
    world.told.clear()
    world.house.record = replace(world.house.record, session_id="another")
    await SipCalls(world.parts).recover()
    assert (world.told, world.marks()) == ([], [])
