"""coturn takes the credentials that clients are given, and its shipped flags hold."""

import asyncio
import time

import pytest
from aioice import stun
from aioice.turn import TurnClientUdpProtocol

from config.secret import Secret
from config.settings import IceSettings
from signaling.ice_servers import ice_servers_of
from tests.turn_server import LOOPBACK_PEERS, SECRET, turn_server

pytestmark = pytest.mark.interop

DENIED = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "fe80::1",
    "fd00::1",
]
FORBIDDEN, WRONG_FAMILY, UNAUTHORIZED = 403, 443, 401


def given(port: int, *, secret: str = SECRET, age_s: int = 0):
    """What a client that joined `age_s` ago was told."""
    settings = IceSettings(
        turn_urls=f"turn:127.0.0.1:{port}", turn_secret=Secret(secret), turn_lifetime_s=60
    )
    (server,) = ice_servers_of(settings).for_client("c0ffee", int(time.time()) - age_s)
    return server


class Receiver(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, _addr: tuple[str, int]) -> None:
        self.received.put_nowait(data)


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data[::-1], addr)


async def allocation(port: int, server) -> TurnClientUdpProtocol:
    loop = asyncio.get_running_loop()
    address = ("127.0.0.1", port)
    _, client = await loop.create_datagram_endpoint(
        lambda: TurnClientUdpProtocol(
            address,
            username=server.username,
            password=server.credential,
            lifetime=60,
            channel_refresh_time=500,
        ),
        remote_addr=address,
    )
    try:
        await client.connect()
    except stun.TransactionError:
        client.transport.close()
        raise
    return client


async def test_data_passes_with_the_credentials_a_client_is_given(tmp_path) -> None:
    loop = asyncio.get_running_loop()
    echo, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    async with turn_server(tmp_path, *LOOPBACK_PEERS) as port:
        client = await allocation(port, given(port))
        client.receiver = Receiver()
        await client.send_data(b"media", echo.get_extra_info("sockname"))
        assert await asyncio.wait_for(client.receiver.received.get(), 5) == b"aidem"
        await client.delete()
    echo.close()


@pytest.mark.parametrize("what", [{"secret": "another"}, {"age_s": 120}])
async def test_a_wrong_secret_and_an_expired_name_get_nothing(tmp_path, what) -> None:
    async with turn_server(tmp_path) as port:
        with pytest.raises(stun.TransactionFailed) as refused:
            await allocation(port, given(port, **what))
        assert refused.value.response.error_code == UNAUTHORIZED


async def test_no_client_reaches_this_host_or_a_private_network(tmp_path) -> None:
    async with turn_server(tmp_path) as port:
        client = await allocation(port, given(port))
        for number, address in enumerate(DENIED):
            with pytest.raises(stun.TransactionFailed) as refused:
                await client.channel_bind(0x4000 + number, (address, 80))
            assert refused.value.response.error_code in (FORBIDDEN, WRONG_FAMILY), address
        # Not everything is refused.
        await client.channel_bind(0x5000, ("198.41.0.4", 53))
        await client.delete()
