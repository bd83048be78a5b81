"""Joining, resuming, leaving; how many and how fast."""

import pytest

from config.settings import SignalingSettings
from sfu.ids import ConnectionId
from signaling.domain.commands import Leave, Resume, TransportEnded
from signaling.domain.effects import CloseConnection, Notify, Send, UnpublishMedia
from signaling.domain.errors import DomainError
from signaling.domain.membership import MAX_TOKENS
from signaling.domain.roles import Role
from signaling.domain.session_state import Limits, limits_of
from signaling.protocol import messages as m
from tests.domain_room import Room, broadcast, limits_with, of, sent

A, B = ConnectionId("a"), ConnectionId("b")


def test_a_client_gets_the_session_and_the_others_get_the_client() -> None:
    room = Room()
    room.join("a", data="Ada")
    room.publish("a", "s")
    effects = room.join("b")
    (welcome,) = sent(effects, "b")
    assert isinstance(welcome, m.Welcome)
    assert [c.connection_id for c in welcome.connections] == ["a", "b"]
    assert welcome.connections[0].data == "Ada"
    assert [s.stream_id for s in welcome.streams] == ["s"]
    assert not welcome.resumed
    (created,) = sent(effects, "a")
    assert isinstance(created, m.ConnectionCreated)
    assert created.connection == welcome.connection


def test_the_welcome_has_no_stream_before_it_is_live() -> None:
    room = Room()
    room.join("a")
    room.offer("a", "s")
    (welcome,) = sent(room.join("b"), "b")
    assert welcome.streams == ()


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.SUBSCRIBER, (0, 1, 0, 0, 0, 0)),
        (Role.PUBLISHER, (1, 1, 1, 0, 0, 0)),
        (Role.PUBLISHER_ONLY, (1, 0, 0, 0, 0, 0)),
        (Role.MODERATOR, (1, 1, 1, 1, 1, 1)),
    ],
)
def test_the_welcome_says_what_the_role_may_do(role: Role, may: tuple[int, ...]) -> None:
    (welcome,) = sent(Room().join("a", role), "a")
    allowed = welcome.capabilities
    assert may == (
        allowed.publish,
        allowed.subscribe,
        allowed.signal,
        allowed.force_unpublish,
        allowed.force_disconnect,
        allowed.force_mute,
    )


@pytest.mark.parametrize("formats", [(), ("e2ee/1",), ("e2ee/20",)])
def test_a_client_without_the_format_cannot_join_an_encrypted_session(
    formats: tuple[str, ...],
) -> None:
    room = Room(e2ee=True)
    with pytest.raises(DomainError, match="e2ee_unsupported"):
        room.join("a", formats=formats)
    assert not room.state.connections


def test_a_clear_session_takes_clients_without_formats() -> None:
    room = Room()
    room.join("a", formats=())
    assert list(room.state.connections) == ["a"]


def test_the_welcome_names_the_hints_in_use() -> None:
    room = Room(e2ee=True)
    room.join("a")
    room.ask("a", m.E2eeReady(id=2, hint=77))
    (welcome,) = sent(room.join("b"), "b")
    assert welcome.hints == {"a": 77}


def test_a_full_session_refuses_until_somebody_leaves() -> None:
    room = Room(limits=limits_with(connections=2))
    room.join("a")
    room.join("b")
    with pytest.raises(DomainError, match="connection_limit"):
        room.join("c")
    room.do(Leave(A, "clientDisconnected"))
    room.join("c")
    assert list(room.state.connections) == ["b", "c"]


def test_joins_are_limited_per_second() -> None:
    room = Room(limits=limits_with(joins_per_s=2))
    room.join("a")
    room.join("b")
    with pytest.raises(DomainError, match="rate_limited"):
        room.join("c")
    assert list(room.state.connections) == ["a", "b"]
    room.now_ms += 500
    room.join("c")
    assert list(room.state.connections) == ["a", "b", "c"]


