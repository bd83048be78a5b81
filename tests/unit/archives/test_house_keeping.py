"""What nobody asks for: what a killed server left is finished, files expire, strays go."""

import asyncio
import os
import uuid
from dataclasses import replace

from sfu.egress.child import names
from signaling.archives.files import OWN_FILES
from signaling.domain.archiving import ArchiveStatus
from signaling.domain.errors import ErrorCode, Unavailable
from tests.archive_world import available, refused

S = ArchiveStatus
USER = "user initiated"


async def test_a_file_without_room_is_finished_when_there_is_room(world):
    await world.publisher()
    record = await world.start()
    world.job(record).record(1_000)
    world.job(record).fails_with = "disk_full"
    await world.archives.stop(world.project, record.id)
    await world.over()
    assert (await world.stored(record)).status is S.STOPPED
    world.egress.refuses_recovery = "disk_full"
    await world.keeping.recover()
    assert (await world.stored(record)).status is S.STOPPED
    world.egress.refuses_recovery, world.egress.left[record.id] = None, 1_000
    await world.keeping.recover()
    assert (await world.stored(record)).status is S.AVAILABLE
    assert [status for status, _ in world.statuses()] == ["started", "stopped", "available"]


async def test_a_file_that_never_finds_room_is_given_up_after_a_day(world):
    await world.publisher()
    record = await world.start()
    world.job(record).fail("storage")
    await world.over()
    world.egress.refuses_recovery = "storage"
    world.house.time.advance(25 * 3600)
    await world.keeping.recover()
    assert (await world.stored(record)).status is S.FAILED
    assert await world.files.ids() == []


async def test_a_killed_servers_archives_are_finished_at_the_next_start(world):
    await world.publisher()
    with_media, empty = await world.start(), await world.start(tag="empty")
    await asyncio.gather(world.stored(with_media), world.stored(empty))
    world.notices.clear()
    world.egress.left[with_media.id] = 30_000
    world.restart()
    await world.keeping.recover()
    assert (await world.stored(with_media)).recorded_ms == 30_000
    assert await world.files.ids() == [with_media.id]
    assert sorted(world.statuses()) == sorted(
        [
            ("stopped", "Internal server failure"),
            ("available", "Internal server failure"),
            ("stopped", "Internal server failure"),
            ("failed", "Internal server failure"),
        ]
    )
    world.notices.clear()
    await world.keeping.recover()
    assert world.notices == []


async def test_another_nodes_archives_are_left_alone(world, tmp_path):
    await world.publisher()
    record = await world.start()
    await world.stored(record)
    world.files._root = tmp_path / "of another node"
    world.restart()
    await world.keeping.recover()
    await world.keeping.expire()
    await world.keeping.delete_strays()
    assert (await world.store.archives.archive(record.id)).status is S.STARTED
    await refused(world.archives.stop(world.project, record.id), ErrorCode.ARCHIVE_NOT_RECORDING)


async def test_a_file_is_kept_so_long_and_then_expires(world):
    record = await available(world)
    world.house.time.advance(72 * 3600 - 60)
    await world.keeping.expire()
    assert (await world.shown(record)).status is S.AVAILABLE
    world.house.time.advance(61)
    await world.keeping.expire()
    expired = await world.shown(record)
    assert expired.status is S.EXPIRED
    assert world.archives.link(world.project, expired) is None
    assert world.statuses()[-1] == ("expired", USER)
    assert await world.files.ids() == []


async def test_archives_without_a_record_are_deleted_when_they_would_have_expired(world):
    record = await available(world)
    stray = replace(record, id=str(uuid.uuid4()))
    await world.files.make(stray)
    (world.files.folder(stray) / names.JOURNAL).touch()
    untouched_s = world.house.time.unix_s() - 72 * 3600
    for age_s, left in ((-60, 2), (60, 1)):
        os.utime(world.files.folder(stray), (untouched_s - age_s,) * 2)
        await world.keeping.delete_strays()
        assert len(await world.files.ids()) == left
    assert await world.files.ids() == [record.id]


async def test_what_looks_like_no_archive_is_not_deleted(world):
    """The folder may be an operator's own, with other things in it."""
    record = await available(world)
    root, archive = world.files.folder(record).parents[1], str(uuid.uuid4())
    others = (
        root / "photos" / archive,
        root / record.project_id / "2024",
        root / record.project_id / archive,
    )
    for folder in others:
        folder.mkdir(parents=True)
        (folder / "thing").touch()
    for folder in others[:2]:
        (folder / names.JOURNAL).touch()
    (root / record.project_id / str(uuid.uuid4())).symlink_to(others[0])
    for folder in others:
        os.utime(folder, (0, 0))
    await world.keeping.delete_strays()
    assert all((folder / "thing").exists() for folder in others)


def test_folders_of_archives_are_known_by_what_recordings_write():
    assert set(OWN_FILES) == {names.ARCHIVE, names.COMPOSED, names.JOURNAL, names.RESULT}


async def test_a_start_that_cannot_be_undone_is_ended_later(world, monkeypatch):
    await world.publisher()

    async def away(_id):
        raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE)

    world.egress.room = 0
    monkeypatch.setattr(world.archives._store, "remove_archive", away)
    await refused(world.start(), ErrorCode.NO_CAPACITY)
    monkeypatch.undo()
    (left,) = await world.files.ids()
    await world.keeping.recover()
    assert (await world.store.archives.archive(left)).status is S.FAILED
    assert await world.files.ids() == []


async def test_archives_of_a_removed_project_stop(world):
    await world.publisher()
    record = await world.start()
    await world.store.remove_project(world.project.api_key)
    await world.keeping.stop_orphans()
    assert world.tap.ended
    assert not (await world.shown(record)).is_recording


async def test_house_is_kept_whatever_fails_until_it_is_cancelled(world, monkeypatch):
    record = await available(world)
    world.house.time.advance(73 * 3600)
    turns, enough = [], asyncio.Event()

    async def fail() -> None:
        turns.append("recover")
        if len(turns) == 3:
            enough.set()
        raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE)

    monkeypatch.setattr(world.keeping, "recover", fail)
    running = asyncio.create_task(world.keeping.run())
    await enough.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await world.shown(record)).status is S.EXPIRED
