"""Why is it black? One cause at a time, each found by its code."""

from dataclasses import replace
from pathlib import Path

import pytest

from sfu.core_api import (
    Direction,
    DownlinkSnapshot,
    DownTrackSnapshot,
    ForwardingSnapshot,
    MediaKind,
    NotSent,
    PayloadAccess,
    Snapshot,
    StreamState,
    TransportSnapshot,
)
from sfu.ids import StreamId, SubscriberId, TransportHandle
from sfu.media_plane import ClientDump, SessionDump, SubscriptionDump, TransportDump
from sfu.media_view import (
    DownTrackView,
    EncodingView,
    MediaView,
    SubscriberView,
    TapView,
    UpTrackView,
    read_media,
)
from signaling.domain.commands import RestMuteStream, UnencryptedDropped
from signaling.domain.errors import NotFound
from signaling.domain.roles import Role
from signaling.domain.session_options import MediaMode
from signaling.protocol import messages as m
from signaling.sessions.explain import Readings, explain
from signaling.sessions.explanation import SENTENCES, Code
from tests.domain_room import Room

AUDIO, VIDEO = MediaKind.AUDIO, MediaKind.VIDEO
CAM, SUB = StreamId("cam"), SubscriberId("sub")
LOW = EncodingView("q", packets=100, bitrate_bps=150_000, size=(320, 180))
HIGH = EncodingView("f", packets=100, bitrate_bps=1_500_000, size=(1280, 720))


class Scene:
    """Ann publishes, Ben subscribes, all is well; a test breaks one thing."""

    def __init__(self, *, e2ee: bool = True) -> None:
        self.room = Room(e2ee=e2ee)
        for name in ("ann", "ben"):
            self.room.join(name)
        self.room.publish("ann", "cam", has_audio=True, has_video=True)
        self.room.subscribe("ben", "cam", "sub")
        self.encodings = [LOW, HIGH]
        self.video = DownTrackView(VIDEO, encoding=1, packets=50, bytes=50_000)
        self.audio = DownTrackView(AUDIO, encoding=0, packets=50, bytes=5_000)
        self.connected = True
        self.estimate_bps = None
        self.narrow = False
        self.unheard_ms = 0
        self.up_track_grows = True
        self.asleep: set[str] = set()
        self.has_up_track = True
        self.not_sent_before = 0

    def view(self, step: int) -> MediaView:
        """The first (0) or the second (1) reading."""
        more = step if self.up_track_grows else 0
        encodings = tuple(
            replace(one, packets=one.packets + (0 if one.rid in self.asleep else 30 * more))
            for one in self.encodings
        )
        up_tracks = {
            AUDIO: UpTrackView(AUDIO, "opus", True, 10 + more, (EncodingView(packets=10 + more),)),
            VIDEO: UpTrackView(VIDEO, "vp8", True, 10 + more, encodings),
        }
        down_tracks = {
            kind: replace(
                down_track,
                packets=down_track.packets * (1 + step)
                if self.up_track_grows
                else down_track.packets,
                bytes=down_track.bytes * (1 + step),
                not_sent={
                    reason: self.not_sent_before or step * count
                    for reason, count in down_track.not_sent.items()
                },
            )
            for kind, down_track in ((AUDIO, self.audio), (VIDEO, self.video))
        }
        subscriber = SubscriberView(
            self.connected, down_tracks, self.estimate_bps, self.narrow, self.unheard_ms
        )
        return MediaView({CAM: up_tracks} if self.has_up_track else {}, {SUB: subscriber})

    def explain(self):
        return explain(
            self.room.state, CAM, Readings(self.view(0), self.view(1), 2.0, self.room.now_ms)
        )

    def received(self, kind: MediaKind = VIDEO):
        (report,) = [one for one in self.explain().subscribers if one.subscriber == SUB]
        return next(one for one in report.received if one.kind is kind)

    def codes(self, kind: MediaKind = VIDEO) -> list[Code]:
        return [reason.code for reason in self.received(kind).reasons]


