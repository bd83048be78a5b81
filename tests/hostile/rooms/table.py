"""The table of what is told to the room."""

import asyncio
import traceback
from collections.abc import Iterable

from tests.hostile.drivers.audio import NullAudio
from tests.hostile.drivers.remote import Remote
from tests.hostile.rooms import entering, going, signals, within
from tests.hostile.rooms.row import RoomRow
from tests.hostile.rooms.server import PageServer
from tests.hostile.rooms.visit import SCRIPT, Visit

TABLE: tuple[RoomRow, ...] = (
    *signals.ROWS[:1],
    *entering.ROWS,
    *within.ROWS,
    *signals.ROWS[1:],
    *going.ROWS,
)
ROW_LIMIT_S = 400.0
AT_ONCE = 2


async def play(row: RoomRow, server: PageServer, remote: Remote) -> list[str]:
    """What people do not see, and what must never be."""
    visit = Visit(server, remote, row.lie())
    found = []
    try:
        async with asyncio.timeout(ROW_LIMIT_S):
            await row.act(visit)
    except AssertionError as complaint:
        found.append(str(complaint) or traceback.format_exc(limit=-1))
    except Exception:  # noqa: BLE001 - one row's fault must not hide those of others
        found.append(traceback.format_exc())
    try:
        found += await visit.faults()
        lies = visit.room.told_lies
        found += [f"no lie was told in {about}" for about in row.covers if about not in lies]
    finally:
        await visit.close()
    return found


async def play_in(kind: str, rows: Iterable[RoomRow]) -> dict[str, list[str]]:
    """All rows in one browser, some at once. Name of the row → its faults."""
    audio = await NullAudio().start()
    remote = await Remote.start(SCRIPT, kind, environment=audio.environment)
    gate = asyncio.Semaphore(AT_ONCE)
    found: dict[str, list[str]] = {}

    async def one(row: RoomRow) -> None:
        async with gate:
            found[row.name] = await play(row, server, remote)

    try:
        async with PageServer() as server:
            await asyncio.gather(*(one(row) for row in rows))
    finally:
        await remote.close()
        await audio.close()
    return found
