"""A Session and the command line against a small server: signaling by the message table, media
by the client's own two ends joined crosswise."""

import asyncio
import re
import time
from unittest import mock

import pytest
from sealroute_client import (
    ConnectFailed,
    EncryptionError,
    EncryptionSecretMissing,
    InvalidEncryptionSecret,
    InvalidParameter,
    ServerError,
    UnexpectedServerResponse,
    encryption,
    server_messages,
)
from sealroute_client.e2ee.secret import derive
from sealroute_client.e2ee.signals import SignalContent, SignalEncryptor
from sealroute_client.endings import FINAL
from sealroute_client.events import Ended, SessionReconnecting
from sealroute_client.rules import PASSING

from signaling.domain.errors import ERRORS, Unavailable
from signaling.spec.protocol_pages import pages
from tests.small_server import SECRET, Server, session_of, short_film, until

pytestmark = pytest.mark.interop


@pytest.fixture
async def server():
    running = Server()
    await running.start()
    yield running
    await running.stop()
    assert running.invalid == []


async def test_an_encrypted_session_is_not_joined_without_a_secret(server) -> None:
    with pytest.raises(EncryptionSecretMissing) as caught:
        await session_of(server, None).connect()
    assert caught.value.number == 6000
    assert [message["t"] for message in server.messages] == ["hello", "bye"]


async def test_of_a_loop_that_stood_still_the_client_does_not_conclude_that_it_is_alone(
    server,
) -> None:
    """Client and server share the loop: while it stands still, the answer waits with the timer."""
    server.keep_alive_ms = 200
    answer = server.answer

    async def answer_late(message: dict) -> None:
        if message["t"] == "ping":
            time.sleep(0.5)  # noqa: ASYNC251
        await answer(message)

    server.answer = answer_late
    session = session_of(server)
    reconnecting: list[SessionReconnecting] = []
    session.on(SessionReconnecting, reconnecting.append)
    await session.connect()
    await until(lambda: len(server.received("ping")) >= 3)
    await session.disconnect()
    assert reconnecting == []
    assert len(server.hellos) == 1


async def test_an_invalid_secret_fails_before_any_network_use(server) -> None:
    with pytest.raises(InvalidEncryptionSecret):
        await session_of(server, "short").connect()
    assert server.messages == []


async def test_a_server_that_denies_the_encryption_is_not_joined(server) -> None:
    server.e2ee = False
    with pytest.raises(EncryptionError):
        await session_of(server).connect()
    assert server.received("publish") == []


async def test_a_refusal_carries_the_code_of_the_server(server) -> None:
    server.refuse = True
    with pytest.raises(ServerError) as caught:
        await session_of(server).connect()
    assert (caught.value.code, caught.value.number) == ("token_invalid", 1004)


async def test_a_session_publishes_with_declared_keys_and_receives_frames(server) -> None:
    session = session_of(server)
    created: list[str] = []
    session.on("streamCreated", lambda event: created.append(event.detail["stream"]["streamId"]))
    await session.connect()
    try:
        assert created == ["stream-peer"]
        publisher = await session.publish(video_codec="h264", name="pattern")
        offered = server.received("publish")[0]
        kids = [kid for track in offered["tracks"] for kid in track["kids"]]
        assert offered["e2eeFormat"] == "e2ee/2"
        assert kids == [kid for track in publisher.tracks for kid in track.declared_kids]
        assert len(set(kids)) == 2
        subscriber = await session.subscribe("stream-peer")
        images = []
        async with asyncio.timeout(12):
            async for image in subscriber.video:
                images.append(image)
                if len(images) == 10:
                    break
        await until(lambda: all(track.counts.frames > 20 for track in publisher.tracks))
        stats = await session.stats()
        assert stats["decrypted"] > 10
        assert stats["failed"] == 0
    finally:
        await session.disconnect()
    assert server.received("bye") != []