def test_when_all_is_well_it_says_so_with_what_it_measured():
    got = Scene().received()
    assert (got.flowing, [reason.code for reason in got.reasons]) == (True, [Code.BEST])
    assert (got.bitrate_bps, got.packets_per_s, got.encoding) == (200_000, 25.0, 1)
    assert got.layer.size == (1280, 720)


def test_a_client_that_has_not_subscribed_is_listed_and_the_publisher_is_not():
    scene = Scene()
    scene.room.join("eve")
    scene.room.join("mute", Role.PUBLISHER_ONLY)
    reports = {one.connection: one for one in scene.explain().subscribers}
    assert set(reports) == {"ben", "eve"}
    assert reports["eve"].subscriber is None
    assert {reason.code for got in reports["eve"].received for reason in got.reasons} == {
        Code.NOT_SUBSCRIBED
    }


def test_a_downlink_that_is_not_up_comes_first():
    scene = Scene()
    scene.connected = False
    got = scene.received()
    assert (got.flowing, got.reasons[0].code) == (False, Code.NOT_CONNECTED)


def test_an_uplink_that_is_not_up_is_reported_for_every_subscriber():
    scene = Scene()
    scene.has_up_track = False
    assert scene.codes() == [Code.PUBLISHER_NOT_CONNECTED]


def test_of_a_relayed_session_the_server_knows_nothing():
    scene = Scene(e2ee=False)
    options = replace(scene.room.state.record.options, media_mode=MediaMode.RELAYED)
    scene.room.state.record = replace(scene.room.state.record, options=options)
    scene.has_up_track, scene.connected = False, False
    assert scene.codes() == [Code.RELAYED]


def test_a_publisher_that_sends_nothing_is_distinguished_from_one_that_is_muted():
    scene = Scene()
    scene.up_track_grows = False
    assert scene.codes() == [Code.PUBLISHER_SILENT]
    update = m.UpdateStream(id=1, stream_id="cam", has_video=False)
    scene.room.ask("ann", update)
    assert scene.codes() == [Code.MUTED_BY_PUBLISHER]


def test_a_video_that_is_not_sent_because_nobody_watches_is_no_fault_of_its_publisher():
    scene = Scene()
    scene.up_track_grows = False
    scene.encodings = [replace(one, subscribed=False) for one in scene.encodings]
    scene.room.ask("ben", m.UpdateSubscriber(id=1, subscriber_id="sub", video=False))
    assert scene.codes() == [Code.NOT_WANTED]


def test_a_moderators_mute_is_distinguished_from_the_publishers_own():
    scene = Scene()
    scene.room.do(RestMuteStream(CAM))
    assert Code.MUTED_BY_MODERATOR in scene.codes(AUDIO)
    assert Code.MUTED_BY_MODERATOR not in scene.codes(VIDEO)


def test_a_track_that_is_not_there_is_said_once():
    scene = Scene()
    scene.room.publish("ann", "voice", (("0", "audio"),), has_audio=True)
    scene.room.subscribe("ben", "voice", "other")
    readings = Readings(scene.view(0), scene.view(1), 1.0, scene.room.now_ms)
    report = explain(scene.room.state, StreamId("voice"), readings).subscribers[0]
    video = next(one for one in report.received if one.kind is VIDEO)
    assert [reason.code for reason in video.reasons] == [Code.NO_TRACK]


def test_a_subscriber_that_switched_video_off_did_it_itself():
    scene = Scene()
    scene.room.ask("ben", m.UpdateSubscriber(id=1, subscriber_id="sub", video=False))
    assert scene.codes() == [Code.NOT_WANTED]
    assert scene.codes(AUDIO) == [Code.BEST]


