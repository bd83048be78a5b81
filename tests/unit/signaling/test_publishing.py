"""Streams: from the offer to their end."""

import pytest

from sfu.ids import ConnectionId, StreamId
from signaling.domain.commands import MediaPublished, MediaRefused, StreamLive
from signaling.domain.effects import Notify, PublishMedia, Send, UnpublishMedia
from signaling.domain.errors import DomainError
from signaling.domain.roles import Role
from signaling.domain.session_state import Limits
from signaling.protocol import messages as m
from tests.domain_room import OLD_KID, Room, broadcast, limits_with, of, sent

A = ConnectionId("a")
AUDIO = (("0", "audio"),)
VIDEO = (("1", "video"),)


def room_of(*names: str, e2ee: bool = False, limits: Limits | None = None) -> Room:
    room = Room(e2ee=e2ee, limits=limits)
    for name in names:
        room.join(name)
    return room


def test_an_offer_goes_to_the_media_plane_and_nobody_learns_of_it_yet() -> None:
    room = room_of("a", "b")
    effects = room.offer("a", "s")
    assert [type(effect) for effect in effects] == [PublishMedia]


def test_the_publisher_gets_its_answer_and_everybody_the_stream_once_it_is_live() -> None:
    room = room_of("a", "b")
    room.offer("a", "s", name="Ada", video_type="camera")
    tracks = (
        m.TrackInfo(mid="0", kind="audio", codec="opus"),
        m.TrackInfo(mid="1", kind="video", codec="vp8"),
    )
    assert room.do(MediaPublished(A, StreamId("s"), 7, "v=0 answer", tracks)) == [
        Send(A, m.Published(re=7, stream_id="s", answer="v=0 answer", tracks=tracks))
    ]
    effects = room.do(StreamLive(StreamId("s")))
    (created,) = broadcast(effects)
    assert isinstance(created, m.StreamCreated)
    assert sent(effects, "a") == sent(effects, "b") == [created]
    info = created.stream
    assert (info.connection_id, info.name, info.video_type) == ("a", "Ada", "camera")
    assert info.codecs == {"audio": "opus", "video": "vp8"}
    assert of(Notify, effects) == [Notify("streamCreated", "s")]
    assert room.do(StreamLive(StreamId("s"))) == []


def test_results_for_a_stream_that_ended_meanwhile_change_nothing() -> None:
    room = room_of("a")
    assert room.do(StreamLive(StreamId("s"))) == []
    assert room.do(MediaPublished(A, StreamId("s"), 7, "v=0", ())) == []


@pytest.mark.parametrize("role", [Role.SUBSCRIBER])
def test_who_may_not_publish_is_refused(role: Role) -> None:
    room = Room()
    room.join("a", role)
    with pytest.raises(DomainError, match="permission_denied"):
        room.offer("a", "s")
    assert not room.state.streams


@pytest.mark.parametrize("role", [Role.PUBLISHER, Role.PUBLISHER_ONLY, Role.MODERATOR])
def test_who_may_publish_does(role: Role) -> None:
    room = Room()
    room.join("a", role)
    room.publish("a", "s")
    assert list(room.state.streams) == ["s"]


def test_a_client_publishes_as_many_streams_as_it_may() -> None:
    room = room_of("a", "b", limits=limits_with(streams_per_connection=2))
    room.publish("a", "s")
    room.offer("a", "t")
    with pytest.raises(DomainError, match="stream_limit"):
        room.offer("a", "u")
    room.publish("b", "v")
    room.ask("a", m.Unpublish(id=9, stream_id="s"))
    room.offer("a", "u")
    assert list(room.state.streams) == ["t", "v", "u"]


@pytest.mark.parametrize(
    "members",
    [
        {"e2ee_format": None},
        {"e2ee_format": "e2ee/1"},
        {"tracks": (m.TrackOffer(mid="0", kind="audio"),)},
        {
            "tracks": (
                m.TrackOffer(mid="0", kind="audio", kids=(OLD_KID,)),
                m.TrackOffer(mid="1", kind="video"),
            )
        },
    ],
)
def test_an_unencrypted_stream_is_refused_on_an_encrypted_session(
    members: dict[str, object],
) -> None:
    room = room_of("a", e2ee=True)
    encrypted = {
        "offer": "v=0",
        "tracks": (m.TrackOffer(mid="0", kind="audio", kids=(OLD_KID,)),),
        "e2ee_format": "e2ee/2",
    }
    with pytest.raises(DomainError, match="e2ee_required"):
        room.ask("a", m.Publish(id=2, **{**encrypted, **members}))
    assert not room.state.streams
    room.ask("a", m.Publish(id=2, **encrypted))
    assert len(room.state.streams) == 1


