"""Signals: to whom, how long, and encrypted or not."""

from collections.abc import Callable

import msgspec
import pytest

from sfu.ids import ConnectionId, StreamId
from signaling.domain.commands import (
    MediaRefused,
    RestSignal,
    StreamLive,
    StreamSpeaks,
    TransportEnded,
)
from signaling.domain.effects import Broadcast, Effects, Send
from signaling.domain.errors import DomainError
from signaling.domain.roles import Role
from signaling.protocol import messages as m
from tests.domain_room import Room, limits_with, of

A, B = ConnectionId("a"), ConnectionId("b")


def room_of_two(*, e2ee: bool = False) -> Room:
    room = Room(e2ee=e2ee)
    room.join("a")
    room.join("b")
    return room


def test_a_signal_reaches_all_and_its_sender() -> None:
    effects = room_of_two().ask("a", m.Signal(id=2, type="chat", data="x"))
    received = m.SignalReceived(from_="a", type="chat", data="x")
    assert effects == [Broadcast(received), Send(A, m.Ok(re=2))]


def test_a_signal_to_one_reaches_it_alone() -> None:
    effects = room_of_two().ask("a", m.Signal(id=2, to="b", data="x"))
    assert effects == [Send(B, m.SignalReceived(from_="a", data="x")), Send(A, m.Ok(re=2))]


def test_a_signal_to_nobody_is_refused() -> None:
    with pytest.raises(DomainError, match="connection_not_found"):
        room_of_two().ask("a", m.Signal(id=2, to="nobody", data="x"))


def test_a_signal_without_content_has_empty_data() -> None:
    effects = room_of_two().ask("a", m.Signal(id=2, type="ping"))
    assert effects[0] == Broadcast(m.SignalReceived(from_="a", type="ping", data=""))


@pytest.mark.parametrize("role", [Role.SUBSCRIBER, Role.PUBLISHER_ONLY])
def test_who_may_not_signal_is_refused(role: Role) -> None:
    room = Room()
    room.join("a", role)
    with pytest.raises(DomainError, match="permission_denied"):
        room.ask("a", m.Signal(id=2, data="x"))


@pytest.mark.parametrize("kind", ["a b", "tab\t", "ü", "a.b", "a/b", "a:b", "x\n"])
def test_a_type_of_other_characters_is_refused(kind: str) -> None:
    with pytest.raises(DomainError, match="invalid_parameter"):
        room_of_two().ask("a", m.Signal(id=2, type=kind, data="x"))


@pytest.mark.parametrize("kind", ["", "chat", "A-b_c~9", "x" * 128])
def test_a_type_of_these_characters_is_fine(kind: str) -> None:
    room_of_two().ask("a", m.Signal(id=2, type=kind, data="x"))


def test_lengths_are_counted_in_bytes() -> None:
    room, encrypted = room_of_two(), room_of_two(e2ee=True)
    room.ask("a", m.Signal(id=2, data="x" * 8_192))
    room.ask("a", m.Signal(id=2, data="ü" * 4_096))
    encrypted.ask("a", m.Signal(id=2, encrypted=bytes(8_448)))
    for where, too_long in (
        (room, m.Signal(id=2, data="x" * 8_193)),
        (room, m.Signal(id=2, data="ü" * 4_097)),
        (room, m.Signal(id=2, type="x" * 129, data="")),
        (encrypted, m.Signal(id=2, encrypted=bytes(8_449))),
    ):
        with pytest.raises(DomainError, match="signal_too_long"):
            where.ask("a", too_long)


@pytest.mark.parametrize(
    "clear", [m.Signal(id=2, data="x"), m.Signal(id=2, type="chat"), m.Signal(id=2, to="b")]
)
def test_a_clear_signal_of_a_member_is_refused_on_an_encrypted_session(clear: m.Signal) -> None:
    room = room_of_two(e2ee=True)
    with pytest.raises(DomainError, match="signal_not_encrypted"):
        room.ask("a", clear)


# --- what signals cost on their way to others -------------------------------------------------

LARGE = limits_with(fan_out_bytes_per_s=1_000_000, fan_out_burst=2_000_000, message_burst=10_000)


def full_room(members: int = 100, *, e2ee: bool = False) -> Room:
    room = Room(limits=LARGE, e2ee=e2ee)
    for number in range(members):
        room.join(f"m{number}")
    return room


def test_signals_to_all_are_charged_by_receivers_and_bytes() -> None:
    room = full_room()
    # 100 receivers of 8 KB and the envelope: 0.8 MB each; the burst, and the one that makes a debt.
    for _ in range(3):
        room.ask("m0", m.Signal(id=2, data="x" * 8_000))
    with pytest.raises(DomainError, match="rate_limited"):
        room.ask("m0", m.Signal(id=2, data="x" * 8_000))


def test_the_rate_of_what_goes_to_others_comes_back_with_time() -> None:
    room = full_room()
    for _ in range(3):
        room.ask("m0", m.Signal(id=2, data="x" * 8_000))
    room.now_ms += 400
    with pytest.raises(DomainError, match="rate_limited"):
        room.ask("m0", m.Signal(id=2, data="x"))
    room.now_ms += 200
    room.ask("m0", m.Signal(id=2, data="x"))


def test_the_debt_of_one_is_not_that_of_another_and_one_receiver_costs_little() -> None:
    room = full_room()
    for _ in range(3):
        room.ask("m0", m.Signal(id=2, data="x" * 8_000))
    for _ in range(100):
        room.ask("m1", m.Signal(id=2, to="m2", data="x" * 8_000))


