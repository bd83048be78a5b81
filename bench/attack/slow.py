"""`python -m bench.attack.slow URL CLIENTS SECONDS`: clients that say one byte each second.

Most never finish the head of their request; the others open the WebSocket and never finish their
first message. A client that is dropped reconnects at once. Prints how long they
lasted, as JSON.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections import deque
from urllib.parse import urlsplit

from bench.measure import quantile

_HEAD = b"GET /v1/signal HTTP/1.1\r\nHost: a\r\n"
_UPGRADE = _HEAD + (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Protocol: sealroute.v2.msgpack\r\n\r\n"
)
_FRAME = b"\x82\xfe\x10\x00\x00\x00\x00\x00"
"""Of a binary message of 4,096 bytes (RFC 6455 section 5.2)."""
_UPGRADED_SHARE = 5
"""One client in so many."""
_NETWORK = "127.0.{}.1"
"""They have many networks, and the honest are of another one."""
_STARTED_PER_S = 1_000
_BYTE_EVERY_S = 1.0


class Slow(asyncio.Protocol):
    """One client."""

    def __init__(self, herd: "Herd", *, upgrades: bool) -> None:
        self._herd = herd
        self._upgrades = upgrades
        self._opened_s = 0.0
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.WriteTransport):
            raise TypeError("no transport to write to")
        self.transport = transport
        self._opened_s = time.monotonic()
        transport.write(_UPGRADE + _FRAME if self._upgrades else _HEAD + b"X-Slow: ")
        self._herd.open.append(self)

    def say(self) -> bool:
        """False: it was dropped."""
        if self.transport is None or self.transport.is_closing():
            return False
        self.transport.write(b"a")
        return True

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        self.transport = None
        self._herd.dropped(time.monotonic() - self._opened_s)


class Herd:
    """All of them."""

    def __init__(self, host: str, port: int, size: int) -> None:
        self._host, self._port, self._size = host, port, size
        self._missing = size
        self.made = 0
        self.open: deque[Slow] = deque()
        self.borne_s: list[float] = []
        self.most = 0
        self.refused = 0

    def dropped(self, after_s: float) -> None:
        self.borne_s.append(after_s)
        self._missing += 1

    async def _start_some(self, most: int) -> None:
        count = min(self._missing, most)
        self._missing -= count
        await asyncio.gather(*(self._start() for _ in range(count)))

    async def _start(self) -> None:
        self.made += 1
        upgrades = self.made % _UPGRADED_SHARE == 0
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(
                lambda: Slow(self, upgrades=upgrades),
                self._host,
                self._port,
                local_addr=(_NETWORK.format(self.made % 250 + 1), 0),
            )
        except OSError:
            self.refused += 1
            self._missing += 1

    async def run(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        ticks_per_s = 20
        while time.monotonic() < end_s:
            due = len(self.open) // int(_BYTE_EVERY_S * ticks_per_s) + 1
            for _ in range(min(due, len(self.open))):
                client = self.open.popleft()
                if client.say():
                    self.open.append(client)
            await self._start_some(_STARTED_PER_S // ticks_per_s)
            self.most = max(self.most, self._size - self._missing)
            await asyncio.sleep(1 / ticks_per_s)


async def work(url: str, size: int, seconds: float) -> dict[str, float]:
    place = urlsplit(url)
    herd = Herd(place.hostname or "127.0.0.1", place.port or 80, size)
    await herd.run(seconds)
    return {
        "made": herd.made,
        "most_open": herd.most,
        "dropped": len(herd.borne_s),
        "refused": herd.refused,
        "borne_p50_s": quantile(herd.borne_s, 0.5),
        "borne_most_s": max(herd.borne_s, default=0.0),
    }


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Attackers have machines of their own.
    os.nice(5)
    url, size, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(work(url, int(size), float(seconds)))), flush=True)


if __name__ == "__main__":
    main()
