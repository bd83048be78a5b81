"""`python -m bench.network.churn`: joins a room, subscribes, leaves; again and again.

Reads the room as JSON from its input, and prints a line when it is done.
"""

import asyncio
import json
import sys
from typing import Any

import aiohttp

from bench.client import LoadClient

AT_ONCE = 8


async def work(order: dict[str, Any]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(http: aiohttp.ClientSession, token: str) -> None:
        async with gate:
            client = LoadClient(http, bind_host=order["address"])
            try:
                await client.join(order["url"], order["apiKey"], order["sessionId"], token)
                await client.subscribe([order["streamId"]])
            finally:
                await client.leave()

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        token = order["token"]
        await asyncio.gather(*(one(http, token) for _ in range(int(order["times"]))))


def main() -> None:
    asyncio.run(work(json.loads(sys.stdin.readline())))
    print("{}", flush=True)


if __name__ == "__main__":
    main()
