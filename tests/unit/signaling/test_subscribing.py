"""Subscribers: permission, limits and preferences."""

import pytest

from sfu.ids import ConnectionId, StreamId, SubscriberId
from signaling.domain.commands import MediaRefused, Play
from signaling.domain.effects import (
    AnswerDownlink,
    ForwardSubscriber,
    PreferLayers,
    Send,
    SubscribeMedia,
    UnsubscribeMedia,
)
from signaling.domain.errors import DomainError
from signaling.domain.roles import Role
from signaling.domain.session_state import Limits
from signaling.protocol import messages as m
from tests.domain_room import Room, limits_with, of, sent

B = ConnectionId("b")
SUB = SubscriberId("sub")
SMALL = m.Dimensions(width=320, height=180)


def room_with_stream(limits: Limits | None = None) -> Room:
    room = Room(limits=limits)
    room.join("a")
    room.join("b")
    room.publish("a", "s")
    return room


def update(room: Room, **members: object) -> list[object]:
    """The effects of an update but for its answer."""
    effects = room.ask("b", m.UpdateSubscriber(id=4, subscriber_id="sub", **members))
    assert effects[-1] == Send(B, m.Ok(re=4))
    return effects[:-1]


def test_a_subscriber_gets_media_and_its_name() -> None:
    room = room_with_stream()
    effects = room.subscribe("b", "s", "sub")
    (media,) = of(SubscribeMedia, effects)
    assert (media.connection, media.subscriber, media.codecs) == (B, "sub", ("opus", "vp8"))
    assert sent(effects, "b") == [m.Subscribed(re=8, subscriber_id="sub", stream_id="s")]
    assert not of(PreferLayers, effects)


def test_a_client_may_subscribe_to_its_own_stream() -> None:
    room = room_with_stream()
    room.subscribe("a", "s", "own")
    assert list(room.state.subscribers) == ["own"]


def test_who_publishes_only_may_not_subscribe() -> None:
    room = room_with_stream()
    room.join("c", Role.PUBLISHER_ONLY)
    with pytest.raises(DomainError, match="permission_denied"):
        room.subscribe("c", "s", "sub")


def test_a_stream_that_is_unknown_or_not_live_cannot_be_subscribed_to() -> None:
    room = room_with_stream()
    room.offer("a", "pending")
    for stream in ("pending", "nothing"):
        with pytest.raises(DomainError, match="stream_not_found"):
            room.subscribe("b", stream, "sub")
    assert not room.state.subscribers


def test_a_client_subscribes_as_often_as_it_may() -> None:
    room = room_with_stream(limits_with(subscribers_per_connection=2))
    room.subscribe("b", "s", "one")
    room.subscribe("b", "s", "two")
    with pytest.raises(DomainError, match="subscriber_limit"):
        room.subscribe("b", "s", "three")
    room.subscribe("a", "s", "other")
    room.ask("b", m.Unsubscribe(id=4, subscriber_id="one"))
    room.subscribe("b", "s", "three")
    assert list(room.state.connections[B].subscribers) == ["two", "three"]


def test_places_of_an_ended_stream_are_free_again() -> None:
    room = room_with_stream(limits_with(subscribers_per_connection=1))
    room.subscribe("b", "s", "one")
    room.ask("a", m.Unpublish(id=4, stream_id="s"))
    room.publish("a", "t")
    room.subscribe("b", "t", "two")
    assert list(room.state.subscribers) == ["two"]


def test_the_first_preference_is_kept() -> None:
    room = room_with_stream()
    effects = room.subscribe(
        "b",
        "s",
        "sub",
        audio=False,
        video=True,
        preferred_resolution=SMALL,
        preferred_frame_rate=15,
    )
    (preferred,) = of(PreferLayers, effects)
    assert preferred == PreferLayers(B, SUB, SMALL, 15.0)
    assert isinstance(preferred.frame_rate, float)
    subscriber = room.state.subscribers[SUB]
    assert (subscriber.wants_audio, subscriber.wants_video) == (False, True)


def test_an_update_keeps_what_it_does_not_name() -> None:
    room = room_with_stream()
    room.subscribe("b", "s", "sub", preferred_resolution=SMALL, preferred_frame_rate=15.0)
    assert update(room, preferred_frame_rate=7.0) == [PreferLayers(B, SUB, SMALL, 7.0)]
    big = m.Dimensions(width=1280, height=720)
    assert update(room, preferred_resolution=big) == [PreferLayers(B, SUB, big, 7.0)]
    assert update(room, preferred_resolution=None) == [PreferLayers(B, SUB, None, 7.0)]
    assert update(room, preferred_frame_rate=None) == [PreferLayers(B, SUB, None, None)]