def test_joins_with_one_token_are_limited_and_others_are_not() -> None:
    room = Room(limits=limits_with(joins_per_token_per_min=2))
    room.join("a", token=b"1")
    room.join("b", token=b"1")
    with pytest.raises(DomainError, match="rate_limited"):
        room.join("c", token=b"1")
    room.join("c", token=b"2")
    room.now_ms += 30_000
    room.join("d", token=b"1")


def test_tokens_that_are_not_used_any_more_are_forgotten() -> None:
    limits = limits_with(joins_per_s=100_000, connections=100_000)
    room = Room(limits=limits)
    for number in range(MAX_TOKENS + 5):
        room.join(f"m{number}", token=str(number).encode())
        room.do(Leave(ConnectionId(f"m{number}"), "clientDisconnected"))
    assert len(room.state.joins_by_token) <= MAX_TOKENS


def test_a_refused_join_costs_no_other_its_turn() -> None:
    room = Room(e2ee=True, limits=limits_with(joins_per_s=1))
    for _ in range(5):
        with pytest.raises(DomainError, match="e2ee_unsupported"):
            room.join("x", formats=())
    room.join("a")
    assert list(room.state.connections) == ["a"]


def test_a_session_is_created_by_its_first_member_and_destroyed_by_its_last() -> None:
    room = Room()
    assert of(Notify, room.join("a")) == [
        Notify("sessionCreated", "2_MX4x"),
        Notify("connectionCreated", "a"),
    ]
    assert of(Notify, room.join("b")) == [Notify("connectionCreated", "b")]
    assert of(Notify, room.do(Leave(A, "clientDisconnected"))) == [
        Notify("connectionDestroyed", "a", "clientDisconnected")
    ]
    assert of(Notify, room.do(Leave(B, "networkDisconnected"))) == [
        Notify("connectionDestroyed", "b", "networkDisconnected"),
        Notify("sessionDestroyed", "2_MX4x"),
    ]
    assert Notify("sessionCreated", "2_MX4x") in room.join("a")


def test_a_resumed_client_gets_the_session_as_it_is_now() -> None:
    room = Room()
    room.join("a")
    room.join("b")
    room.publish("b", "s")
    (send,) = room.do(Resume(A, 9, "next"))
    assert isinstance(send, Send)
    welcome = send.message
    assert isinstance(welcome, m.Welcome)
    assert (welcome.re, welcome.resumed, welcome.resume) == (9, True, "next")
    assert [s.stream_id for s in welcome.streams] == ["s"]


def test_an_unknown_connection_cannot_be_resumed() -> None:
    with pytest.raises(DomainError, match="not_connected"):
        Room().do(Resume(A, 9, "next"))


def test_who_leaves_takes_streams_and_deliveries_along() -> None:
    room = Room()
    room.join("a")
    room.join("b")
    room.publish("a", "s")
    room.publish("b", "t")
    room.subscribe("b", "s", "b-of-s")
    room.subscribe("a", "t", "a-of-t")
    effects = room.do(Leave(A, "networkDisconnected"))
    assert broadcast(effects) == [
        m.StreamDestroyed(stream_id="s", reason="networkDisconnected"),
        m.ConnectionDestroyed(connection_id="a", reason="networkDisconnected"),
    ]
    assert UnpublishMedia(A, "s") in effects
    assert CloseConnection(A, "networkDisconnected") in effects
    assert list(room.state.streams) == ["t"]
    assert not room.state.subscribers
    assert not room.state.connections[B].subscribers


def test_leaving_twice_does_nothing() -> None:
    room = Room()
    room.join("a")
    room.do(Leave(A, "clientDisconnected"))
    assert room.do(Leave(A, "networkDisconnected")) == []


def test_bye_is_answered_before_the_connection_closes() -> None:
    room = Room()
    room.join("a")
    effects = room.ask("a", m.Bye(id=3))
    assert effects[0] == Send(A, m.Ok(re=3))
    assert of(CloseConnection, effects) == [CloseConnection(A, "clientDisconnected")]


