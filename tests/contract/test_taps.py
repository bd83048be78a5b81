"""What every tap keeps: that of the plane in memory and that over a core, and the descriptors that
either core is given."""

import asyncio
import importlib.util
import os
import socket
from pathlib import Path

import pytest

from sfu import core_api
from sfu.core_api import (
    Codec,
    CommandFailed,
    Direction,
    DownTrackParameters,
    EncodingParameters,
    MediaKind,
    PayloadAccess,
    UpTrackParameters,
    WorkerSettings,
)
from sfu.media_plane import MediaError, TrackOffer
from sfu.media_router import NativeMediaRouter
from tests.descriptors import open_descriptors
from tests.fakes.media_router import FakeMediaRouter
from tests.fakes.tap_records import RecordKind, is_at_end, read_records

_spec = importlib.util.spec_from_file_location(
    "tap_peers", Path(__file__).parents[1] / "unit" / "sfu" / "peers.py"
)
peers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(peers)

ALL = frozenset(MediaKind)
AUDIO = frozenset({MediaKind.AUDIO})
TRACKS = (TrackOffer("0", MediaKind.AUDIO), TrackOffer("1", MediaKind.VIDEO))
PASSWORD = "p" * 24
FENCE = 999


class TapListener:
    """Writes down what it is told."""

    def __init__(self):
        self.reported = []

    def on_stream_gone(self, stream):
        self.reported.append(("gone", stream))

    def on_tap_closed(self, reason):
        self.reported.append(("closed", reason))


@pytest.fixture(params=[peers.FakeBench, peers.NativeBench], ids=["fake", "native"])
async def bench(request):
    bench = request.param()
    yield bench
    await bench.plane.close()


@pytest.fixture
def session(bench):
    return bench.plane.open_session("clear", e2ee=False)


class Publisher:
    def __init__(self, bench, session, name="ann"):
        self.bench = bench
        self.media = session.open_client(name, peers.Listener())
        self.up = peers.PeerConnection()

    async def publish(self, stream="st", tracks=TRACKS):
        await self.media.publish(stream, self.up.offer(), tracks)


@pytest.fixture
async def ann(bench, session):
    publisher = Publisher(bench, session)
    await publisher.publish()
    return publisher


@pytest.fixture
def listener():
    return TapListener()


@pytest.fixture
def tap(session, listener):
    tap = session.open_tap(listener)
    yield tap
    tap.close()


def events(tap):
    records = read_records(tap.child_end)
    assert {record.kind for record in records} <= {RecordKind.JSON}
    return [record.event for record in records]


def code_of(call, *arguments):
    with pytest.raises(MediaError) as refused:
        call(*arguments)
    return refused.value.code


async def test_a_reader_learns_of_a_stream_with_its_tracks_and_properties(ann, tap):
    tap.add("st", ALL, {"name": "Zoë", "createdAt": 7})
    (event,) = events(tap)
    assert (event["event"], event["stream"]) == ("streamAdded", "st")
    assert (event["name"], event["createdAt"]) == ("Zoë", 7)
    audio, video = event["tracks"]
    assert audio["ssrc"] != video["ssrc"]
    audio.pop("extensions"), video.pop("extensions")
    assert audio == {
        "ssrc": 1,
        "kind": "audio",
        "codec": "opus",
        "clockRate": 48_000,
        "payloadType": 111,
    }
    assert video == {
        "ssrc": 2,
        "kind": "video",
        "codec": "vp8",
        "clockRate": 90_000,
        "payloadType": 96,
    }


async def test_properties_of_a_publisher_do_not_replace_what_the_plane_says(ann, tap):
    tap.add("st", ALL, {"event": "streamRemoved", "stream": "other", "tracks": []})
    (event,) = events(tap)
    assert (event["event"], event["stream"]) == ("streamAdded", "st")
    assert len(event["tracks"]) == 2


async def test_an_encrypted_session_has_no_tap(bench, listener):
    session = bench.plane.open_session("encrypted", e2ee=True)
    assert code_of(session.open_tap, listener) == "clear_media_required"
    assert (await session.dump()).taps == ()


async def test_what_cannot_be_tapped_is_refused_and_leaves_nothing(bench, session, ann, tap):
    speaker = Publisher(bench, session, "ben")
    await speaker.publish("audio", TRACKS[:1])
    assert code_of(tap.add, "no", ALL, {}) == "stream_unknown"
    assert code_of(tap.add, "audio", frozenset({MediaKind.VIDEO}), {}) == "track_unknown"
    assert code_of(tap.set_forwarding, "st", MediaKind.AUDIO, False) == "stream_unknown"
    assert events(tap) == []
    tap.add("st", AUDIO, {})
    assert code_of(tap.add, "st", ALL, {}) == "stream_exists"
    tap.set_forwarding("st", MediaKind.AUDIO, False)
    assert len(events(tap)) == 1


