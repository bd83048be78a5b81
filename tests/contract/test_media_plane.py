"""What every media plane keeps: the one in memory and the one over the core."""

import importlib.util
from pathlib import Path

import pytest

from sfu.core_api import Codec, Direction, MediaKind, PreferredLayers
from sfu.media_plane import MediaError, TrackOffer

_spec = importlib.util.spec_from_file_location(
    "media_plane_peers", Path(__file__).parents[1] / "unit" / "sfu" / "peers.py"
)
peers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(peers)

ALL = frozenset(MediaKind)
CODECS = frozenset(Codec)


@pytest.fixture(params=[peers.FakeBench, peers.NativeBench], ids=["fake", "native"])
async def bench(request):
    bench = request.param()
    yield bench
    await bench.plane.close()


class Member:
    def __init__(self, bench, session, name):
        self.bench = bench
        self.listener = peers.Listener()
        self.media = session.open_client(name, self.listener)
        self.up, self.down = peers.PeerConnection(), peers.PeerConnection()

    @property
    def reported(self):
        return self.listener.reported

    @property
    def offers(self):
        return self.listener.offers

    async def publish(self, stream="st", tracks=peers.TRACKS):
        return await self.media.publish(stream, self.up.offer(), tracks)

    async def publish_live(self, stream="st"):
        await self.publish(stream)
        self.bench.connect(self.media, Direction.UPLINK, self.up)
        await self.bench.settle()

    def subscribe(self, subscriber="su", stream="st", kinds=ALL, codecs=CODECS):
        self.media.subscribe(subscriber, stream, kinds, codecs)

    def answer(self, **options):
        offer = self.offers[-1]
        self.media.answer_downlink(offer.number, self.down.answer(offer, **options))

    async def subscribe_connected(self, subscriber="su", stream="st"):
        self.subscribe(subscriber, stream)
        await self.bench.settle()
        self.answer()
        self.bench.connect(self.media, Direction.DOWNLINK, self.down)
        await self.bench.settle()


@pytest.fixture
def session(bench):
    return bench.plane.open_session("S", e2ee=True)


@pytest.fixture
def ann(bench, session):
    return Member(bench, session, "ann")


@pytest.fixture
def ben(bench, session):
    return Member(bench, session, "ben")


async def refused(call, *arguments):
    """The code that a call, awaited or not, is refused with; None when it is not."""
    try:
        result = call(*arguments)
        if hasattr(result, "__await__"):
            await result
    except MediaError as error:
        return error.code
    return None


async def test_a_published_stream_is_live_once_its_uplink_is_connected(bench, ann):
    answer = await ann.publish()
    assert [(t.mid, t.kind, t.codec) for t in answer.tracks] == [
        ("0", MediaKind.AUDIO, Codec.OPUS),
        ("1", MediaKind.VIDEO, Codec.VP8),
    ]
    await bench.settle()
    assert ann.reported == []
    bench.connect(ann.media, Direction.UPLINK, ann.up)
    assert ann.reported == []
    await bench.settle()
    assert ann.reported == [("live", "st")]


async def test_a_stream_on_a_connected_uplink_is_live_at_once(ann):
    await ann.publish("audio", peers.TRACKS[:1])
    ann.bench.connect(ann.media, Direction.UPLINK, ann.up)
    await ann.publish("video", peers.TRACKS[1:])
    await ann.bench.settle()
    assert ann.reported == [("live", "audio"), ("live", "video")]


async def test_what_cannot_be_published_is_refused(ann, ben):
    publish = ann.media.publish
    offer = ann.up.offer()
    assert await refused(publish, "x", "nonsense", peers.TRACKS) == "sdp_invalid"
    assert await refused(publish, "x", "v=0\n" + "a" * 200_000, peers.TRACKS) == "sdp_too_large"
    assert await refused(publish, "x", offer, ()) == "track_unknown"
    unknown = (TrackOffer("9", MediaKind.AUDIO, (peers.KID,)),)
    assert await refused(publish, "x", offer, unknown) == "track_unknown"
    wrong_kind = (TrackOffer("1", MediaKind.AUDIO, (peers.KID,)),)
    assert await refused(publish, "x", offer, wrong_kind) == "track_unknown"
    without_kids = (TrackOffer("0", MediaKind.AUDIO),)
    assert await refused(publish, "x", offer, without_kids) == "kids_missing"
    await ann.publish("st")
    assert await refused(publish, "st", offer, peers.TRACKS) == "stream_exists"
    assert await refused(publish, "other", offer, peers.TRACKS) == "track_unknown"
    assert await refused(ben.publish, "st") == "stream_exists"


async def test_a_clear_session_needs_no_key_ids(bench):
    session = bench.plane.open_session("clear", e2ee=False)
    member = Member(bench, session, "ann")
    await member.publish("st", (TrackOffer("0", MediaKind.AUDIO),))


