"""What of a stream goes to the process that records, and when."""

import json
import socket
from types import SimpleNamespace

import pytest
from sealroute_client.media.inbound import SenderReport
from sealroute_client.media.recording import Sample

from member.feed import Feed
from member.recorded_stream import RecordedStream, opus_us
from sfu.egress import frame_records as records

KEY = b"\x10\x02\x00\x9d\x01\x2a" + bytes(4)
DELTA = b"\x11" + bytes(9)


class Reader:
    """The process's end of a feed."""

    def __init__(self, feed: Feed) -> None:
        self._socket = feed.child_end
        self._assembler = records.FrameAssembler()

    def read(self) -> list[records.Record]:
        found = []
        while True:
            try:
                datagram = self._socket.recv(records.MAX_RECORD_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return [one for one in found if one is not None]
            found.append(self._assembler.take(datagram))

    def frames(self) -> list[tuple[str, bytes]]:
        return [
            (one.codec, one.data) for one in self.read() if isinstance(one, records.FrameRecord)
        ]


class Subscribed:
    """A Subscriber with tracks, which counts the requests for key frames."""

    def __init__(self, **codecs: str) -> None:
        self.tracks = {kind: SimpleNamespace(codec=codec) for kind, codec in codecs.items()}
        self.on_encoded = None
        self.on_loss = lambda _kind, _loss: None
        self.asked = 0

    def request_key_frame(self) -> None:
        self.asked += 1

    def give(self, kind: str, data: bytes, at_s: float) -> None:
        hz = 48_000 if kind == "audio" else 90_000
        codec = self.tracks[kind].codec
        report = SenderReport(0.0, 0)
        self.on_encoded(Sample(kind, codec, data, round(at_s * hz), 1_000 + at_s, report))


@pytest.fixture
async def feed():
    asked: list[int] = []
    one = Feed(lambda: 5, asked.append)
    one.asked = asked
    yield one
    one.close()
    one.child_end.close()


def begun(feed: Feed, subscriber: Subscribed, **changes) -> RecordedStream:
    stream = RecordedStream("s", frozenset({"audio", "video"}), {"name": "n"}, **changes)
    stream.subscriber = subscriber
    ssrcs = iter(range(1, 9))
    stream.begin(feed, subscriber, lambda: next(ssrcs))
    return stream


async def test_both_kinds_go_to_the_process_behind_what_is_said_of_them(feed) -> None:
    reader, subscriber = Reader(feed), Subscribed(audio="opus", video="vp8")
    stream = begun(feed, subscriber, muted={"audio": True})
    for at_s in (0.0, 0.02):
        subscriber.give("audio", b"\x08a", at_s)
        subscriber.give("video", KEY, at_s)
    stream.end(feed)
    added, muted, *frames, gone = reader.read()
    assert json.loads(added.body)["tracks"] == [
        {"ssrc": 1, "kind": "audio", "codec": "opus"},
        {"ssrc": 2, "kind": "video", "codec": "vp8"},
    ]
    assert json.loads(muted.body)["muted"] is True
    assert [one.codec for one in frames] == ["opus", "vp8", "opus", "vp8"]
    assert json.loads(gone.body)["event"] == "streamRemoved"


async def test_video_begins_with_a_key_frame_and_goes_on_with_one_after_a_loss(feed) -> None:
    reader, subscriber = Reader(feed), Subscribed(video="vp8")
    begun(feed, subscriber)
    subscriber.give("video", DELTA, 0.0)
    subscriber.give("video", KEY, 0.04)
    subscriber.give("video", DELTA, 0.08)
    assert reader.frames() == [("vp8", KEY), ("vp8", DELTA)]
    subscriber.on_loss("video", "network")
    asked = subscriber.asked
    subscriber.give("video", DELTA, 2.0)
    subscriber.give("video", DELTA, 2.04)
    assert subscriber.asked == asked + 1
    subscriber.give("video", KEY, 2.08)
    missed, frame = reader.read()
    assert (missed.to_us - missed.from_us, frame.data) == (2_000_000, KEY)


async def test_what_does_not_open_is_a_gap_of_each_track_until_the_secret_is_there(feed) -> None:
    reader, subscriber, doubts = Reader(feed), Subscribed(audio="opus", video="vp8"), []
    stream = begun(feed, subscriber, on_doubt=lambda: doubts.append(1))
    for at_s in (0.0, 0.02):
        subscriber.give("audio", b"\x08a", at_s)
        subscriber.give("video", KEY, at_s)
    reader.read()
    for _ in range(2):
        subscriber.on_loss("audio", "secret")
        subscriber.on_loss("video", "secret")
    subscriber.on_loss("video", "network")
    assert len(doubts) == 4
    subscriber.give("video", DELTA, 1.5)
    subscriber.give("audio", b"\x08a", 1.52)
    subscriber.give("video", KEY, 1.54)
    subscriber.give("audio", b"\x08a", 1.54)
    first, audio, second, video, later = reader.read()
    assert (first.reason, second.reason) == ("secret", "secret")
    assert (first.to_us, second.to_us) == (audio.pts_us, video.pts_us)
    assert first.to_us - first.from_us == 1_500_000
    assert later.codec == "opus"
    stream.end(feed)
    assert len(reader.read()) == 1  # no gap is open


async def test_what_does_not_open_at_the_end_is_a_gap_up_to_there(feed) -> None:
    reader, subscriber = Reader(feed), Subscribed(audio="opus", video="vp8")
    stream = begun(feed, subscriber)
    for kind, data in (("audio", b"\x08a"), ("video", KEY)):
        subscriber.give(kind, data, 0.0)
    subscriber.on_loss("audio", "network")
    subscriber.on_loss("video", "network")
    reader.read()
    subscriber.on_loss("audio", "secret")
    stream.end(feed)
    (missed, gone) = reader.read()
    assert (missed.ssrc, missed.to_us, missed.reason) == (1, feed.now_us(), "secret")
    assert json.loads(gone.body)["event"] == "streamRemoved"


async def test_what_is_not_forwarded_is_left_out_and_video_comes_back_with_a_key_frame(
    feed,
) -> None:
    reader, subscriber = Reader(feed), Subscribed(video="vp8")
    stream = begun(feed, subscriber)
    subscriber.give("video", KEY, 0.0)
    stream.forward("video", on=False)
    subscriber.give("video", KEY, 0.04)
    stream.forward("video", on=True)
    subscriber.give("video", DELTA, 0.08)
    assert reader.frames() == [("vp8", KEY)]
    subscriber.give("video", KEY, 0.12)
    assert reader.frames() == [("vp8", KEY)]


async def test_codecs_that_the_sdk_does_not_decrypt_are_no_tracks(feed) -> None:
    reader, subscriber = Reader(feed), Subscribed(audio="opus", video="h265")
    begun(feed, subscriber)
    (added,) = reader.read()
    assert [one["kind"] for one in json.loads(added.body)["tracks"]] == ["audio"]


async def test_a_key_frame_that_the_process_needs_is_asked_of_the_publisher(feed) -> None:
    subscriber = Subscribed(audio="opus", video="vp8")
    stream = begun(feed, subscriber)
    asked = subscriber.asked
    assert stream.wants_key_frame(2)
    assert not stream.wants_key_frame(9)
    assert subscriber.asked == asked + 1


async def test_a_process_that_has_given_up_takes_nothing_more(feed) -> None:
    subscriber = Subscribed(video="vp8")
    begun(feed, subscriber)
    feed.child_end.close()
    for at_s in (0.0, 0.04):
        subscriber.give("video", KEY, at_s)
    feed.end()


async def test_a_disk_that_does_not_answer_costs_bounded_memory_and_then_video(feed, monkeypatch):
    monkeypatch.setattr("member.feed.MAX_WAITING_BYTES", 2_000_000)
    frame = records.FrameRecord(1, "vp8", True, 0, 0, bytes(500_000))
    taken = [feed.frame(frame) for _ in range(40)]
    assert taken[0] is True
    assert taken[-1] is False
    assert feed._waiting_bytes < 3_000_000


@pytest.mark.parametrize(
    ("packet", "lasts_ms"),
    [
        (b"\x08", 20),
        (b"\x78", 20),
        (b"\x79", 40),
        (b"\xfb\x02", 40),
        (b"\xf8", 20),
        (b"", 0),
        (b"\xfb", 0),
    ],
)
def test_opus_says_how_long_it_lasts(packet, lasts_ms) -> None:
    assert opus_us(packet) == lasts_ms * 1_000
