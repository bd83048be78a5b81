"""Plays many rows at once, for they mostly wait."""

import asyncio
import traceback
from collections.abc import Iterable

from tests.hostile.call import Call, Driver
from tests.hostile.lies import Row
from tests.hostile.server import HostileServer

ROW_LIMIT_S = 45.0


async def play(row: Row, server: HostileServer, driver: Driver) -> list[str]:
    """The faults of one row."""
    call = Call(server, driver, row.lie())
    try:
        async with asyncio.timeout(ROW_LIMIT_S):
            return await row.play(call)
    except AssertionError as missing:
        return [*call.faults(), f"{missing}; told: {[c.told for c in call.clients]}"]
    except Exception:  # noqa: BLE001 - one row's fault must not hide those of others
        return [traceback.format_exc()]
    finally:
        await call.close()


async def play_all(rows: Iterable[Row], driver: Driver, at_once: int) -> dict[str, list[str]]:
    """Name of the row → its faults."""
    gate = asyncio.Semaphore(at_once)

    async def one(row: Row, server: HostileServer) -> tuple[str, list[str]]:
        async with gate:
            return row.name, await play(row, server, driver)

    async with HostileServer() as server:
        return dict(await asyncio.gather(*(one(row, server) for row in rows)))
