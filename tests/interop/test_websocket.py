"""The WebSocket of signaling over a real socket: admitted and dropped clients."""

import asyncio
import socket
import time

import aiohttp
import msgpack
import pytest
from aiohttp import WSMsgType

from tests.websocket_site import E2EE, hello, websocket_site


@pytest.fixture
async def gate(request):
    async with websocket_site(**getattr(request, "param", {})) as made:
        yield made


async def test_a_client_is_welcomed_and_others_learn_of_it(gate):
    ada, bob = await gate.connect(), await gate.connect()
    welcome = await hello(ada)
    assert welcome["t"] == "welcome"
    assert welcome["session"]["e2ee"] is True
    second = await hello(bob)
    assert len(second["connections"]) == 2
    created = await ada.receive("connectionCreated")
    assert created["connection"]["connectionId"] == second["connection"]["connectionId"]


async def test_compression_is_not_agreed_on_and_a_compressed_frame_ends_the_websocket(gate):
    client = await gate.connect(compress=15)
    assert (await hello(client))["t"] == "welcome"
    assert not client.ws.compress
    # One compressed binary message, empty and masked (RFC 7692 section 6).
    client.ws._conn.transport.write(b"\xc2\x80\x00\x00\x00\x00")
    assert await client.closed() == aiohttp.WSCloseCode.PROTOCOL_ERROR


async def test_the_json_twin_speaks_the_same_protocol(gate):
    client = await gate.connect("sealroute.v2.json")
    await client.ws.send_json(
        {
            "t": "hello",
            "id": 1,
            "apiKey": "123",
            "sessionId": "2_encrypted",
            "token": "publisher",
            "sdk": {"name": "test", "version": "1"},
            "e2ee": E2EE,
        }
    )
    assert (await client.ws.receive_json(timeout=5))["t"] == "welcome"


@pytest.mark.parametrize(
    ("members", "code", "close_code"),
    [
        ({"token": "forged"}, "authentication_failed", 4403),
        ({"e2ee": None}, "e2ee_unsupported", None),
        ({"e2ee": {"formats": ["other/9"]}}, "e2ee_unsupported", None),
    ],
)
async def test_a_refused_client_gets_the_reason_and_is_closed(gate, members, code, close_code):
    client = await gate.connect()
    token = members.pop("token", "publisher")
    answer = await hello(client, token, **members)
    assert (answer["t"], answer["code"], answer["re"]) == ("error", code, 1)
    closed = await client.closed()
    assert closed >= 4000
    assert close_code is None or closed == close_code


async def test_a_client_without_a_known_subprotocol_is_not_upgraded(gate):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gate.connect("chat")
    assert refused.value.status == 400


@pytest.mark.parametrize("encoding", ["msgpack", "json"])
async def test_a_client_of_protocol_version_1_learns_which_version_the_server_speaks(
    gate, encoding
):
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": f"sealroute.v1.{encoding}",
    }
    async with aiohttp.ClientSession() as http, http.get(gate.url, headers=upgrade) as answer:
        refusal = await answer.json()
    assert (answer.status, refusal["error"]) == (400, "upgrade_invalid")
    assert f"sealroute.v2.{encoding}" in refusal["message"]


async def test_a_foreign_origin_is_not_upgraded(gate):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gate.connect(origin="https://evil.example")
    assert refused.value.status == 403
    await gate.connect(origin="https://good.example")


async def test_a_client_that_says_nothing_is_closed(gate):
    client = await gate.connect()
    assert (await client.receive())["code"] == "invalid_message"
    assert await client.closed() == 4400


async def test_a_message_that_is_not_valid_is_answered_by_its_number(gate):
    client = await gate.connect()
    await hello(client)
    await client.ws.send_bytes(msgpack.packb({"t": "unsubscribe", "id": 77, "subscriberId": -1}))
    answer = await client.receive("error")
    assert (answer["re"], answer["code"]) == (77, "invalid_message")
    await client.ws.send_bytes(msgpack.packb({"t": "unsubscribe", "id": "77"}))
    assert "re" not in await client.receive("error")


async def test_a_message_with_a_secret_is_refused_without_being_repeated(gate):
    client = await gate.connect()
    await hello(client)
    await client.send("signal", data="x", encryptionSecret="correct horse")
    answer = await client.receive("error")
    assert answer["code"] == "secret_refused"
    assert "horse" not in str(answer)