async def test_a_stream_that_comes_back_has_other_ssrcs(ann, tap):
    tap.add("st", ALL, {})
    tap.remove("st", "deselected")
    tap.remove("st", "deselected")
    tap.add("st", ALL, {})
    first, removed, second = events(tap)
    assert removed == {"event": "streamRemoved", "stream": "st", "reason": "deselected"}
    before, after = ({track["ssrc"] for track in one["tracks"]} for one in (first, second))
    assert before.isdisjoint(after)


async def test_events_come_out_in_order_with_the_streams(ann, tap):
    tap.write({"event": "muted", "stream": "st", "kind": "video", "muted": True})
    tap.add("st", AUDIO, {})
    tap.write({"event": "layoutClassList", "stream": "st", "layoutClassList": ["full"]})
    assert [event["event"] for event in events(tap)] == ["muted", "streamAdded", "layoutClassList"]


async def test_a_stream_leaves_with_its_publisher(bench, session, ann, tap, listener):
    tap.add("st", ALL, {})
    ann.media.unpublish("st")
    assert listener.reported == []
    await bench.settle()
    assert listener.reported == [("gone", "st")]
    assert events(tap)[-1] == {"event": "streamRemoved", "stream": "st", "reason": "unpublished"}
    tap.remove("st", "too late")
    assert events(tap) == []
    (dump,) = (await session.dump()).taps
    assert dump.subscriptions == {}
    await ann.publish("st")
    tap.add("st", ALL, {})


async def test_a_stream_leaves_with_its_publishers_connection(bench, ann, tap, listener):
    bench.connect(ann.media, Direction.UPLINK, ann.up)
    tap.add("st", ALL, {})
    bench.lose(ann.media, Direction.UPLINK)
    await bench.settle()
    assert listener.reported == [("gone", "st")]


async def test_the_end_is_the_last_record_and_comes_once(bench, session, ann, tap, listener):
    tap.add("st", ALL, {})
    tap.end()
    tap.end()
    tap.write({"event": "late"})
    assert code_of(tap.add, "st", ALL, {}) == "transport_closed"
    kinds = [record.kind for record in read_records(tap.child_end)]
    assert kinds == [RecordKind.JSON, RecordKind.END]
    assert is_at_end(tap.child_end)
    ann.media.unpublish("st")
    await bench.settle()
    assert listener.reported == []
    assert (await session.dump()).taps == ()


async def test_a_closed_tap_has_closed_its_end_here_and_says_nothing_more(
    bench, ann, tap, listener
):
    tap.add("st", ALL, {})
    ann.media.unpublish("st")
    tap.close()
    tap.close()
    assert tap.child_end.fileno() == -1
    await bench.settle()
    assert listener.reported == []


async def test_with_the_session_its_taps_end(bench, session, ann, tap, listener):
    tap.add("st", ALL, {})
    session.close()
    await bench.settle()
    assert listener.reported[-1] == ("closed", "session_closed")
    assert read_records(tap.child_end)[-1].kind is RecordKind.END
    assert is_at_end(tap.child_end)
    assert code_of(session.open_tap, listener) == "transport_closed"


async def test_a_reader_that_has_gone_ends_the_tap(bench, session, tap, listener):
    tap.child_end.close()
    tap.write({"event": "muted"})
    await asyncio.sleep(0)
    await bench.settle()
    assert listener.reported == [("closed", "reader_gone")]
    assert (await session.dump()).taps == ()


async def test_several_taps_of_a_session_are_independent(session, ann, tap):
    other = session.open_tap(TapListener())
    tap.add("st", ALL, {})
    other.add("st", AUDIO, {})
    tap.end()
    other.write({"event": "muted"})
    assert [event["event"] for event in events(other)] == ["streamAdded", "muted"]
    other.close()


# --- what is published through a tap ------------------------------------------------------------


class Bot:
    """A client whose uplink is a tap."""

    def __init__(self, session, tap, name="bot"):
        self.events = peers.Listener()
        self.media = session.open_client(name, self.events)
        self.media.publish_through(tap)

    async def publish(self, stream="speech", tracks=TRACKS[:1]):
        return await self.media.publish(stream, "", tracks)


async def test_a_stream_through_a_tap_is_live_at_once_and_others_can_tap_it(bench, session, tap):
    bot = Bot(session, tap)
    answer = await bot.publish()
    assert (answer.sdp, [track.codec for track in answer.tracks]) == ("", [Codec.OPUS])
    await bench.settle()
    assert bot.events.reported == [("live", "speech")]
    other = session.open_tap(TapListener())
    other.add("speech", AUDIO, {})
    assert [event["stream"] for event in events(other)] == ["speech"]
    bot.media.set_stream_forwarding("speech", MediaKind.AUDIO, False)
    bot.media.unpublish("speech")
    assert events(other)[-1]["reason"] == "unpublished"
    await bot.publish("again")
    other.close()
    bot.media.close()
    await bench.settle()
    assert (await session.dump()).streams == ()