def test_another_secret_is_said_with_the_counts_of_the_client():
    scene = Scene()
    reported = m.E2eeState(id=1, subscriber_id="sub", state="mismatch", decrypted=3, failed=40)
    scene.room.ask("ben", reported)
    assert scene.codes() == [Code.SECRET_MISMATCH]
    (report,) = scene.explain().subscribers
    assert (report.mismatch, report.decrypted, report.failed) == (True, 3, 40)
    scene.room.ask(
        "ben", m.E2eeState(id=2, subscriber_id="sub", state="ok", decrypted=9, failed=40)
    )
    assert scene.codes() == [Code.BEST]


def test_frames_in_clear_are_reported_while_they_come():
    scene = Scene()
    scene.room.do(UnencryptedDropped(CAM, "1", 12))
    scene.room.do(UnencryptedDropped(CAM, "1", 30))
    assert Code.NOT_ENCRYPTED in scene.codes()
    assert scene.explain().unencrypted_packets == 42
    scene.room.now_ms += 11_000
    assert scene.codes() == [Code.BEST]


def test_a_voice_left_out_for_louder_ones_is_reported():
    scene = Scene()
    scene.audio = DownTrackView(AUDIO, waiting="quiet_voice")
    assert scene.codes(AUDIO) == [Code.QUIET_VOICE]


def test_video_that_waits_for_a_key_frame_is_distinguished_from_what_else_withholds_it():
    scene = Scene()
    scene.video = DownTrackView(VIDEO, waiting="awaiting_key_frame")
    assert scene.codes() == [Code.NO_KEY_FRAME]
    scene.video = DownTrackView(VIDEO, waiting="paced_out")
    (reason,) = scene.received().reasons
    assert (reason.code, reason.detail) == (Code.WITHHELD, "paced_out")


def test_video_that_the_link_has_no_room_for_gets_that_reason():
    scene = Scene()
    scene.video = DownTrackView(VIDEO, waiting="bandwidth")
    assert scene.codes() == [Code.BANDWIDTH]


def test_still_frames_of_paused_video_are_no_flow():
    scene = Scene()
    scene.video = DownTrackView(VIDEO, waiting="bandwidth", packets=3, bytes=3_000)
    got = scene.received()
    assert (got.flowing, [one.code for one in got.reasons]) == (False, [Code.BANDWIDTH])


def test_a_smaller_layer_has_its_reason_in_the_preference():
    scene = Scene()
    scene.video = replace(scene.video, encoding=0)
    size = m.Dimensions(width=640, height=360)
    preferred = m.UpdateSubscriber(id=1, subscriber_id="sub", preferred_resolution=size)
    scene.room.ask("ben", preferred)
    got = scene.received()
    assert (got.flowing, [reason.code for reason in got.reasons]) == (True, [Code.PREFERENCE])


def test_a_smaller_layer_has_its_reason_in_the_link():
    scene = Scene()
    scene.video = replace(scene.video, encoding=0)
    scene.estimate_bps = 600_000
    assert scene.codes() == [Code.BANDWIDTH]
    scene.estimate_bps = 5_000_000
    assert scene.codes() == [Code.BEST]


@pytest.mark.parametrize("asleep", [HIGH, EncodingView("f")])
def test_a_smaller_layer_has_its_reason_at_the_publisher(asleep):
    scene = Scene()
    scene.encodings = [LOW, asleep]
    scene.asleep = {"f"}
    scene.video = replace(scene.video, encoding=0)
    assert scene.codes() == [Code.LAYER_PAUSED]
    live = {one.view.rid: one.live for one in scene.explain().tracks[1].encodings}
    assert live == {"q": True, "f": False}


def test_a_smaller_layer_that_sleeps_takes_nothing_away():
    scene = Scene()
    scene.asleep = {"q"}
    assert scene.codes() == [Code.BEST]


def test_a_switch_under_way_is_said():
    scene = Scene()
    scene.video = replace(scene.video, encoding=0, waiting="awaiting_key_frame")
    assert scene.codes() == [Code.NO_KEY_FRAME]


def test_loss_is_said_beside_what_else_there_is():
    scene = Scene()
    scene.video = replace(scene.video, lost=0.1)
    assert scene.codes() == [Code.LOSS]


