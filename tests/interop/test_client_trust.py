"""A server that lies to the Python client: what it says, and what the client does."""

import asyncio

import pytest
from aiortc import RTCConfiguration, RTCRtpSender
from sealroute_client import EncryptionError, EncryptionSecretMissing
from sealroute_client.downlink import Downlink
from sealroute_client.e2ee.secret import derive
from sealroute_client.e2ee.signals import SignalContent, SignalEncryptor
from sealroute_client.errors import (
    DecryptionInternalError,
    EncryptionInternalError,
    UnexpectedServerResponse,
)
from sealroute_client.media.sources import open_test_pattern
from sealroute_client.peers import PeerConnections
from sealroute_client.relay import PeerLinks

from tests.small_server import ME, PEER, SECRET, Server, session_of, until

pytestmark = pytest.mark.interop

STRANGE = [(True, "relayed"), (1, "routed"), ("true", "routed"), (None, "routed"), (True, None)]


@pytest.fixture
async def server():
    running = Server()
    await running.start()
    yield running
    await running.stop()
    assert running.invalid == []


def errors_of(session) -> list[Exception]:
    seen: list[Exception] = []
    session.on("error", lambda event: seen.append(event.detail["error"]))
    return seen


@pytest.mark.parametrize(("e2ee", "mode"), [*STRANGE, (False, "routed"), (False, "relayed")])
async def test_a_session_with_a_secret_is_routed_and_encrypted_or_none(server, e2ee, mode) -> None:
    server.e2ee, server.media_mode = e2ee, mode
    session = session_of(server)
    with pytest.raises(EncryptionError) as caught:
        await session.connect()
    assert caught.value.number == 6001
    assert session.relay is None
    assert session.encryption is None
    assert [message["t"] for message in server.messages] == ["hello", "bye"]


async def test_without_a_secret_no_encrypted_session_is_joined_relayed_or_not(server) -> None:
    for mode in ("routed", "relayed"):
        server.media_mode = mode
        session = session_of(server, None)
        with pytest.raises(EncryptionError):
            await session.connect()
        assert session.relay is None


async def test_peer_connections_cannot_be_made_in_a_session_with_a_secret(server) -> None:
    session = session_of(server)
    await session.connect()
    try:
        with pytest.raises(EncryptionInternalError):
            PeerLinks(session, session._peers)
        wanted = {"subscriberId": "s", "streamId": "stream-me", "audio": True, "video": True}
        await session.publish(video=False)
        await server.send({"t": "peerSubscribed", **wanted})
        await server.send(
            {"t": "peerDescriptionReceived", "subscriberId": "s", "type": "offer", "sdp": "v=0"}
        )
        await session.signal("a round trip")
        assert server.received("peerDescription") == []
        assert len(session._peers._open) == 1
    finally:
        await session.disconnect()


@pytest.mark.parametrize(("e2ee", "mode"), [*STRANGE, (False, "routed")])
async def test_a_resume_that_contradicts_the_first_welcome_ends_the_session(
    server, e2ee, mode
) -> None:
    session = session_of(server)
    errors, reasons = errors_of(session), []
    session.on("disconnected", lambda event: reasons.append(event.detail["reason"]))
    await session.connect()
    publisher = await session.publish(video=False)
    await until(lambda: publisher.tracks[0].counts.frames > 5)
    server.e2ee, server.media_mode = e2ee, mode
    await server.socket.close()
    await asyncio.wait_for(session.wait_closed(), 10)
    assert reasons == ["trustRefused"]
    assert isinstance(errors[0], EncryptionError)
    sent = publisher.tracks[0].counts.frames
    await asyncio.sleep(0.2)  # real time: what must not be sent needs a while to be missed
    assert publisher.tracks[0].counts.frames == sent


@pytest.mark.parametrize("how", ["silent", "refused"])
async def test_a_server_that_takes_no_announcement_cannot_keep_the_old_secret(server, how) -> None:
    session = session_of(server)
    await session.connect()
    try:
        publisher = await session.publish()
        await until(lambda: all(track.counts.frames > 5 for track in publisher.tracks))
        getattr(server, how).update({"e2eeReady", "declareKids"})
        hint = (await derive("another secret for all", "session")).hint
        await session.set_encryption_secret("another secret for all", immediate=True)
        # Switched already when the promise resolves; nothing waited for an answer.
        assert [track.encryptor.kid & 0xFFFF for track in publisher.tracks] == [hint, hint]
        encrypted = await encrypted_signal(session, server)
        assert int.from_bytes(encrypted[7:9], "big") == hint
        third = (await derive("a third secret for all", "session")).hint
        await session.set_encryption_secret("a third secret for all")
        await until(lambda: publisher.tracks[0].encryptor.kid & 0xFFFF == third, 8)
        assert publisher.tracks[1].encryptor.kid & 0xFFFF == third
    finally:
        server.silent.clear()
        server.refused.clear()
        await session.disconnect()