async def test_a_tap_publishes_one_audio_track(session, tap):
    bot = Bot(session, tap)
    for tracks in (TRACKS, TRACKS[1:], ()):
        with pytest.raises(MediaError) as refused:
            await bot.publish(tracks=tracks)
        assert refused.value.code == "track_unknown"
    await bot.publish()
    with pytest.raises(MediaError) as refused:
        await bot.publish("second")
    assert refused.value.code == "track_unknown"
    assert code_of(bot.media.publish_through, tap) == "setup_invalid"
    assert (await session.dump()).streams == ("speech",)
    bot.media.close()


async def test_a_client_with_an_uplink_publishes_through_no_tap(ann, tap):
    assert code_of(ann.media.publish_through, tap) == "setup_invalid"


@pytest.mark.parametrize("how", ["end", "reader", "session"])
async def test_with_the_tap_its_client_loses_the_uplink(bench, session, tap, how):
    bot = Bot(session, tap)
    await bot.publish()
    await bench.settle()
    if how == "end":
        tap.end()
    elif how == "reader":
        tap.child_end.close()
        tap.write({"event": "muted"})
        await asyncio.sleep(0)
    else:
        session.close()
        assert session.streams == {}
        return
    await bench.settle()
    assert bot.events.reported[1:] == [("lost", Direction.UPLINK)]
    assert (await session.dump()).streams == ()


# --- the descriptors that a core is given -----------------------------------------------------

ENCODING = EncodingParameters(ssrc=70)
UP_TRACK = UpTrackParameters(
    "0", MediaKind.AUDIO, Codec.OPUS, 111, None, 48_000, (ENCODING,), {}, nack=False
)
DOWN_TRACK = DownTrackParameters("0", "0", 77, None, 111, None, {}, nack=False)
SCENE = (
    core_api.OpenRouter(1, PayloadAccess.CLEAR),
    core_api.OpenTransport(1, 2, Direction.UPLINK, "ufrag", PASSWORD),
    core_api.Publish(1, 4, 2, (UP_TRACK,)),
    core_api.OpenRouter(11, PayloadAccess.OPAQUE),
    core_api.OpenRouter(21, PayloadAccess.CLEAR),
)