async def test_a_subscriber_is_connected_after_answer_and_handshake(bench, ann, ben):
    await ann.publish_live()
    ben.subscribe()
    assert ben.offers == []
    await bench.settle()
    (offer,) = ben.offers
    assert offer.number == 1
    assert {(t.kind, t.codec, t.subscriber, t.stream) for t in offer.tracks} == {
        (MediaKind.AUDIO, Codec.OPUS, "su", "st"),
        (MediaKind.VIDEO, Codec.VP8, "su", "st"),
    }
    ben.answer()
    await bench.settle()
    assert ben.reported == []
    bench.connect(ben.media, Direction.DOWNLINK, ben.down)
    await bench.settle()
    assert ben.reported == [("connected", "su")]


async def test_changes_during_an_outstanding_offer_are_batched_into_the_next(ann, ben):
    await ann.publish_live()
    ben.subscribe("a")
    await ann.bench.settle()
    ben.subscribe("b")
    ben.subscribe("c", kinds=frozenset({MediaKind.AUDIO}))
    ben.media.unsubscribe("b")
    await ann.bench.settle()
    assert len(ben.offers) == 1
    ben.answer()
    await ann.bench.settle()
    assert [offer.number for offer in ben.offers] == [1, 2]
    assert {track.subscriber for track in ben.offers[1].tracks} == {"a", "c"}


async def test_only_wanted_kinds_and_known_codecs_are_offered(ann, ben):
    await ann.publish_live()
    ben.subscribe("a", codecs=frozenset({Codec.OPUS, Codec.H264}))
    await ann.bench.settle()
    assert [track.kind for track in ben.offers[0].tracks] == [MediaKind.AUDIO]
    video = frozenset({MediaKind.VIDEO})
    assert (
        await refused(ben.subscribe, "b", "st", video, frozenset({Codec.AV1}))
        == "codec_unsupported"
    )
    assert await refused(ben.subscribe, "b", "gone") == "stream_unknown"


async def test_an_answer_nobody_waits_for_is_refused(ann, ben):
    await ann.publish_live()
    assert await refused(ben.media.answer_downlink, 1, "v=0\r\n") == "answer_unexpected"
    ben.subscribe()
    await ann.bench.settle()
    text = ben.down.answer(ben.offers[0])
    assert await refused(ben.media.answer_downlink, 2, text) == "answer_unexpected"
    assert await refused(ben.media.answer_downlink, 1, "junk") == "sdp_invalid"
    ben.media.answer_downlink(1, text)
    assert await refused(ben.media.answer_downlink, 1, text) == "answer_unexpected"


async def test_a_rejected_m_line_leaves_the_others_working(bench, ann, ben):
    await ann.publish_live()
    ben.subscribe("both")
    ben.subscribe("picture", kinds=frozenset({MediaKind.VIDEO}))
    await bench.settle()
    (alone,) = [t.mid for t in ben.offers[0].tracks if t.subscriber == "picture"]
    ben.answer(reject={alone})
    bench.connect(ben.media, Direction.DOWNLINK, ben.down)
    await bench.settle()
    assert ben.reported == [("connected", "both")]


async def test_unpublishing_takes_its_subscribers_away_with_a_new_offer(ann, ben):
    await ann.publish_live()
    await ben.subscribe_connected()
    ann.media.unpublish("st")
    ann.media.unpublish("st")
    await ann.bench.settle()
    assert len(ben.offers) == 2
    assert ben.offers[1].tracks == ()
    assert await refused(ben.subscribe, "again") == "stream_unknown"
    assert await refused(ann.media.declare_kids, "st", "1", [peers.KID]) == "stream_unknown"


async def test_an_m_line_is_used_again_by_the_next_subscriber(ann, ben):
    await ann.publish_live()
    await ben.subscribe_connected("first")
    ben.media.unsubscribe("first")
    ben.media.unsubscribe("first")
    ben.subscribe("second")
    await ann.bench.settle()
    assert {t.mid for t in ben.offers[1].tracks} == {t.mid for t in ben.offers[0].tracks}
    ben.answer()
    await ann.bench.settle()
    assert ben.reported == [("connected", "first"), ("connected", "second")]


async def test_losing_the_uplink_ends_its_streams_and_it_can_be_opened_again(bench, ann, ben):
    await ann.publish_live()
    await ben.subscribe_connected()
    bench.lose(ann.media, Direction.UPLINK)
    await bench.settle()
    assert ann.reported[-1] == ("lost", Direction.UPLINK)
    assert ben.offers[-1].tracks == ()
    ann.up = peers.PeerConnection()
    await ann.publish_live()
    assert ann.reported[-1] == ("live", "st")


async def test_losing_the_downlink_ends_its_subscribers_and_it_can_be_opened_again(bench, ann, ben):
    await ann.publish_live()
    await ben.subscribe_connected()
    bench.lose(ben.media, Direction.DOWNLINK)
    await bench.settle()
    assert ben.reported[-1] == ("lost", Direction.DOWNLINK)
    assert (
        await refused(ben.media.set_subscriber_forwarding, "su", MediaKind.VIDEO, False)
        == "stream_unknown"
    )
    ben.down = peers.PeerConnection()
    await ben.subscribe_connected("su")
    assert ben.offers[-1].number == 2
    assert ben.reported[-1] == ("connected", "su")