async def test_a_change_of_secret_declares_announces_and_switches_when_all_are_ready(
    server, monkeypatch
) -> None:
    monkeypatch.setattr(encryption, "OLD_KIDS_S", 1.0)
    session = session_of(server)
    await session.connect()
    try:
        publisher = await session.publish()
        before = [track.encryptor.kid for track in publisher.tracks]
        await session.set_encryption_secret("another secret for all")
        await until(lambda: len(server.received("declareKids")) == 2)
        await until(lambda: len(server.received("e2eeReady")) == 2)
        hint = server.received("e2eeReady")[-1]["hint"]
        assert [len(m["kids"]) for m in server.received("declareKids")] == [2, 2]
        assert [track.encryptor.kid for track in publisher.tracks] == before
        await server.send({"t": "hintAnnounced", "connectionId": "peer", "hint": hint})
        await until(lambda: len(server.received("declareKids")) == 4, 3.0)
        after = [track.encryptor.kid for track in publisher.tracks]
        assert [kid & 0xFFFF for kid in after] == [hint, hint]
        # Packets under the old key are on the way: it stays declared for a while, then ends.
        declared = [m["kids"] for m in server.received("declareKids")]
        both = [
            [kid.to_bytes(8, "big") for kid in pair] for pair in zip(before, after, strict=True)
        ]
        assert declared[2:4] == both
        await until(lambda: len(server.received("declareKids")) == 6, 3.0)
        declared = [m["kids"] for m in server.received("declareKids")]
        assert declared[4:] == [[new] for _, new in both]
    finally:
        await session.disconnect()


async def test_a_lost_socket_is_resumed_while_the_media_goes_on(server) -> None:
    session = session_of(server)
    events: list[str] = []
    session.on("*", lambda event: events.append(event.name))
    await session.connect()
    try:
        publisher = await session.publish(video=False)
        await until(lambda: publisher.tracks[0].counts.frames > 10)
        before = len(server.messages) - 1
        await server.socket.close()
        await until(lambda: "sessionReconnected" in events)
        assert server.hellos[1]["resume"] == "resume-1"
        # What it has of the socket that was lost: the server sends the rest again.
        assert server.hellos[1]["received"] == before
        sent = publisher.tracks[0].counts.frames
        await until(lambda: publisher.tracks[0].counts.frames > sent + 10)
        assert "disconnected" not in events
        await publisher.publish_audio(False)
        assert server.received("updateStream")[-1]["hasAudio"] is False
    finally:
        await session.disconnect()
    assert events[-1] == "disconnected"


async def test_signals_are_encrypted_and_open_only_from_members(server) -> None:
    session = session_of(server)
    seen: list[dict] = []
    session.on("signal", lambda event: seen.append(event.detail))
    await session.connect()
    try:
        await session.signal("hello", type="chat")
        sent = server.received("signal")[0]
        assert "data" not in sent
        assert b"hello" not in sent["encrypted"]
        encrypted = SignalEncryptor("peer").encrypt(
            await derive(SECRET, "session"), SignalContent("", "chat", "hi")
        )
        for sender in ("stranger", "peer", "peer"):
            await server.send({"t": "signalReceived", "from": sender, "encrypted": encrypted})
        await server.send({"t": "signalReceived", "data": "from the server"})
        await until(lambda: len(seen) == 2)
        assert [(s["connectionId"], s["data"], s["encrypted"]) for s in seen] == [
            ("peer", "hi", True),
            (None, "from the server", False),
        ]
    finally:
        await session.disconnect()


async def test_an_end_by_the_server_is_reported_with_its_reason(server) -> None:
    session = session_of(server)
    reasons: list[object] = []
    session.on("disconnected", lambda event: reasons.append(event.detail["reason"]))
    await session.connect()
    await server.send({"t": "disconnected", "reason": "forceDisconnected"})
    await asyncio.wait_for(session.wait_closed(), 5)
    assert reasons == ["forceDisconnected"]


ENDS = {
    1009: ["message_too_large"],
    4400: ["invalid_message"],
    4403: [],
    4430: ["message_flood"],
}
"""Close codes of who must not come back, and the errors that are told."""


@pytest.mark.parametrize("code", ENDS)
async def test_a_client_that_must_not_come_back_ends_with_the_reason(server, code) -> None:
    session = session_of(server)
    codes: list[str] = []
    session.on("error", lambda event: codes.append(event.error.code))
    reasons: list[str] = []
    session.on("disconnected", lambda event: reasons.append(event.reason))
    await session.connect()
    await server.socket.close(code=code)
    await asyncio.wait_for(session.wait_closed(), 5)
    assert codes == ENDS[code]
    assert reasons == ["forceDisconnected"]
    assert len(server.hellos) == 1


COMES_BACK = {1000, 1001, 1006, 1011, 1012, 4408, 4429, 4503}


@pytest.mark.parametrize("code", sorted(COMES_BACK - {1006}))
async def test_after_any_other_end_of_its_websocket_a_client_comes_back(server, code) -> None:
    session = session_of(server)
    reported: list[str] = []
    session.on("*", lambda event: reported.append(event.name))
    await session.connect()
    await server.socket.close(code=code)
    await until(lambda: "sessionReconnected" in reported)
    await session.disconnect()
    assert len(server.hellos) == 2


