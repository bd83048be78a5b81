"""Plays many rows at once, for they mostly wait."""

import asyncio
import traceback
from collections.abc import Iterable
from dataclasses import dataclass

from tests.hostile.call import Call, Driver
from tests.hostile.lies import Row
from tests.hostile.server import HostileServer

ROW_LIMIT_S = 45.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`broken`: what must never be. `missing`: what did not come about in its time."""

    broken: list[str]
    missing: list[str]

    @property
    def faults(self) -> list[str]:
        return [*self.broken, *self.missing]


async def play(row: Row, server: HostileServer, driver: Driver) -> Outcome:
    call = Call(server, driver, row.lie(), row.codec)
    try:
        async with asyncio.timeout(ROW_LIMIT_S):
            missing = await row.play(call)
    except AssertionError as complaint:
        missing = [str(complaint)]
    except Exception:  # noqa: BLE001 - one row's fault must not hide those of others
        missing = [traceback.format_exc()]
    finally:
        await call.close()
    broken = call.faults()
    if broken or missing:
        missing.append(f"told: {[client.told for client in call.clients]}")
    return Outcome(broken, missing)


async def play_all(rows: Iterable[Row], driver: Driver, at_once: int) -> dict[str, list[str]]:
    """Name of the row → its faults. What only did not come in time gets a second chance alone,
    for the machine may have been busy; what must never be gets none."""
    gate = asyncio.Semaphore(at_once)
    outcomes: dict[str, Outcome] = {}
    rows = sorted(rows, key=lambda row: -row.patience_s)

    async def one(row: Row) -> None:
        async with gate:
            outcomes[row.name] = await play(row, server, driver)

    async with HostileServer() as server:
        await asyncio.gather(*(one(row) for row in rows))
        for row in rows:
            if outcomes[row.name].missing and not outcomes[row.name].broken:
                outcomes[row.name] = await play(row, server, driver)
    return {name: outcome.faults for name, outcome in outcomes.items()}