def test_an_integer_rate_counts() -> None:
    room = room_with_stream()
    room.subscribe("b", "s", "sub")
    assert update(room, preferred_frame_rate=15) == [PreferLayers(B, SUB, None, 15.0)]


def test_an_update_of_nothing_changes_nothing() -> None:
    room = room_with_stream()
    room.subscribe("b", "s", "sub", preferred_frame_rate=15.0)
    assert update(room) == []


def test_audio_and_video_are_switched_one_by_one() -> None:
    room = room_with_stream()
    room.subscribe("b", "s", "sub")
    assert update(room, audio=False) == [ForwardSubscriber(B, SUB, "audio", forwarding=False)]
    assert update(room, video=False) == [ForwardSubscriber(B, SUB, "video", forwarding=False)]
    assert update(room, audio=True, video=True) == [
        ForwardSubscriber(B, SUB, "audio", forwarding=True),
        ForwardSubscriber(B, SUB, "video", forwarding=True),
    ]


@pytest.mark.parametrize(
    "request_",
    [
        m.UpdateSubscriber(id=4, subscriber_id="sub", video=False),
        m.Unsubscribe(id=4, subscriber_id="sub"),
    ],
    ids=lambda request: type(request).__name__,
)
def test_a_subscriber_is_its_clients_alone(request_: m.Request) -> None:
    room = room_with_stream()
    room.subscribe("b", "s", "sub")
    with pytest.raises(DomainError, match="subscriber_not_found"):
        room.ask("a", request_)
    assert list(room.state.subscribers) == ["sub"]


def test_an_unsubscribed_delivery_is_gone() -> None:
    room = room_with_stream()
    room.subscribe("b", "s", "sub")
    effects = room.ask("b", m.Unsubscribe(id=4, subscriber_id="sub"))
    assert effects == [UnsubscribeMedia(B, SUB), Send(B, m.Ok(re=4))]
    with pytest.raises(DomainError, match="subscriber_not_found"):
        room.ask("b", m.Unsubscribe(id=5, subscriber_id="sub"))


def test_an_answer_goes_to_the_media_plane_first() -> None:
    room = room_with_stream()
    effects = room.ask("b", m.DownlinkAnswer(id=4, offer_id=2, sdp="v=0"))
    assert effects == [AnswerDownlink(B, 2, "v=0", 4), Send(B, m.Ok(re=4))]


def test_a_refused_subscription_leaves_nothing_and_is_named_as_the_sdk_does() -> None:
    room = room_with_stream()
    room.subscribe("b", "s", "sub")
    refused = MediaRefused(B, 8, "subscribe", "codec_unsupported", subscriber=SUB)
    (failed,) = sent(room.do(refused), "b")
    assert (failed.re, failed.name) == (8, "OT_UNABLE_TO_SUBSCRIBE")
    assert not room.state.subscribers
    assert not room.state.streams[StreamId("s")].subscribers


def test_a_player_takes_a_live_stream_by_its_own_offer() -> None:
    room = room_with_stream()
    assert room.do(Play(B, SUB, StreamId("s"))) == []
    assert room.subscriber("sub").owner == B
    assert not of(SubscribeMedia, room.ask("b", m.Unsubscribe(id=5, subscriber_id="sub")))


@pytest.mark.parametrize(
    ("who", "stream", "code"),
    [("b", "nobody", "stream_not_found"), ("x", "s", "not_connected")],
)
def test_a_player_of_nothing_or_from_nowhere_is_refused(who: str, stream: str, code: str) -> None:
    with pytest.raises(DomainError) as caught:
        room_with_stream().do(Play(ConnectionId(who), SUB, StreamId(stream)))
    assert caught.value.code == code


def test_players_count_as_subscribers() -> None:
    room = room_with_stream(limits_with(subscribers_per_connection=1))
    room.do(Play(B, SUB, StreamId("s")))
    with pytest.raises(DomainError) as caught:
        room.do(Play(B, SubscriberId("more"), StreamId("s")))
    assert caught.value.code == "subscriber_limit"