def test_ping_is_answered() -> None:
    room = Room()
    room.join("a")
    assert room.ask("a", m.Ping(id=3)) == [Send(A, m.Pong(re=3))]


def test_a_lost_uplink_ends_the_own_streams_alone() -> None:
    room = Room()
    room.join("a")
    room.join("b")
    room.publish("a", "s")
    room.publish("b", "t")
    room.subscribe("a", "t", "a-of-t")
    effects = room.do(TransportEnded(A, "uplink"))
    assert effects[0] == Send(A, m.TransportLost(direction="uplink"))
    assert broadcast(effects) == [m.StreamDestroyed(stream_id="s", reason="networkDisconnected")]
    assert list(room.state.subscribers) == ["a-of-t"]


def test_a_lost_downlink_ends_the_own_deliveries_alone() -> None:
    room = Room()
    room.join("a")
    room.join("b")
    room.publish("a", "s")
    room.subscribe("a", "s", "a-of-s")
    room.subscribe("b", "s", "b-of-s")
    effects = room.do(TransportEnded(A, "downlink"))
    assert effects == [Send(A, m.TransportLost(direction="downlink"))]
    assert list(room.state.subscribers) == ["b-of-s"]
    assert list(room.state.streams) == ["s"]
    assert room.do(TransportEnded(ConnectionId("gone"), "downlink")) == []


def test_requests_of_strangers_are_refused() -> None:
    with pytest.raises(DomainError, match="not_connected"):
        Room().ask("a", m.Ping(id=1))


def test_a_second_hello_is_no_request() -> None:
    room = Room()
    room.join("a")
    hello = m.Hello(
        id=2, api_key="1", session_id="s", token="t", sdk=m.SdkInfo(name="x", version="1")
    )
    with pytest.raises(DomainError, match="invalid_message"):
        room.ask("a", hello)


def test_a_client_may_burst_and_then_gets_its_steady_rate() -> None:
    room = Room(limits=limits_with(messages_per_s=2, message_burst=3))
    room.join("a")
    room.join("b")
    for number in range(3):
        room.ask("a", m.Ping(id=number))
    with pytest.raises(DomainError, match="rate_limited"):
        room.ask("a", m.Ping(id=4))
    room.ask("b", m.Ping(id=1))
    room.now_ms += 499
    with pytest.raises(DomainError, match="rate_limited"):
        room.ask("a", m.Ping(id=5))
    room.now_ms += 1
    room.ask("a", m.Ping(id=6))
    room.now_ms += 60_000
    for number in range(3):
        room.ask("a", m.Ping(id=number))
    with pytest.raises(DomainError, match="rate_limited"):
        room.ask("a", m.Ping(id=7))


def test_a_clock_that_steps_back_gives_and_takes_nothing() -> None:
    room = Room(limits=limits_with(messages_per_s=1, message_burst=1))
    room.join("a")
    room.ask("a", m.Ping(id=1))
    room.now_ms -= 10_000
    with pytest.raises(DomainError, match="rate_limited"):
        room.ask("a", m.Ping(id=2))
    room.now_ms += 1_000
    room.ask("a", m.Ping(id=3))


def test_limits_are_those_of_the_settings() -> None:
    settings = SignalingSettings(
        connections_per_session=1,
        streams_per_connection=2,
        subscribers_per_connection=3,
        messages_per_s=4.5,
        message_burst=5,
        joins_per_s=6.5,
        joins_per_token_per_min=9,
        fan_out_bytes_per_s=100_000,
        fan_out_burst=110_000,
        keep_alive_ms=700,
        grace_ms=8,
    )
    assert limits_of(settings) == Limits(
        connections=1,
        streams_per_connection=2,
        subscribers_per_connection=3,
        messages_per_s=4.5,
        message_burst=5,
        joins_per_s=6.5,
        joins_per_token_per_min=9,
        fan_out_bytes_per_s=100_000,
        fan_out_burst=110_000,
        keep_alive_ms=700,
        grace_ms=8,
    )
