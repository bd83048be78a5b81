"""What /readyz asks of the storage, and how often."""

import asyncio

from signaling.domain.errors import ErrorCode, Unavailable
from signaling.web_app import CHECK_S, StorageCheck


class Disk:
    """A store that counts how often it is written to."""

    def __init__(self) -> None:
        self.full = False
        self.writes = 0
        self.now_s = 100.0

    def monotonic_s(self) -> float:
        return self.now_s

    async def check_writing(self) -> None:
        self.writes += 1
        await asyncio.sleep(0)
        if self.full:
            raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE)


async def test_a_full_disk_is_not_ready_until_there_is_room_again() -> None:
    disk = Disk()
    check = StorageCheck(disk, disk)
    assert await check.accepts_sessions()
    disk.full = True
    disk.now_s += CHECK_S
    assert not await check.accepts_sessions()
    disk.full = False
    disk.now_s += CHECK_S
    assert await check.accepts_sessions()


async def test_whoever_asks_how_often_it_is_one_write_in_a_second() -> None:
    disk = Disk()
    check = StorageCheck(disk, disk)
    assert all(await asyncio.gather(*(check.accepts_sessions() for _ in range(1_000))))
    assert disk.writes == 1