async def encrypted_signal(session, server) -> bytes:
    await session.signal("x")
    return server.received("signal")[-1]["encrypted"]


async def test_a_stream_that_was_being_published_follows_the_secret(server) -> None:
    session = session_of(server)
    await session.connect()
    try:
        server.silent.add("publish")
        publishing = asyncio.create_task(session.publish())
        await until(lambda: server.received("publish"))
        await session.set_encryption_secret("another secret for all", immediate=True)
        server.silent.clear()
        await server.published(server.received("publish")[0])
        publisher = await publishing
        hint = (await derive("another secret for all", "session")).hint
        assert [track.encryptor.kid & 0xFFFF for track in publisher.tracks] == [hint, hint]
        # Nothing was left under the old one: its key ids never had a key.
        assert [track.old_kids for track in publisher.tracks] == [[], []]
        await until(lambda: len(server.received("declareKids")) == 2)
    finally:
        await session.disconnect()


async def test_keys_are_announced_and_declared_again_on_resume(server) -> None:
    session = session_of(server)
    await session.connect()
    try:
        publisher = await session.publish()
        await until(lambda: server.received("e2eeReady"))
        await server.socket.close()
        await until(lambda: len(server.received("e2eeReady")) == 2)
        await until(lambda: len(server.received("declareKids")) == 2)
        declared = [message["kids"] for message in server.received("declareKids")]
        assert declared == [track.declared_kids for track in publisher.tracks]
    finally:
        await session.disconnect()


async def test_clear_signals_that_claim_a_member_are_dropped(server) -> None:
    session = session_of(server)
    delivered: list[dict] = []
    session.on("signal", lambda event: delivered.append(event.detail))
    await session.connect()
    try:
        encryptor, secret = SignalEncryptor("peer"), await derive(SECRET, "session")
        other = encryptor.encrypt(secret, SignalContent("somebody else", "chat", "not for us"))
        for claim in (
            {"from": "peer", "data": "forged", "type": "chat"},
            {"from": "stranger", "data": "forged"},
            {"from": "me", "data": "forged"},
            {"from": "peer", "encrypted": other},
            {"data": "from the application"},
        ):
            await server.send({"t": "signalReceived", **claim})
        await until(lambda: delivered)
        assert [(s["connectionId"], s["data"]) for s in delivered] == [
            (None, "from the application")
        ]
    finally:
        await session.disconnect()


async def test_signals_do_not_play_again_when_their_sender_is_said_to_be_new(server) -> None:
    session = session_of(server)
    delivered: list[str] = []
    session.on("signal", lambda event: delivered.append(str(event.detail["data"])))
    await session.connect()
    try:
        encryptor, secret = SignalEncryptor("peer"), await derive(SECRET, "session")
        once = encryptor.encrypt(secret, SignalContent("", "chat", "once"))
        again = {"t": "connectionCreated", "connection": PEER}
        left = {"connectionId": "peer", "reason": "networkDisconnected"}
        gone = {"t": "connectionDestroyed", **left}
        for _ in range(2):
            await server.send({"t": "signalReceived", "from": "peer", "encrypted": once})
            await server.send(gone)
            await server.send(again)
        stranger = SignalEncryptor("peer").encrypt(
            secret, SignalContent("", "chat", "another peer")
        )
        await server.send({"t": "signalReceived", "from": "peer", "encrypted": stranger})
        last = encryptor.encrypt(secret, SignalContent("", "chat", "last"))
        await server.send({"t": "signalReceived", "from": "peer", "encrypted": last})
        await until(lambda: "last" in delivered)
        assert delivered == ["once", "last"]
    finally:
        await session.disconnect()


# --- m-lines -------------------------------------------------------------------------------


class Offerer:
    """The server's end of a downlink, with clear media of its own."""

    def __init__(self) -> None:
        self.peers = PeerConnections(RTCConfiguration(iceServers=[]))
        self.peer = self.peers.open()
        self.source = open_test_pattern(size=(320, 240))

    async def offer(self) -> str:
        for media in (self.source.audio, self.source.video):
            transceiver = self.peer.addTransceiver(media, direction="sendonly")
            name = "audio/opus" if media.kind == "audio" else "video/VP8"
            codecs = RTCRtpSender.getCapabilities(media.kind).codecs
            transceiver.setCodecPreferences([c for c in codecs if c.mimeType == name])
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    async def close(self) -> None:
        await self.peers.close()
        for media in (self.source.audio, self.source.video):
            media.stop()


async def test_two_m_lines_with_one_mid_are_refused() -> None:
    """Otherwise the second one's decoder would get its frames around the decryptor of the first."""
    offerer = Offerer()
    peers = PeerConnections(RTCConfiguration(iceServers=[]))
    try:
        offer = (await offerer.offer()).replace("a=mid:1", "a=mid:0")
        with pytest.raises(UnexpectedServerResponse):
            Downlink(peers).check(offer)
    finally:
        await peers.close()
        await offerer.close()