def test_a_stream_has_no_more_audio_or_video_than_it_has_tracks() -> None:
    room = room_of("a", "b")
    (created,) = broadcast(room.publish("a", "s", AUDIO))
    assert (created.stream.has_audio, created.stream.has_video) == (True, False)
    effects = room.ask("a", m.UpdateStream(id=3, stream_id="s", has_video=True))
    assert effects == [Send(A, m.Ok(re=3))]


def test_changed_properties_go_to_everybody_and_to_later_members() -> None:
    room = room_of("a", "b")
    room.publish("a", "s")
    size = m.Dimensions(width=640, height=480)
    request = m.UpdateStream(id=3, stream_id="s", has_video=False, video_dimensions=size)
    effects = room.ask("a", request)
    changed = m.StreamPropertyChanged(stream_id="s", has_video=False, video_dimensions=size)
    assert broadcast(effects) == [changed]
    assert effects[-1] == Send(A, m.Ok(re=3))
    (welcome,) = sent(room.join("c"), "c")
    assert (welcome.streams[0].has_video, welcome.streams[0].video_dimensions) == (False, size)


def test_properties_of_a_stream_that_is_not_live_reach_nobody_before_it() -> None:
    room = room_of("a", "b")
    room.offer("a", "s")
    effects = room.ask("a", m.UpdateStream(id=3, stream_id="s", has_audio=False))
    assert broadcast(effects) == []
    (created,) = broadcast(room.do(StreamLive(StreamId("s"))))
    assert created.stream.has_audio is False


def test_an_update_without_a_change_notifies_nobody() -> None:
    room = room_of("a", "b")
    room.publish("a", "s")
    assert room.ask("a", m.UpdateStream(id=3, stream_id="s")) == [Send(A, m.Ok(re=3))]


def test_a_stream_ends_when_its_publisher_says_so() -> None:
    room = room_of("a", "b")
    room.publish("a", "s")
    room.subscribe("b", "s", "b-of-s")
    effects = room.ask("a", m.Unpublish(id=3, stream_id="s"))
    assert UnpublishMedia(A, StreamId("s")) in effects
    assert broadcast(effects) == [m.StreamDestroyed(stream_id="s", reason="clientDisconnected")]
    assert Notify("streamDestroyed", "s", "clientDisconnected") in effects
    assert not room.state.subscribers


def test_an_unpublished_offer_ends_in_silence() -> None:
    room = room_of("a", "b")
    room.offer("a", "s")
    effects = room.ask("a", m.Unpublish(id=3, stream_id="s"))
    assert effects == [UnpublishMedia(A, StreamId("s")), Send(A, m.Ok(re=3))]


@pytest.mark.parametrize(
    "request_",
    [
        m.Unpublish(id=3, stream_id="s"),
        m.UpdateStream(id=3, stream_id="s", has_audio=False),
        m.DeclareKids(id=3, stream_id="s", mid="0", kids=(OLD_KID,)),
    ],
    ids=lambda request: type(request).__name__,
)
def test_a_stream_is_its_publishers_alone(request_: m.Request) -> None:
    room = room_of("a", "b")
    room.publish("a", "s")
    with pytest.raises(DomainError, match="permission_denied"):
        room.ask("b", request_)
    room.ask("a", m.Unpublish(id=4, stream_id="s"))
    with pytest.raises(DomainError, match="stream_not_found"):
        room.ask("a", request_)


def test_a_refused_offer_leaves_nothing_and_names_the_failure_as_the_sdk_does() -> None:
    room = room_of("a", "b")
    room.offer("a", "s")
    effects = room.do(MediaRefused(A, 7, "publish", "codec_unsupported", stream=StreamId("s")))
    (failed,) = sent(effects, "a")
    assert isinstance(failed, m.Error)
    assert (failed.re, failed.code) == (7, "codec_unsupported")
    assert (failed.name, failed.number) == ("OT_STREAM_CREATE_FAILED", 1500)
    assert broadcast(effects) == []
    assert not room.state.streams


def test_a_live_stream_whose_media_is_refused_ends_foreverybody() -> None:
    room = room_of("a", "b")
    room.publish("a", "s")
    room.subscribe("b", "s", "b-of-s")
    effects = room.do(MediaRefused(A, 7, "publish", "transport_closed", stream=StreamId("s")))
    assert broadcast(effects) == [m.StreamDestroyed(stream_id="s", reason="mediaStopped")]
    assert Notify("streamDestroyed", "s", "mediaStopped") in effects
    assert [type(message) for message in sent(effects, "a")] == [m.StreamDestroyed, m.Error]
    assert not room.state.subscribers


def test_a_refusal_for_a_client_that_left_notifies_nobody() -> None:
    room = room_of("a")
    refused = MediaRefused(ConnectionId("gone"), 7, "publish", "sdp_invalid", StreamId("s"))
    assert room.do(refused) == []


def test_layout_classes_of_the_token_are_the_streams_first() -> None:
    room = Room()
    room.join("a", layout_classes=("full", "left"))
    room.publish("a", "s")
    assert room.state.stream("s").layout_classes == ("full", "left")
