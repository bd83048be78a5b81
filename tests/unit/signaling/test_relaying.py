"""Relayed sessions: which clients reach each other, and that the server carries no media."""

import pytest

from sfu.ids import ConnectionId, SubscriberId
from signaling.domain import effects as e
from signaling.domain.commands import Leave, RestMuteStream
from signaling.domain.errors import DomainError, ErrorCode
from signaling.domain.relaying import (
    MAX_PEERS_PER_STREAM,
    PASSED_BYTES_BURST,
    PASSED_BYTES_PER_S,
)
from signaling.domain.roles import Role
from signaling.protocol import messages as m
from tests.domain_room import BOTH_TRACKS, Room, broadcast, of, sent

A, B = ConnectionId("a"), ConnectionId("b")
MEDIA = (e.PublishMedia, e.SubscribeMedia, e.DeclareKidsMedia, e.AnswerDownlink)
TRACKS = tuple(m.TrackOffer(mid=mid, kind=kind) for mid, kind in BOTH_TRACKS)


def publish(room: Room, who: str, stream: str) -> e.Effects:
    return room.ask(who, m.Publish(id=7, tracks=TRACKS), stream)


def relayed_room() -> Room:
    """`a` publishes, `b` takes it, `c` is there too."""
    room = Room(relayed=True)
    for name in ("a", "b", "c"):
        room.join(name)
    publish(room, "a", "s")
    room.subscribe("b", "s", "sub")
    return room


def describe(type_: str, sdp: str = "v=0", subscriber: str = "sub") -> m.PeerDescription:
    return m.PeerDescription(id=9, subscriber_id=subscriber, type=type_, sdp=sdp)


def candidate(line: str = "candidate:1 1 udp 1 192.0.2.1 9 typ host") -> m.PeerCandidate:
    return m.PeerCandidate(id=9, subscriber_id="sub", candidate=line, mid="0")


def refused(room: Room, who: str, request: m.Request) -> ErrorCode:
    with pytest.raises(DomainError) as caught:
        room.ask(who, request)
    return caught.value.code


def test_a_published_stream_is_there_foreverybody_at_once() -> None:
    room = Room(relayed=True)
    room.join("a")
    room.join("b")
    effects = publish(room, "a", "s")
    first, second = sent(effects, "a")
    assert first == m.Published(re=7, stream_id="s", answer="", tracks=())
    assert second == m.StreamCreated(stream=room.state.streams["s"].info)
    assert sent(effects, "b") == [second]
    assert [notice.event for notice in of(e.Notify, effects)] == ["streamCreated"]


def test_an_offer_to_the_server_is_refused() -> None:
    room = Room(relayed=True)
    room.join("a")
    request = m.Publish(id=7, tracks=TRACKS, offer="v=0")
    assert refused(room, "a", request) is ErrorCode.INVALID_PARAMETER
    assert not room.state.streams


def test_a_subscription_asks_the_publisher_for_a_peer_connection() -> None:
    room = Room(relayed=True)
    room.join("a")
    room.join("b")
    publish(room, "a", "s")
    effects = room.subscribe("b", "s", "sub", video=False)
    assert sent(effects, "b") == [m.Subscribed(re=8, subscriber_id="sub", stream_id="s")]
    assert sent(effects, "a") == [
        m.PeerSubscribed(
            subscriber_id="sub", stream_id="s", connection_id="b", audio=True, video=False
        )
    ]


def test_changed_preferences_reach_the_publisher() -> None:
    room = relayed_room()
    effects = room.ask("b", m.UpdateSubscriber(id=4, subscriber_id="sub", audio=False))
    (wanted,) = sent(effects, "a")
    assert (wanted.audio, wanted.video) == (False, True)
    assert sent(effects, "b") == [m.Ok(re=4)]


def test_nothing_of_a_relayed_session_asks_for_media_of_the_server() -> None:
    room = Room(relayed=True)
    room.join("a")
    room.join("b")
    effects = publish(room, "a", "s") + room.subscribe("b", "s", "sub")
    effects += room.ask("a", describe("offer")) + room.ask("b", describe("answer"))
    effects += room.ask("b", m.UpdateSubscriber(id=4, subscriber_id="sub", audio=False))
    effects += room.ask("b", m.Unsubscribe(id=5, subscriber_id="sub"))
    assert not [effect for effect in effects if isinstance(effect, MEDIA)]


def test_descriptions_and_candidates_pass_in_both_directions() -> None:
    room = relayed_room()
    assert room.ask("a", describe("offer", "o")) == [
        e.Send(B, m.PeerDescriptionReceived(subscriber_id="sub", type="offer", sdp="o")),
        e.Send(A, m.Ok(re=9)),
    ]
    assert room.ask("b", describe("answer", "r"))[0] == e.Send(
        A, m.PeerDescriptionReceived(subscriber_id="sub", type="answer", sdp="r")
    )
    passed = m.PeerCandidateReceived(subscriber_id="sub", candidate="", mid="0")
    assert room.ask("a", candidate(""))[0] == e.Send(B, passed)
    assert room.ask("b", candidate(""))[0] == e.Send(A, passed)


