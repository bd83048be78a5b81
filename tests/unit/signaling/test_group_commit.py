"""Writes that wait for each other share a transaction, and each hears of its own row alone."""

import asyncio

import pytest

from signaling.storage.group_commit import MAX_ROWS, GroupCommit


class Disk:
    """Writes when it is told to; refuses what is negative."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = asyncio.Event()

    async def write(self, rows):
        await self.gate.wait()
        if any(row < 0 for row in rows):
            raise ValueError("negative")
        self.groups.append(list(rows))


@pytest.fixture
async def disk():
    return Disk()


async def turn() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def test_a_lone_write_does_not_wait_for_others(disk):
    disk.gate.set()
    await GroupCommit(disk.write).add(1)
    assert disk.groups == [[1]]


async def test_what_comes_in_during_a_write_is_the_next_one(disk):
    group = GroupCommit(disk.write)
    adding = [asyncio.create_task(group.add(0))]
    await turn()
    adding += [asyncio.create_task(group.add(number)) for number in range(1, 5)]
    await turn()
    assert not any(task.done() for task in adding)
    disk.gate.set()
    await asyncio.gather(*adding)
    assert disk.groups == [[0], [1, 2, 3, 4]]


async def test_a_bad_row_fails_alone(disk):
    group = GroupCommit(disk.write)
    adding = [asyncio.create_task(group.add(number)) for number in (1, -2, 3)]
    await turn()
    disk.gate.set()
    outcomes = await asyncio.gather(*adding, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None)]
    assert sorted(row for rows in disk.groups for row in rows) == [1, 3]


async def test_a_caller_that_goes_away_takes_nobody_along(disk):
    group = GroupCommit(disk.write)
    adding = [asyncio.create_task(group.add(number)) for number in (1, 2)]
    await turn()
    adding[0].cancel()
    disk.gate.set()
    await adding[1]
    assert disk.groups == [[1, 2]]


async def test_a_group_is_bounded(disk):
    disk.gate.set()
    group = GroupCommit(disk.write)
    await asyncio.gather(*(group.add(number) for number in range(MAX_ROWS + 10)))
    assert [len(rows) for rows in disk.groups] == [MAX_ROWS, 10]


async def test_closing_waits_for_what_was_added(disk):
    group = GroupCommit(disk.write)
    adding = asyncio.create_task(group.add(1))
    await turn()
    closing = asyncio.create_task(group.close())
    await turn()
    assert not closing.done()
    disk.gate.set()
    await closing
    await adding
    assert disk.groups == [[1]]
