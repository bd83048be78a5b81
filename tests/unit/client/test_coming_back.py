"""How long a client comes back to a server that lets it in and ends it at once. On virtual time."""

import asyncio
from typing import Any

import pytest
from sealroute_client.credentials import Credentials
from sealroute_client.rules import MAX_RETRY_S, RECONNECT_FOR_S, STAYED_UP_S
from sealroute_client.signaling import Signaling

from tests.unit.client import virtual

GOODBYE = {"t": "disconnected", "reason": "serverShutdown"}


class Socket:
    """Its server never closes it."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        self.closed = True


class Client(Signaling):
    """Each WebSocket ends after `lasts_s`."""

    def __init__(self, lasts_s: float) -> None:
        super().__init__(Credentials("http://server", "key", "session", "token"), {})
        self.lasts_s, self.opened_s, self.ends = lasts_s, [], []
        self.sockets: list[Socket] = []
        self.on_closed = self.ends.append

    async def _open(self) -> dict[str, Any]:
        now_s = asyncio.get_running_loop().time()
        self._up_since_s = now_s
        self.opened_s.append(now_s)
        self.sockets.append(Socket())
        self._socket = self.sockets[-1]  # type: ignore[assignment]
        return {}

    async def _read(self) -> None:
        await asyncio.sleep(self.lasts_s)
        self._dispatch(GOODBYE)


@pytest.fixture
def loop():
    made = virtual.VirtualLoop()
    yield made
    made.close()


async def come_back(client: Client, for_s: float) -> None:
    await client._open()
    client.start_reading()
    await asyncio.sleep(for_s)
    client._task.cancel()
    await asyncio.gather(client._task, return_exceptions=True)


def test_a_server_that_says_goodbye_in_a_loop_is_given_up(loop) -> None:
    client = Client(0.0)
    loop.run_until_complete(come_back(client, 10 * RECONNECT_FOR_S))
    assert client.ends == ["networkDisconnected"]
    assert client.refusal.code == "connect_failed"
    assert client.opened_s[-1] <= RECONNECT_FOR_S + MAX_RETRY_S
    gaps_s = [b - a for a, b in zip(client.opened_s[5:], client.opened_s[6:], strict=False)]
    assert min(gaps_s) >= MAX_RETRY_S / 2
    assert all(socket.closed for socket in client.sockets)


def test_a_server_that_is_of_use_in_between_is_not(loop) -> None:
    client = Client(STAYED_UP_S)
    loop.run_until_complete(come_back(client, 10 * RECONNECT_FOR_S))
    assert client.ends in ([], ["networkDisconnected"])
    assert client.refusal is None
    assert client.opened_s[-1] > 9 * RECONNECT_FOR_S
