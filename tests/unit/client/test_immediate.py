"""After an immediate change of secret nothing under the old one goes out: not what waits for the
socket, not what an encoder's thread has in hand."""

import asyncio
import threading
from types import SimpleNamespace
from unittest import mock

import pytest
from sealroute_client import SealrouteError, Session, session
from sealroute_client.codec import decode
from sealroute_client.e2ee import frames, keys
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.keys import Encryptor, PendingContext
from sealroute_client.e2ee.secret import KeyIds, hint_of
from sealroute_client.e2ee.sframe import decode_header
from sealroute_client.media import outbound
from sealroute_client.publisher import PublishedTrack

from tests.unit.client import virtual

OLD, NEW = "correct horse battery", "another secret for all"


class Socket:
    def __init__(self) -> None:
        self.sent: list[dict[str, object]] = []
        self.closed = False

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(decode(data))

    async def close(self) -> None:
        self.closed = True


async def joined() -> tuple[Session, Socket]:
    """With the real Signaling, whose socket is down."""
    one, socket = Session("http://server", "key", "session", "token", OLD), Socket()

    async def connect() -> dict[str, object]:
        return virtual.FakeServer().welcome()

    one.signaling.connect = connect  # type: ignore[method-assign]
    one.signaling.start_reading = lambda: None  # type: ignore[method-assign]
    with (
        mock.patch.object(session.secrets, "derive", virtual.derive),
        mock.patch.object(session, "PeerConnections", return_value=virtual.FakePeers()),
    ):
        await one.connect()
    return one, socket


def come_back(one: Session, socket: Socket) -> None:
    one.signaling._socket = socket  # type: ignore[assignment]
    one.signaling._is_up.set()


async def test_a_signal_that_waits_for_the_socket_goes_out_under_the_new_secret() -> None:
    one, socket = await joined()
    signal = asyncio.create_task(one.signal("attack at dawn"))
    await asyncio.sleep(0)
    with mock.patch.object(session.secrets, "derive", virtual.derive):
        await one.set_encryption_secret(NEW, immediate=True)
    come_back(one, socket)
    for _ in range(20):
        await asyncio.sleep(0)
    sent = [m for m in socket.sent if m["t"] == "signal"]
    hint = (await virtual.derive(NEW, "session")).hint
    assert hint_of(decode_header(sent[0]["encrypted"]).kid) == hint
    signal.cancel()
    await one.disconnect()


async def test_a_signal_that_waits_does_not_go_out_to_a_session_that_is_refused_meanwhile() -> None:
    one, socket = await joined()
    signal = asyncio.create_task(one.signal("attack at dawn"))
    await asyncio.sleep(0)
    one.trust.on_welcome(False, "routed")
    come_back(one, socket)
    with pytest.raises(SealrouteError) as caught:
        await signal
    assert caught.value.code == "encryption_internal"
    assert not [m for m in socket.sent if m["t"] == "signal"]
    await one.disconnect()


async def contexts() -> list[object]:
    secrets, ids = [await virtual.derive(text, "session") for text in (OLD, NEW)], KeyIds()
    return [PendingContext(s, ids).context(s.stream_base("me", "stream")) for s in secrets]


@pytest.mark.parametrize("change", ["revoke", "close", "switch"])
async def test_a_frame_in_an_encoders_thread_is_dropped_if_its_key_is_given_up(change) -> None:
    """With any other change it goes out: not one frame is missing."""
    old, new = await contexts()
    encryptor, has_begun, may_end, given = Encryptor(), threading.Event(), threading.Event(), []
    encryptor.use(old)
    real = frames.encrypt

    def slow(*arguments):
        wire = real(*arguments)
        has_begun.set()
        may_end.wait()
        return wire

    with mock.patch.object(keys.frames, "encrypt", slow):
        thread = threading.Thread(
            target=lambda: given.append(encryptor.encrypt(CodecId.OPUS, b"x" * 9))
        )
        thread.daemon = True
        thread.start()
        await asyncio.to_thread(has_begun.wait)
        if change == "close":
            encryptor.close()
        else:
            encryptor.use(new, revoke=change == "revoke")
        may_end.set()
        await asyncio.to_thread(thread.join)
    assert (given[0] is not None) == (change == "switch")
    assert encryptor.dropped_frames == (change != "switch")
    assert encryptor.may_send()


async def test_a_frame_that_the_encoder_has_given_is_judged_once_more_when_it_goes_out() -> None:
    old, new = await contexts()
    sender = virtual.FakeSender(None)
    track = PublishedTrack("audio", SimpleNamespace(sender=sender, mid="0"), is_encrypted=True)
    track.encryptor.use(old)
    after = []

    async def encoded(_codec):
        payload = track.encrypt(CodecId.OPUS, b"x" * 9)
        while after:
            after.pop()()
        return SimpleNamespace(payloads=[payload])

    sender._next_encoded_frame = encoded
    track.attach()
    opus = SimpleNamespace(mimeType="audio/opus")

    async def sends() -> bool:
        return await sender._next_encoded_frame(opus) is not None

    assert await sends()
    after.append(lambda: track.encryptor.use(new, revoke=True))
    assert not await sends()
    assert await sends()
    after.append(lambda: setattr(track, "is_muted", True))
    assert not await sends()
    track.is_muted = False
    after.append(lambda: track.hold_back(True))
    assert not await sends()
    assert track.counts.frames == 2


def test_every_gate_is_open_unless_it_is_said() -> None:
    gate = outbound.Gate()
    assert (gate.is_idle(), gate.may_send()) == (False, True)
