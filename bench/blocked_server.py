"""`sealroute` with a Python loop that something holds for 5 ms in every 100: for measuring only."""

import asyncio
import time
from collections.abc import Callable

from config.settings import Settings
from signaling import server
from signaling.__main__ import main

_EVERY_S, _HELD_S = 0.1, 0.005

_run_server = server.run_server


async def _hold() -> None:
    """A loop without end on purpose: it ends with the server."""
    while True:
        await asyncio.sleep(_EVERY_S - _HELD_S)
        until_s = time.perf_counter() + _HELD_S
        while time.perf_counter() < until_s:
            pass


async def _run_held(settings: Settings, say: Callable[[str], None], *, as_json: bool) -> int:
    holding = asyncio.create_task(_hold())
    try:
        return await _run_server(settings, say, as_json=as_json)
    finally:
        holding.cancel()


if __name__ == "__main__":
    server.run_server = _run_held
    raise SystemExit(main())