async def test_a_client_that_does_not_speak_the_protocol_is_closed_after_some_tries(gate):
    client = await gate.connect()
    await hello(client)
    for _ in range(30):
        await client.ws.send_bytes(b"\xc1")
    assert await client.closed() == 4400


async def test_a_message_above_the_limit_closes_the_socket(gate):
    client = await gate.connect()
    await hello(client)
    await client.ws.send_bytes(b"\x00" * 300_000)
    assert await client.closed() == 1009


async def test_a_silent_client_is_taken_for_lost_and_a_pinging_one_is_not(gate):
    silent, alive = await gate.connect(), await gate.connect()
    gone = await hello(silent)
    await hello(alive)
    async with asyncio.timeout(20):  # keep-alive runs on the wall clock
        message = {"t": None}
        while message["t"] != "connectionDestroyed":
            await alive.send("ping")
            message = await alive.receive()
            await asyncio.sleep(0.05)
    assert message["connectionId"] == gone["connection"]["connectionId"]
    await alive.send("ping")
    assert (await alive.receive("pong"))["t"] == "pong"


async def test_a_client_too_busy_to_ping_stays_while_its_websocket_answers(gate):
    """As a browser's does for a page that stands still."""
    busy, watching = await gate.connect(), await gate.connect()
    await hello(busy)
    await hello(watching)

    async def answer_pings() -> None:
        while not busy.ws.closed:
            await busy.ws.receive()

    answering = asyncio.create_task(answer_pings())
    seen = []
    for _ in range(16):
        await watching.send("ping")
        seen.append((await watching.receive())["t"])
        await asyncio.sleep(0.25)  # keep-alive runs on the wall clock
    answering.cancel()
    assert "connectionDestroyed" not in seen


async def test_a_server_that_stood_still_does_not_take_its_clients_for_silent(gate):
    """Server and client share the loop: what was sent meanwhile waits with the late timer."""
    client = await gate.connect()
    await hello(client)
    await client.send("ping")
    assert (await client.receive())["t"] == "pong"
    await client.send("ping")
    time.sleep(2)  # noqa: ASYNC251
    assert (await client.receive())["t"] == "pong"


def masked(payload):
    """A client's binary frame (RFC 6455 section 5.2) under the mask zero."""
    return b"\x82\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload


async def never_reading(url):
    """A client that joins and then never reads from its socket."""
    host, port = url.split("/")[2].split(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
    _, writer = await asyncio.open_connection(sock=raw, limit=1_024)
    writer.write(
        b"GET /v1/signal HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Protocol: sealroute.v2.msgpack\r\n\r\n"
    )
    first = {"t": "hello", "id": 1, "apiKey": "123", "sessionId": "2_encrypted"}
    first |= {"token": "publisher", "sdk": {"name": "test", "version": "1"}, "e2ee": E2EE}
    writer.write(masked(msgpack.packb(first)))
    writer.transport.pause_reading()
    return writer


@pytest.mark.parametrize("gate", [{"keep_alive_ms": 10_000}], indirect=True)
async def test_a_client_that_does_not_read_is_dropped_and_others_go_on(gate):
    fast = await gate.connect()
    await hello(fast)
    slow = await never_reading(gate.url)
    gone = await fast.receive("connectionCreated")
    destroyed = None
    for _ in range(3_000):
        await fast.send("signal", type="chat", encrypted=b"x" * 8_000)
        message = await fast.receive()
        while message["t"] not in ("ok", "connectionDestroyed"):
            message = await fast.receive()
        if message["t"] == "connectionDestroyed":
            destroyed = message
            break
    if destroyed is None:
        destroyed = await fast.receive("connectionDestroyed")
    slow.close()
    assert destroyed["connectionId"] == gone["connection"]["connectionId"]
    assert destroyed["reason"] == "networkDisconnected"


async def test_leaving_is_reported_at_once_and_closes_politely(gate):
    ada, bob = await gate.connect(), await gate.connect()
    await hello(ada)
    await hello(bob)
    await ada.send("bye")
    assert (await ada.receive("disconnected"))["reason"] == "clientDisconnected"
    assert await ada.closed() == 1000
    assert (await bob.receive("connectionDestroyed"))["reason"] == "clientDisconnected"


async def test_a_server_that_goes_down_says_so(gate):
    ada = await gate.connect()
    await hello(ada)
    await gate.directory.close()
    assert (await ada.receive("disconnected"))["reason"] == "serverShutdown"
    assert await ada.closed() == 1012


# --- floods ---------------------------------------------------------------------------------------


def packed(t, **members):
    return msgpack.packb({"t": t, **members})


def counted(gate, name, **labels):
    return gate.metrics.registry.get_sample_value(f"sealroute_websocket_{name}_total", labels)


async def test_a_first_message_above_its_limit_is_refused_undecoded(gate):
    client = await gate.connect()
    answer = await hello(client, token="x" * 17_000)
    assert answer["code"] == "message_too_large"
    assert await client.closed() == 1009


async def test_a_stranger_may_not_even_send_more(gate):
    client = await gate.connect()
    await client.ws.send_bytes(b"\x00" * 200_000)
    assert await client.closed() == 1009
    samples = gate.metrics.registry.get_sample_value
    async with asyncio.timeout(5):
        # The server learns of the end a moment later.
        while not samples("sealroute_joins_total", {"result": "message_too_large"}):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_member_may_send_longer_messages_than_a_stranger(gate):
    client = await gate.connect()
    await hello(client)
    await client.send("publish", tracks=[{"mid": "0", "kind": "audio"}], offer="x" * 100_000)
    assert (await client.receive("error"))["code"] != "message_too_large"


@pytest.mark.parametrize("gate", [{"message_burst": 20, "messages_per_s": 1.0}], indirect=True)
@pytest.mark.parametrize(
    "frame", ["ping message", "ping of the websocket", "invalid", "signal of 8 KB"]
)
async def test_a_client_that_goes_on_flooding_is_closed_and_gone(gate, frame):
    flooder, other = await gate.connect(), await gate.connect()
    gone = await hello(flooder)
    await hello(other)
    for number in range(400):
        if frame == "ping message":
            await flooder.ws.send_bytes(packed("ping", id=number))
        elif frame == "signal of 8 KB":
            await flooder.ws.send_bytes(packed("signal", id=number, encrypted=b"x" * 8_000))
        elif frame == "invalid":
            await flooder.ws.send_bytes(b"\xc1")
        else:
            await flooder.ws.ping(b"x")
    closed = await flooder.closed()
    if frame == "invalid":
        assert closed == 4400  # it does not speak the protocol at all
        return
    assert closed == 4430
    destroyed = await other.receive("connectionDestroyed")
    assert destroyed["connectionId"] == gone["connection"]["connectionId"]
    assert counted(gate, "dropped", reason="message_flood") == 1
    assert counted(gate, "messages_refused", reason="undecoded") > 0


async def test_a_flood_of_one_client_does_not_keep_others_waiting(gate):
    flooder, other = await gate.connect(), await gate.connect()
    await hello(flooder)
    await hello(other)
    # All of it is in the server's hands at once.
    for number in range(3_000):
        await flooder.ws.send_bytes(packed("ping", id=number))
    await other.send("ping")
    await other.receive("pong")
    answered = sum(1 for _ in flooder.ws._reader._buffer)
    assert answered < 2_900


async def test_a_ping_of_the_websocket_is_answered(gate):
    client = await gate.connect(autoping=False)
    await client.ws.ping(b"early")
    assert (await hello_control(client)).data == b"early"
    await hello(client)
    await client.ws.ping(b"late")
    assert (await hello_control(client)).data == b"late"


async def hello_control(client):
    frame = await client.ws.receive(timeout=5)
    assert frame.type is WSMsgType.PONG
    return frame


@pytest.mark.parametrize("gate", [{"send_queues_total_bytes": 1_048_576}], indirect=True)
async def test_what_waits_for_nobody_any_more_is_not_counted(gate):
    fast = await gate.connect()
    await hello(fast)
    slow = await never_reading(gate.url)
    await fast.receive("connectionCreated")
    while not counted(gate, "dropped", reason="slow_reader"):
        await fast.send("signal", encrypted=b"x" * 8_000)
        await fast.receive("ok")
    assert gate.gate._queues.total == 0
    slow.close()