def test_the_publisher_offers_and_the_subscriber_answers() -> None:
    room = relayed_room()
    assert refused(room, "b", describe("offer")) is ErrorCode.INVALID_PARAMETER
    assert refused(room, "a", describe("answer")) is ErrorCode.INVALID_PARAMETER


@pytest.mark.parametrize("request_", [describe("offer"), describe("answer"), candidate()])
def test_who_has_no_part_in_a_subscription_reaches_nobody(request_: m.Request) -> None:
    assert refused(relayed_room(), "c", request_) is ErrorCode.SUBSCRIBER_NOT_FOUND


def test_a_subscription_of_nobody_is_as_unknown_as_one_of_others() -> None:
    room = relayed_room()
    assert refused(room, "a", describe("offer", subscriber="x")) is ErrorCode.SUBSCRIBER_NOT_FOUND


@pytest.mark.parametrize("request_", [describe("offer"), candidate()])
def test_routed_sessions_pass_nothing_between_clients(request_: m.Request) -> None:
    room = Room()
    room.join("a")
    room.join("b")
    room.publish("a", "s")
    room.subscribe("b", "s", "sub")
    assert refused(room, "a", request_) is ErrorCode.INVALID_PARAMETER


def test_a_flood_of_descriptions_is_held_at_a_rate_of_bytes() -> None:
    room = relayed_room()
    size = 65_536
    for _ in range(int(PASSED_BYTES_BURST) // size):
        room.ask("a", describe("offer", "x" * size))
    assert refused(room, "a", describe("offer", "x" * size)) is ErrorCode.RATE_LIMITED
    room.ask("b", describe("answer", "x" * size))
    room.now_ms += int(size / PASSED_BYTES_PER_S * 1000)
    room.ask("a", describe("offer", "x" * size))


def test_a_client_does_not_relay_its_stream_to_itself() -> None:
    room = relayed_room()
    request = m.Subscribe(id=8, stream_id="s")
    assert refused(room, "a", request) is ErrorCode.INVALID_PARAMETER


def test_one_client_cannot_make_a_publisher_send_many_times() -> None:
    room = relayed_room()
    for number in range(1, MAX_PEERS_PER_STREAM):
        room.subscribe("b", "s", f"more-{number}")
    assert refused(room, "b", m.Subscribe(id=8, stream_id="s")) is ErrorCode.SUBSCRIBER_LIMIT
    room.subscribe("c", "s", "another")


def test_roles_hold() -> None:
    room = Room(relayed=True)
    room.join("a", Role.SUBSCRIBER)
    with pytest.raises(DomainError) as caught:
        publish(room, "a", "s")
    assert caught.value.code is ErrorCode.PERMISSION_DENIED


@pytest.mark.parametrize("how", ["unsubscribe", "leave"])
def test_the_publisher_learns_that_a_subscriber_is_gone(how: str) -> None:
    room = relayed_room()
    if how == "unsubscribe":
        effects = room.ask("b", m.Unsubscribe(id=5, subscriber_id="sub"))
    else:
        effects = room.do(Leave(B, "networkDisconnected"))
    assert m.PeerUnsubscribed(subscriber_id="sub") in sent(effects, "a")
    assert SubscriberId("sub") not in room.state.subscribers


def test_a_lost_publisher_ends_its_stream_and_the_subscriptions() -> None:
    room = relayed_room()
    effects = room.do(Leave(A, "networkDisconnected"))
    gone = m.StreamDestroyed(stream_id="s", reason="networkDisconnected")
    assert gone in broadcast(effects)
    assert not room.state.subscribers
    assert refused(room, "b", describe("answer")) is ErrorCode.SUBSCRIBER_NOT_FOUND


def test_a_forced_mute_reaches_publisher_and_viewers() -> None:
    effects = relayed_room().do(RestMuteStream("s"))
    assert m.MuteForced(active=True, stream_id="s") in sent(effects, "a")
    assert m.StreamPropertyChanged(stream_id="s", has_audio=False) in sent(effects, "b")


def test_force_unpublish_ends_the_stream_for_both() -> None:
    room = relayed_room()
    room.join("mod", Role.MODERATOR)
    effects = room.ask("mod", m.ForceUnpublish(id=3, stream_id="s"))
    gone = m.StreamDestroyed(stream_id="s", reason="forceUnpublished")
    assert gone in sent(effects, "a")
    assert gone in sent(effects, "b")