def row(mid: str, kind: str, **changed: str) -> dict:
    names = {"subscriberId": "subscriber", "streamId": "stream-peer"} | changed
    return {"mid": mid, "kind": kind, "codec": "opus" if kind == "audio" else "vp8", **names}


@pytest.mark.parametrize(
    "rows",
    [
        [row("0", "audio", streamId="stream-other")],
        [row("0", "video")],
        [row("7", "video")],
        [row("0", "audio"), row("0", "audio")],
    ],
    ids=["another stream's name", "another kind", "no such m-line", "twice"],
)
async def test_an_offer_that_names_its_m_lines_falsely_binds_none_of_these(server, rows) -> None:
    session, offerer = session_of(server), Offerer()
    errors = errors_of(session)
    await session.connect()
    try:
        server.silent.add("subscribe")
        subscribing = asyncio.create_task(session.subscribe("stream-peer"))
        await until(lambda: server.received("subscribe"))
        number = server.received("subscribe")[0]["id"]
        await server.send(
            {"t": "subscribed", "re": number, "subscriberId": "subscriber", "streamId": "x"}
        )
        subscriber = await subscribing
        server.answers[1] = asyncio.get_running_loop().create_future()
        offer = {"t": "downlinkOffer", "offerId": 1, "sdp": await offerer.offer()}
        await server.send({**offer, "tracks": rows})
        await until(lambda: errors)
        assert isinstance(errors[0], DecryptionInternalError)
        assert len(subscriber.tracks) == (1 if len(rows) == 2 else 0)
    finally:
        await session.disconnect()
        await offerer.close()


async def test_an_offer_that_cannot_be_used_is_reported_and_the_next_one_is_answered(
    server,
) -> None:
    session, offerer = session_of(server), Offerer()
    errors = errors_of(session)
    await session.connect()
    try:
        for sdp in ("", "v=0\r\nm=audio", "\x00"):
            await server.send({"t": "downlinkOffer", "offerId": 1, "sdp": sdp, "tracks": []})
        await server.send({"t": "downlinkOffer", "offerId": 1})
        await until(lambda: len(errors) == 3)  # two of them in the same words
        assert {error.code for error in errors} == {"unexpected_server_response"}
        server.answers[2] = asyncio.get_running_loop().create_future()
        good = {"t": "downlinkOffer", "offerId": 2, "sdp": await offerer.offer(), "tracks": []}
        await server.send(good)
        assert "m=audio" in await asyncio.wait_for(server.answers[2], 10)
    finally:
        await session.disconnect()
        await offerer.close()


async def test_what_an_m_line_decoded_for_one_stream_never_shows_as_another(server) -> None:
    """Frames of the stream before are still in the decoder when the m-line is given away."""
    session = session_of(server)
    await session.connect()
    try:
        subscriber = await session.subscribe("stream-peer")
        await asyncio.wait_for(subscriber.wait_for_tracks(), 10)
        reading = subscriber.video
        await asyncio.wait_for(anext(reading), 10)
        track = subscriber.tracks["video"]
        await until(lambda: track.media._queue.qsize() > 2)
        before = track.generation
        # The same m-line for a subscription of something else: here of the same stream.
        other = session.subscribing.subscribers["other"] = type(subscriber)(
            {"streamId": "stream-2"},
            session.encryption.openers("peer", "stream-2"),
            lambda *_: None,
            session.signaling.request,
        )
        subscriber.lose_track("video", track.tap)
        other.bind("video", "vp8", track.tap, track.media)
        assert other.tracks["video"].generation == before + 1
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(other.video), 1)
        await subscriber.close()
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(reading), 5)
    finally:
        await session.disconnect()


async def test_the_state_of_a_stream_is_encrypted_after_its_first_frame_and_not_before(
    server,
) -> None:
    session = session_of(server)
    reported: list[tuple[object, object]] = []
    session.on(
        "encryptionStateChanged",
        lambda event: reported.append((event.detail["streamId"], event.detail["state"])),
    )
    await session.connect()
    try:
        assert str(session.trust.state) == "keyed"
        secret = await derive(SECRET, "session")
        assert session.verification_code() == secret.verification_code()
        publisher = await session.publish(video=False)
        await until(lambda: ("stream-me", "encrypted") in reported)
        assert publisher.trust.state == "encrypted"
        subscriber = await session.subscribe("stream-peer")
        assert subscriber.trust.state == "pending"
        await until(lambda: ("stream-peer", "encrypted") in reported)
        assert subscriber.trust.state == "encrypted"
    finally:
        await session.disconnect()


async def test_a_verification_code_needs_a_secret(server) -> None:
    server.e2ee = False
    session = session_of(server, None)
    await session.connect()
    try:
        with pytest.raises(EncryptionSecretMissing):
            session.verification_code()
        assert server.hellos[0]["e2ee"] == {"formats": ["e2ee/2"], "signals": True}
        assert ME["connectionId"] == session.connection_id
    finally:
        await session.disconnect()