class Core:
    """A media core, the commands that it reported as failed, and the readers of its taps."""

    def __init__(self, router):
        self.router = router
        self.readers = []
        self._failed = asyncio.Queue()
        router.listen(self._take)

    def _take(self, batch):
        for event in batch:
            if isinstance(event, CommandFailed):
                self._failed.put_nowait(event)

    def tap(self, router, transport):
        """A command that opens a tap, and its reader's end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.readers.append(theirs)
        return core_api.OpenTap(router, transport, ours.detach()), theirs

    def close_readers(self):
        for reader in self.readers:
            reader.close()

    async def failures(self, *commands):
        for command in (*commands, core_api.CloseRouter(FENCE)):
            self.router.submit(command)
        found = []
        while True:
            failed = await self._failed.get()
            if failed.handle == FENCE:
                return found
            found.append((failed.command, failed.handle, failed.reason))


@pytest.fixture(params=["fake", "native"])
async def core(request):
    if request.param == "fake":
        router = FakeMediaRouter()
    else:
        pytest.importorskip("sfu._native")
        router = NativeMediaRouter(WorkerSettings(host="127.0.0.1"), asyncio.get_running_loop())
    core = Core(router)
    assert await core.failures(*SCENE) == []
    yield core
    router.close()
    core.close_readers()


async def test_no_tap_leaves_a_descriptor_behind(core):
    before = open_descriptors()
    for _ in range(20):
        opened, _ = core.tap(1, 30)
        taken, _ = core.tap(1, 30)
        opaque, _ = core.tap(11, 31)
        failed = await core.failures(opened, taken, opaque, core_api.CloseTransport(30))
        assert [reason for _, _, reason in failed] == ["handle_taken", "opaque"]
    core.close_readers()
    assert open_descriptors() - before == set()


@pytest.mark.parametrize(
    ("router", "transport", "reason"),
    [
        (99, 30, "unknown_handle"),
        (11, 30, "opaque"),
        (1, 2, "handle_taken"),
        (21, 2, "handle_taken"),
    ],
)
async def test_a_refused_tap_closes_its_descriptor(core, router, transport, reason):
    for _ in range(2):
        command, reader = core.tap(router, transport)
        assert await core.failures(command) == [("open_tap", transport, reason)]
        assert is_at_end(reader)
    gone = core_api.CloseTransport(30)
    assert await core.failures(gone) == [("close_transport", 30, "unknown_handle")]


async def test_an_opaque_session_has_no_tap_before_or_after_it_has_streams(core):
    publish = [
        core_api.OpenTransport(11, 12, Direction.UPLINK, "opaque", PASSWORD),
        core_api.Publish(11, 14, 12, (UP_TRACK,)),
    ]
    for commands in ([], publish):
        assert await core.failures(*commands) == []
        command, reader = core.tap(11, 13)
        subscribe = core_api.Subscribe(11, 15, 14, 13, (DOWN_TRACK,))
        assert await core.failures(command, subscribe) == [
            ("open_tap", 13, "opaque"),
            ("subscribe", 15, "unknown_handle"),
        ]
        assert is_at_end(reader)


async def test_the_handle_of_a_tap_is_taken_until_its_end(core):
    first, reader = core.tap(1, 30)
    second, refused = core.tap(1, 30)
    other, elsewhere = core.tap(21, 30)
    peer = core_api.OpenTransport(1, 30, Direction.DOWNLINK, "another", PASSWORD)
    assert await core.failures(first, second, other, peer) == [
        ("open_tap", 30, "handle_taken"),
        ("open_tap", 30, "handle_taken"),
        ("open_transport", 30, "handle_taken"),
    ]
    assert is_at_end(refused)
    assert is_at_end(elsewhere)
    assert not is_at_end(reader)
    again, _ = core.tap(21, 30)
    assert await core.failures(core_api.CloseTransport(30), again) == []
    assert [record.kind for record in read_records(reader)] == [RecordKind.END]
    assert is_at_end(reader)


async def test_a_tap_is_subscribed_and_publishes_in_its_own_session_only(core):
    command, _ = core.tap(21, 30)
    assert await core.failures(
        command,
        core_api.Subscribe(1, 5, 4, 30, (DOWN_TRACK,)),
        core_api.Subscribe(21, 5, 4, 30, (DOWN_TRACK,)),
        core_api.Publish(1, 6, 30, (UP_TRACK,)),
        core_api.SendDtls(30, b"x"),
        core_api.Publish(21, 6, 30, (UP_TRACK,)),
        core_api.Publish(21, 7, 30, (UP_TRACK,)),
        core_api.CloseTransport(30),
        core_api.Unpublish(6),
    ) == [
        ("subscribe", 5, "unknown_handle"),
        ("subscribe", 5, "unknown_handle"),
        ("publish", 6, "unknown_handle"),
        ("send_dtls", 30, "unknown_handle"),
        ("publish", 7, "conflict"),
        ("unpublish", 6, "unknown_handle"),
    ]


async def test_with_a_tap_its_subscriptions_end_and_the_publisher_goes_on(core):
    command, _ = core.tap(1, 30)
    failed = await core.failures(
        command,
        core_api.Subscribe(1, 5, 4, 30, (DOWN_TRACK,)),
        core_api.SetDownTrackForwarding(5, MediaKind.AUDIO, forwarding=False),
        core_api.CloseTransport(30),
        core_api.Unsubscribe(5),
        core_api.Unpublish(4),
    )
    assert failed == [("unsubscribe", 5, "unknown_handle")]


async def test_with_its_session_a_tap_ends(core):
    command, reader = core.tap(1, 30)
    failed = await core.failures(command, core_api.CloseRouter(1), core_api.CloseTransport(30))
    assert failed == [("close_transport", 30, "unknown_handle")]
    assert [record.kind for record in read_records(reader)] == [RecordKind.END]


@pytest.mark.parametrize("kind", ["file", "stream", "udp", "closed"])
async def test_a_descriptor_of_another_kind_is_malformed_and_closed(core, kind):
    if kind == "file":
        number = os.open("/dev/null", os.O_RDONLY)
    elif kind == "closed":
        number = os.open("/dev/null", os.O_RDONLY)
        os.close(number)
    else:
        family, of = (
            (socket.AF_UNIX, socket.SOCK_STREAM)
            if kind == "stream"
            else (socket.AF_INET, socket.SOCK_DGRAM)
        )
        number = socket.socket(family, of).detach()
    with pytest.raises(ValueError):
        core.router.submit(core_api.OpenTap(1, 30, number))
    with pytest.raises(OSError):
        os.fstat(number)
    assert await core.failures() == []


async def test_after_the_end_of_the_core_a_descriptor_is_closed_too(core):
    command, reader = core.tap(1, 30)
    core.router.close()
    with pytest.raises(RuntimeError):
        core.router.submit(command)
    assert is_at_end(reader)