async def test_the_one_who_speaks_is_notified(bench, ann):
    await ann.publish_live()
    bench.report_speaking(ann.media, "st")
    await bench.settle()
    assert ann.reported == [("live", "st"), ("speaker", "st")]


async def test_a_restarted_uplink_keeps_its_streams_and_their_subscribers(bench, ann, ben):
    await ann.publish_live()
    await ben.subscribe_connected()
    reported = list(ben.reported)
    assert ann.media.restart_uplink(ann.up.offer()).startswith("v=0")
    await bench.settle()
    assert ann.reported == [("live", "st")]
    assert ben.reported == reported


async def test_a_restarted_downlink_is_offered_again_with_the_subscribers_it_has(bench, ann, ben):
    await ann.publish_live()
    await ben.subscribe_connected()
    reported, before = list(ben.reported), ben.offers[-1]
    ben.media.restart_downlink()
    await bench.settle()
    assert ben.offers[-1].number == before.number + 1
    assert ben.offers[-1].tracks == before.tracks
    ben.answer()
    await bench.settle()
    assert ben.reported == reported


async def test_what_there_is_not_cannot_be_restarted(ann, ben):
    assert await refused(ann.media.restart_uplink, ann.up.offer()) == "transport_closed"
    assert await refused(ben.media.restart_downlink) == "transport_closed"


async def test_the_publisher_learns_of_media_that_is_not_encrypted(bench, ann):
    await ann.publish_live()
    bench.report_not_encrypted(ann.media, "st", "1", 12)
    await bench.settle()
    assert ann.reported[-1] == ("not_encrypted", "st", "1", 12)


async def test_controls_of_what_there_is_are_taken(ann, ben):
    await ann.publish_live()
    await ben.subscribe_connected()
    ann.media.declare_kids("st", "1", [peers.KID[:6] + b"\x33\x44"])
    ann.media.set_stream_forwarding("st", MediaKind.AUDIO, forwarding=False)
    ben.media.set_subscriber_forwarding("su", MediaKind.VIDEO, forwarding=False)
    ben.media.set_preferred_layers("su", PreferredLayers(640, 480, 15.0))
    assert await refused(ann.media.declare_kids, "st", "7", [peers.KID]) == "track_unknown"
    assert await refused(ann.media.declare_kids, "st", "1", []) == "kids_missing"
    assert (
        await refused(ben.media.set_preferred_layers, "no", PreferredLayers()) == "stream_unknown"
    )
    assert await refused(ben.media.declare_kids, "st", "1", [peers.KID]) == "stream_unknown"


async def test_closing_ends_everything_and_says_nothing_more(bench, ann, ben, session):
    await ann.publish_live()
    await ben.subscribe_connected()
    bench.report_not_encrypted(ann.media, "st", "1", 1)
    reported = list(ann.reported)
    ann.media.close()
    ann.media.close()
    await bench.settle()
    assert ann.reported == reported
    assert ben.offers[-1].tracks == ()
    assert await refused(ann.publish) == "transport_closed"
    assert await refused(ann.subscribe) == "transport_closed"
    session.close()
    session.close()
    assert await refused(session.open_client, "new", peers.Listener()) == "transport_closed"
    again = bench.plane.open_session("S", e2ee=True)
    assert (await again.dump()).streams == ()


async def test_a_player_is_answered_at_once_and_connected_after_its_handshake(
    bench, ann, ben
) -> None:
    await ann.publish_live()
    answer = ben.media.play("pl", "st", ben.down.offer())
    assert answer.startswith("v=0")
    assert ben.offers == []
    bench.connect(ben.media, Direction.DOWNLINK, ben.down)
    await bench.settle()
    assert ("connected", "pl") in ben.reported
    ben.media.unsubscribe("pl")
    await bench.settle()


async def test_a_player_needs_a_stream_and_a_codec_of_it(ann, ben) -> None:
    await ann.publish_live()
    for stream, offer, code in [
        ("no", ben.down.offer(), "stream_unknown"),
        ("st", ben.down.offer().replace("VP8", "X").replace("opus", "X"), "codec_unsupported"),
        ("st", "nonsense", "sdp_invalid"),
    ]:
        with pytest.raises(MediaError) as refused:
            ben.media.play("pl", stream, offer)
        assert refused.value.code == code


async def test_a_player_that_is_lost_is_reported_and_can_begin_again(bench, ann, ben) -> None:
    await ann.publish_live()
    ben.media.play("pl", "st", ben.down.offer())
    bench.connect(ben.media, Direction.DOWNLINK, ben.down)
    await bench.settle()
    bench.lose(ben.media, Direction.DOWNLINK)
    await bench.settle()
    assert ("lost", Direction.DOWNLINK) in ben.reported
    ben.media.play("again", "st", peers.PeerConnection().offer())
