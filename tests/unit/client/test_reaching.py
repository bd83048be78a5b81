"""Why a server is not reached: each cause has its word, whatever of it aiohttp raises."""

import asyncio
import errno
import ssl

import aiohttp
import pytest
from sealroute_client import ConnectFailed
from sealroute_client.credentials import Credentials
from sealroute_client.reaching import unreached
from sealroute_client.signaling import Signaling

from bench.ports import free_port

KEY = aiohttp.client_reqrep.ConnectionKey("host", 443, True, True, None, None, None)


async def refusal(url: str) -> ConnectFailed:
    signaling = Signaling(Credentials(url, "key", "session", "token"), {})
    with pytest.raises(ConnectFailed) as failed:
        await signaling.connect()
    assert failed.value.code == "connect_failed"
    return failed.value


async def test_a_port_where_nothing_listens_is_refused() -> None:
    failed = await refusal(f"http://127.0.0.1:{free_port()}")
    assert (failed.reason, str(failed)) == ("refused", "Nothing listens at the server's address")


async def test_a_web_server_without_the_websocket_reports_its_status_and_speaks_no_tls() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        failed = await refusal(f"http://127.0.0.1:{port}")
        assert (failed.reason, str(failed)) == ("status", "The server answered 404")
        assert (await refusal(f"https://127.0.0.1:{port}")).reason == "tls"


async def test_a_server_that_names_another_address_is_not_followed() -> None:
    asked = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(elsewhere, "127.0.0.1", 0) as inner:
        port = inner.sockets[0].getsockname()[1]

        async def move(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            to = f"Location: http://127.0.0.1:{port}/admin"
            writer.write(f"HTTP/1.1 302 Found\r\n{to}\r\nContent-Length: 0\r\n\r\n".encode())
            writer.close()

        async with await asyncio.start_server(move, "127.0.0.1", 0) as server:
            failed = await refusal(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert failed.reason == "moved"
    assert asked == []


def unverified() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (TimeoutError(), "timeout", "in time"),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "x")), "name", "host name"),
        (aiohttp.ClientConnectorCertificateError(KEY, unverified()), "certificate", "self-signed"),
        (
            aiohttp.ClientConnectorError(KEY, OSError(errno.EHOSTUNREACH, "x")),
            "unreachable",
            "route",
        ),
        (aiohttp.ServerDisconnectedError(), "unreachable", "cannot be reached"),
        (OSError(), "unreachable", "cannot be reached"),
    ],
)
def test_each_cause_has_its_reason(error: Exception, reason: str, words: str) -> None:
    failed = unreached(error)
    assert failed.reason == reason
    assert words in str(failed)
