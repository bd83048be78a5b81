"""What every tap keeps: that of the plane in memory and that over a core."""

import asyncio
import importlib.util
from pathlib import Path

import pytest

from sfu.core_api import (
    Codec,
    Direction,
    MediaKind,
)
from sfu.media_plane import MediaError, TrackOffer
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

    def __init__(self, session, tap, name="bot", *, quietly=False):
        self.events = peers.Listener()
        self.media = session.open_client(name, self.events)
        self.media.publish_through(tap, quietly=quietly)

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


async def test_a_quiet_stream_is_live_when_it_speaks_up(bench, session, tap):
    bot = Bot(session, tap, quietly=True)
    await bot.publish()
    await bench.settle()
    assert bot.events.reported == []
    assert (await session.dump()).streams == ("speech",)
    for _ in range(2):
        bot.media.speak_up()
        await bench.settle()
        assert bot.events.reported == [("live", "speech")]
    bot.media.close()


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