def test_each_close_code_of_the_protocol_is_an_end_or_a_way_back() -> None:
    """docs/protocol lists them; those of a refused greeting come before there is a session."""
    text = "".join(pages().values())
    listed = {int(code) for code in re.findall(r"^\| (\d{4}) \|", text, re.MULTILINE)}
    assert listed <= ENDS.keys() | COMES_BACK
    assert ENDS.keys() == FINAL.keys()


def test_what_the_server_refuses_for_a_while_is_asked_again() -> None:
    passing = {code.value for code, row in ERRORS.items() if row.kind is Unavailable}
    assert passing - {"feature_unavailable"} | {"rate_limited"} == PASSING


async def test_a_server_that_goes_down_as_planned_finds_its_clients_again(server) -> None:
    session = session_of(server)
    reported: list[str] = []
    session.on("*", lambda event: reported.append(event.name))
    await session.connect()
    await server.send({"t": "disconnected", "reason": "serverShutdown"})
    await until(lambda: "sessionReconnected" in reported)
    await session.disconnect()
    assert reported.index("sessionReconnecting") < reported.index("sessionReconnected")
    assert len(server.hellos) == 2


async def test_a_farewell_without_a_reason_is_reported_and_is_none(server) -> None:
    session = session_of(server)
    codes: list[str] = []
    session.on("error", lambda event: codes.append(event.error.code))
    await session.connect()
    await server.send({"t": "disconnected"})
    await until(lambda: codes == ["unexpected_server_response"])
    assert session.connection_id
    await session.disconnect()


async def test_a_welcome_into_another_session_is_refused(server) -> None:
    server.session_id = "another"
    with pytest.raises(EncryptionError, match="another session"):
        await session_of(server).connect()
    assert server.received("publish") == []


async def test_a_welcome_that_answers_another_request_is_none(server) -> None:
    server.answers_to = 7
    with pytest.raises(ConnectFailed):
        await session_of(server).connect()


async def test_a_message_that_makes_no_sense_is_reported_once_and_the_session_goes_on(
    server,
) -> None:
    session = session_of(server)
    codes: list[str] = []
    session.on("error", lambda event: codes.append(event.error.code))
    await session.connect()

    def fail(_message: object) -> None:
        raise KeyError

    with mock.patch.dict(
        server_messages.HANDLERS, activeSpeaker=lambda _self, message: fail(message)
    ):
        for _ in range(3):
            await server.send({"t": "activeSpeaker", "streamId": "stream-peer"})
        await session.signaling.request("forceMuteAll", active=True)
    assert codes == ["unexpected_server_response"]
    await session.disconnect()


@pytest.mark.parametrize("taken", ["stream-me", "stream-peer"])
async def test_a_stream_that_is_named_as_another_one_is_not_published(server, taken) -> None:
    session = session_of(server)
    await session.connect()
    first = await session.publish(video=False)
    server.stream_id = taken
    with pytest.raises(UnexpectedServerResponse, match="one id"):
        await session.publish(video=False)
    assert session.publishers == {"stream-me": first}
    await session.unpublish(first)
    server.stream_id = "stream-me"
    with pytest.raises(UnexpectedServerResponse, match="one id"):
        await session.publish(video=False)
    await session.disconnect()


async def test_a_request_that_the_server_would_not_take_is_refused_here(server) -> None:
    """For it the server would end the connection."""
    session = session_of(server)
    await session.connect()
    with pytest.raises(InvalidParameter, match="too large"):
        await session.signaling.request("signal", data="x" * 262_144)
    assert server.received("signal") == []
    assert await session.signaling.request("signal", type="x", encrypted=b"x")
    await session.disconnect()


async def test_the_end_of_a_file_is_an_event_of_the_publisher_and_of_the_session(
    server, tmp_path
) -> None:
    ended = []
    async with session_of(server) as session:
        session.on("ended", lambda event: ended.append(("session", event.stream_id)))
        publisher = await session.publish(media=short_film(tmp_path))
        publisher.on(Ended, lambda event: ended.append(("publisher", event.stream_id)))
        await until(lambda: len(ended) == 2)
        assert set(ended) == {(by, publisher.stream_id) for by in ("session", "publisher")}
        assert publisher.stream_id in session.publishers
        assert server.received("unpublish") == []
        await session.unpublish(publisher)
        assert server.received("unpublish")