def test_an_unknown_stream_is_not_found():
    scene = Scene()
    with pytest.raises(NotFound):
        explain(scene.room.state, StreamId("x"), Readings(scene.view(0), scene.view(1), 1.0, 0))


def test_every_code_has_its_sentence():
    assert set(SENTENCES) == set(Code)
    assert all(text.endswith(".") for text in SENTENCES.values())


def test_media_that_is_not_in_a_core_reads_as_nothing():
    assert read_media(SessionDump("s")) == MediaView()


def test_the_page_about_diagnosis_lists_every_code():
    page = (Path(__file__).parents[3] / "docs/diagnosis.md").read_text()
    assert {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")} == set(Code)


def test_a_narrow_link_is_reported_where_there_is_no_better_layer():
    scene = Scene()
    scene.encodings = [LOW]
    scene.video = replace(scene.video, encoding=0)
    assert scene.codes() == [Code.BEST]
    scene.narrow = True
    assert scene.codes() == [Code.BANDWIDTH]


def test_a_client_that_answers_nothing_gets_nothing_whatever_is_sent_to_it():
    scene = Scene()
    scene.unheard_ms = 5_000
    assert scene.codes() == [Code.BEST]
    scene.unheard_ms = 15_000
    assert scene.codes() == [Code.NOT_ANSWERING]


def test_an_assumed_estimate_is_none_and_a_measured_one_reports_a_narrow_link():
    assumed = DownlinkSnapshot(
        transport=4,
        has_feedback=True,
        estimate_bps=90_000,
        budget_bps=90_000,
        reason="start",
        limited=True,
        queueing_ms=0,
        loss_share=0.0,
        sent_bps=None,
        wanted_bps=500_000,
        granted_bps=90_000,
        paced_packets=0,
    )
    peer = TransportSnapshot(4, Direction.DOWNLINK, None, None, None, 10_000, True, ())
    client = ClientDump(
        transports=(TransportDump(4, Direction.DOWNLINK, True, "connected", True),),
        subscriptions={SUB: SubscriptionDump(CAM, 5, ("0",), True)},
    )

    def view(link: DownlinkSnapshot) -> SubscriberView:
        forwarding = ForwardingSnapshot(PayloadAccess.OPAQUE, (), (), None, (link,), {})
        core = Snapshot(1, (peer,), forwarding)
        return read_media(SessionDump("s", connections={"ben": client}, core=core)).subscribers[SUB]

    seen = view(replace(assumed, reason="delay"))
    assert (seen.estimate_bps, seen.narrow, seen.unheard_ms) == (90_000, True, 20_000)
    seen = view(assumed)
    assert (seen.estimate_bps, seen.narrow) == (None, False)


def test_packets_that_did_not_leave_are_reported_with_the_reason():
    """`packets` counts them: to forwarding they are sent."""
    scene = Scene()
    scene.video = replace(scene.video, not_sent={"send_too_large": 50})
    got = scene.received()
    assert (got.flowing, got.reasons[0].code) == (False, Code.TOO_LARGE)
    assert "1,200 bytes" in got.reasons[0].message
    assert scene.codes(AUDIO) == [Code.BEST]


def test_what_did_not_leave_before_the_measurement_is_past():
    scene = Scene()
    scene.not_sent_before = 50
    scene.video = replace(scene.video, not_sent={"send_too_large": 50})
    assert scene.codes() == [Code.BEST]


@pytest.mark.parametrize("reason", ["send_failed", "send_path_unproven", "send_buffer_full"])
def test_other_reasons_not_to_leave_have_the_cores_own_word(reason):
    scene = Scene()
    scene.audio = replace(scene.audio, not_sent={reason: 50})
    got = scene.received(AUDIO)
    assert not got.flowing
    assert [(one.code, one.detail) for one in got.reasons] == [(Code.NOT_SENT, reason)]
    assert scene.codes() == [Code.BEST]


def test_while_some_leave_the_reason_is_a_limit_and_a_few_are_not_worth_a_word():
    scene = Scene()
    scene.video = replace(scene.video, not_sent={"send_buffer_full": 10, "send_failed": 2})
    got = scene.received()
    assert got.flowing
    assert [(one.code, one.detail) for one in got.reasons] == [(Code.NOT_SENT, "send_buffer_full")]
    scene.video = replace(scene.video, packets=1_000, not_sent={"send_buffer_full": 1})
    assert scene.codes() == [Code.BEST]


def test_the_rows_of_a_peer_belong_to_the_streams_that_they_name():
    def down_track(kind: MediaKind, ssrc: int) -> DownTrackSnapshot:
        return DownTrackSnapshot(
            *(5, 1, 4, "0", ssrc, kind, True, None, (0, 0), None, False, StreamState.OK),
            *(None, 9, 9, 0, 0, None),
        )

    rows = (NotSent(1, "send_too_large", 3), NotSent(2, "send_failed", 4))
    peer = TransportSnapshot(4, Direction.DOWNLINK, None, None, None, 10_000, True, rows)
    down_tracks = (down_track(AUDIO, 2), down_track(VIDEO, 1))
    forwarding = ForwardingSnapshot(PayloadAccess.OPAQUE, (), down_tracks, None, (), {})
    client = ClientDump(subscriptions={SUB: SubscriptionDump(CAM, 5, ("0",), True)})
    dump = SessionDump("s", connections={"ben": client}, core=Snapshot(1, (peer,), forwarding))
    seen = read_media(dump).subscribers[SUB].down_tracks
    assert {kind: dict(view.not_sent) for kind, view in seen.items()} == {
        AUDIO: {"send_failed": 4},
        VIDEO: {"send_too_large": 3},
    }


# --- taps -------------------------------------------------------------------------------------


def tapped(scene, before, after):
    """What a tap gets of `cam`, by kind, from its tracks in both readings."""
    views = []
    for step, tracks in enumerate((before, after)):
        taps = () if tracks is None else (TapView(TransportHandle(9), CAM, tracks),)
        views.append(replace(scene.view(step), taps={CAM: taps}))
    explained = explain(scene.room.state, CAM, Readings(*views, 2.0, scene.room.now_ms))
    (received,) = explained.taps
    return {one.kind: one for one in received}


def test_a_tap_is_explained_beside_the_subscribers():
    before = {VIDEO: DownTrackView(VIDEO, encoding=1, packets=10, bytes=1_000)}
    after = {VIDEO: DownTrackView(VIDEO, encoding=1, packets=70, bytes=51_000)}
    got = tapped(Scene(e2ee=False), before, after)
    assert set(got) == {VIDEO}
    assert (got[VIDEO].flowing, got[VIDEO].reasons[0].code) == (True, Code.BEST)
    assert (got[VIDEO].bitrate_bps, got[VIDEO].packets_per_s) == (200_000, 30.0)


@pytest.mark.parametrize(
    ("waiting", "forwarding", "code"),
    [
        ("tap_full", True, Code.TAP_BEHIND),
        ("awaiting_key_frame", True, Code.NO_KEY_FRAME),
        ("other_encoding", True, Code.WITHHELD),
        (None, False, Code.NOT_WANTED),
    ],
)
def test_why_a_tap_gets_no_video(waiting, forwarding, code):
    track = {VIDEO: DownTrackView(VIDEO, forwarding, packets=10, waiting=waiting)}
    got = tapped(Scene(e2ee=False), track, track)[VIDEO]
    assert (got.flowing, [reason.code for reason in got.reasons]) == (False, [code])


def test_a_tap_that_was_opened_during_the_measurement_has_no_rate_yet():
    got = tapped(Scene(e2ee=False), None, {AUDIO: DownTrackView(AUDIO, packets=10)})[AUDIO]
    assert (got.flowing, got.packets_per_s) == (False, 0.0)