@pytest.mark.parametrize(
    "request_",
    [
        m.Publish(id=2, tracks=(m.TrackOffer(mid="0", kind="audio"),), offer="v=0"),
        m.Signal(id=2, data="x"),
        m.E2eeReady(id=2, hint=1),
    ],
)
def test_with_a_debt_nothing_reaches_all_but_the_client_may_leave(request_: m.Request) -> None:
    room = full_room()
    for _ in range(3):
        room.ask("m0", m.Signal(id=2, data="x" * 8_000))
    with pytest.raises(DomainError, match="rate_limited"):
        room.ask("m0", request_)
    room.ask("m0", m.Bye(id=3))


def test_a_broadcast_above_the_burst_passes_once() -> None:
    room = full_room(300)
    room.ask("m0", m.Signal(id=2, data="x" * 8_000))
    with pytest.raises(DomainError, match="rate_limited"):
        room.ask("m0", m.Signal(id=2, data="x"))


def test_signals_from_rest_are_charged_too() -> None:
    room = full_room()
    for _ in range(3):
        room.do(RestSignal(None, "x" * 8_000))
    with pytest.raises(DomainError, match="rate_limited"):
        room.do(RestSignal(None, "x"))
    room.ask("m0", m.Signal(id=2, data="x"))


def test_characters_count_by_their_encoded_bytes() -> None:
    room = full_room()
    for _ in range(3):
        room.ask("m0", m.Signal(id=2, data="\U0001f600" * 2_000))
    with pytest.raises(DomainError, match="rate_limited"):
        room.ask("m0", m.Signal(id=2, data="x"))


def test_the_time_before_a_charge_does_not_pay_for_it() -> None:
    room = full_room(300)
    room.now_ms += 60_000
    for number in range(2):
        room.publish("m0", f"s{number}", name="\U0001f600" * 1_000)
        room.ask("m0", m.Unpublish(id=3, stream_id=f"s{number}"))
    with pytest.raises(DomainError, match="rate_limited"):
        room.ask("m0", m.Signal(id=2, data="x"))


def _caused(room: Room) -> dict[str, Callable[[], Effects]]:
    """What a client can cause: each of its doings, and each thing that follows from one."""
    room.publish("m0", "live", name="n" * 500)
    room.offer("m0", "begun", name="n" * 500)
    return {
        "joins": lambda: room.join("new", data="d" * 500),
        "goes live": lambda: room.do(StreamLive(StreamId("begun"))),
        "speaks": lambda: room.do(StreamSpeaks(StreamId("live"))),
        "is refused": lambda: room.do(
            MediaRefused(ConnectionId("m0"), 9, "publish", "internal", StreamId("live"))
        ),
        "loses its uplink": lambda: room.do(TransportEnded(ConnectionId("m0"), "uplink")),
        "signals": lambda: room.ask("m0", m.Signal(id=2, data="x" * 500)),
        "changes": lambda: room.ask("m0", m.UpdateStream(id=2, stream_id="live", has_audio=False)),
        "unpublishes": lambda: room.ask("m0", m.Unpublish(id=2, stream_id="live")),
        "is ready": lambda: room.ask("m0", m.E2eeReady(id=2, hint=3)),
    }


@pytest.mark.parametrize("doing", _caused(full_room(2)))
def test_every_broadcast_that_a_client_causes_is_charged_to_it(doing: str) -> None:
    # Hints are of encrypted sessions alone.
    room = full_room(e2ee=doing == "is ready")
    cause = _caused(room)[doing]
    before = {name: member.fan_out.tokens for name, member in room.state.connections.items()}
    effects = cause()
    receivers = sum(
        len(room.state.connections) if one.to is None else len(one.to)
        for one in of(Broadcast, effects)
    )
    assert receivers
    who = ConnectionId("new" if doing == "joins" else "m0")
    spent = before.get(who, float(LARGE.fan_out_burst)) - room.state.connections[who].fan_out.tokens
    size = min(len(msgspec.msgpack.encode(one.message)) for one in of(Broadcast, effects))
    assert spent >= receivers * size


def test_an_encrypted_signal_is_passed_on_as_it_is() -> None:
    effects = room_of_two(e2ee=True).ask("a", m.Signal(id=2, encrypted=b"\x00\x01"))
    assert effects[0] == Broadcast(m.SignalReceived(from_="a", encrypted=b"\x00\x01"))


def test_an_encrypted_signal_is_refused_on_a_clear_session() -> None:
    with pytest.raises(DomainError, match="invalid_parameter"):
        room_of_two().ask("a", m.Signal(id=2, encrypted=b"\x00"))


def test_a_signal_is_either_encrypted_or_clear() -> None:
    with pytest.raises(DomainError, match="invalid_parameter"):
        room_of_two(e2ee=True).ask("a", m.Signal(id=2, data="x", encrypted=b"\x00"))


def test_a_signal_from_rest_has_no_sender() -> None:
    room = room_of_two(e2ee=True)
    assert room.do(RestSignal("chat", "")) == [Broadcast(m.SignalReceived(type="chat", data=""))]
    assert room.do(RestSignal(None, "x", B)) == [Send(B, m.SignalReceived(data="x"))]


@pytest.mark.parametrize(
    ("signal", "code"),
    [
        (RestSignal("x" * 129, "x"), "signal_too_long"),
        (RestSignal(None, "x" * 8_193), "signal_too_long"),
        (RestSignal("a b", "x"), "invalid_parameter"),
        (RestSignal(None, "x", ConnectionId("nobody")), "connection_not_found"),
    ],
)
def test_a_signal_from_rest_has_the_same_limits(signal: RestSignal, code: str) -> None:
    with pytest.raises(DomainError, match=code):
        room_of_two().do(signal)
