"""Rules of a Session, seen as commands in and effects out."""

import random

import pytest

from sfu.ids import ConnectionId
from signaling.domain.commands import FromClient, Join
from signaling.domain.effects import Broadcast, Effects, Send
from signaling.domain.errors import DomainError, PeerProtocolError
from signaling.domain.roles import CAPABILITIES, Role
from signaling.domain.session import handle
from signaling.domain.session_options import SessionOptions, SessionRecord
from signaling.domain.session_state import Limits, SessionState
from signaling.protocol import messages as m
from signaling.protocol.codec import Encoding, decode, encode


def session(*, e2ee: bool) -> SessionState:
    record = SessionRecord("1_MX4x", "1", SessionOptions(e2ee=e2ee), 0)
    return SessionState(record, Limits())


def join(state: SessionState, name: str, role: Role, formats: tuple[str, ...] = ()) -> Effects:
    who = ConnectionId(name)
    return handle(state, Join(who, 1, CAPABILITIES[role], "", ("opus",), formats, "r", 0), 0)


def ask(state: SessionState, name: str, message: m.Request) -> Effects:
    return handle(state, FromClient(ConnectionId(name), message, "new", 0), 0)


def test_a_client_without_the_format_can_not_join_a_sealed_session() -> None:
    with pytest.raises(DomainError, match="e2ee_unsupported"):
        join(session(e2ee=True), "a", Role.PUBLISHER)


def test_an_unsealed_stream_is_refused_on_a_sealed_session() -> None:
    state = session(e2ee=True)
    join(state, "a", Role.PUBLISHER, ("e2ee/1",))
    tracks = (m.TrackOffer(mid="0", kind="audio"),)
    with pytest.raises(DomainError, match="e2ee_required"):
        ask(state, "a", m.Publish(id=2, offer="v=0", tracks=tracks))
    assert not state.streams


def test_a_subscriber_can_neither_publish_nor_signal() -> None:
    state = session(e2ee=False)
    join(state, "a", Role.SUBSCRIBER)
    tracks = (m.TrackOffer(mid="0", kind="audio"),)
    for request in (m.Signal(id=2, data="x"), m.Publish(id=3, offer="v=0", tracks=tracks)):
        with pytest.raises(DomainError, match="permission_denied"):
            ask(state, "a", request)


def test_a_signal_reaches_all_and_its_sender() -> None:
    state = session(e2ee=False)
    join(state, "a", Role.PUBLISHER)
    effects = ask(state, "a", m.Signal(id=2, data="x"))
    received = m.SignalReceived(from_="a", data="x")
    assert effects == [Broadcast(received), Send(ConnectionId("a"), m.Ok(re=2))]


@pytest.mark.parametrize("encoding", list(Encoding))
def test_random_bytes_are_refused_as_a_protocol_error(encoding: Encoding) -> None:
    rng = random.Random(1)
    for _ in range(2_000):
        with pytest.raises(PeerProtocolError):
            decode(rng.randbytes(rng.randrange(64)), encoding)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_message_with_bytes_survives_the_wire(encoding: Encoding) -> None:
    message = m.Signal(id=1, sealed=b"\x00\xffabc")
    assert decode(encode(message, encoding), encoding) == message


def test_a_secret_at_any_depth_is_refused() -> None:
    with pytest.raises(PeerProtocolError, match="secret_refused"):
        decode('{"t":"ping","id":1,"x":[{"Encryption_Secret":"s"}]}', Encoding.JSON)
