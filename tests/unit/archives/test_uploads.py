"""Archives of projects with a bucket: uploaded, tried again while it is away, kept in the end."""

import asyncio

import pytest

from sfu.egress.buckets import Bucket
from signaling.archives.uploads import WAITS_S
from signaling.domain.archiving import ArchiveStatus
from signaling.domain.errors import DomainError, ErrorCode
from tests.archive_world import refused
from tests.conversation import settle

S = ArchiveStatus
BUCKET = Bucket("s3", "recordings", "id", "secret")
DAY_S = 24 * 3_600


async def stopped(world):
    """An archive of a project with a bucket, whose job is over."""
    await world.store.buckets.set_bucket(world.project.api_key, BUCKET)
    await world.publisher()
    record = await world.start()
    world.job(record).record(1_000)
    await world.archives.stop(world.project, record.id)
    await world.over()
    return record


async def until_status(world, record, status):
    async with asyncio.timeout(20):
        while (found := await world.store.archives.archive(record.id)).status is not status:
            await settle()
        await asyncio.gather(*world.keeping._uploads._tasks.values())
    return found


def results(world):
    metric = world.metrics.archive_uploads
    return {key[0]: child._value.get() for key, child in metric._metrics.items()}


async def test_a_finished_archive_is_uploaded_and_nothing_of_it_stays(world):
    record = await stopped(world)
    found = await until_status(world, record, S.UPLOADED)
    key = f"{world.project.api_key}/{record.id}/archive.zip"
    assert len(world.uploader.objects[key]) == found.size_bytes
    job = world.uploader.jobs[0]
    assert (job.bucket, job.allowed_networks) == (BUCKET, "10.9.0.0/16")
    assert await world.files.ids() == []
    assert [status for status, _ in world.statuses()][-2:] == ["stopped", "uploaded"]
    assert {reason for _, reason in world.statuses()[-2:]} == {"user initiated"}
    assert world.archives.link(world.project, found) is None
    assert results(world) == {"uploaded": 1}


async def test_ten_minutes_without_the_bucket_lose_nothing(world):
    world.time_passes = True
    until_s = world.house.time.now_s + 600
    world.uploader.is_away = lambda: world.house.time.now_s < until_s
    record = await stopped(world)
    await until_status(world, record, S.UPLOADED)
    assert results(world) == {"unreachable": 2, "uploaded": 1}
    assert [status for status, _ in world.statuses()][-2:] == ["stopped", "uploaded"]


async def test_what_cannot_be_uploaded_in_a_day_stays_here_and_can_be_downloaded(world):
    world.time_passes = True
    world.uploader.is_away = lambda: True
    world.uploader.failure = "denied"
    began_s = world.house.time.now_s
    record = await stopped(world)
    found = await until_status(world, record, S.AVAILABLE)
    assert len(world.uploader.jobs) == 5 == len(WAITS_S) + 1
    assert DAY_S * 0.9 < world.house.time.now_s - began_s < DAY_S
    assert results(world) == {"denied": 5, "given_up": 1}
    assert await world.files.ids() == [record.id]
    assert world.archives.link(world.project, found) is not None
    assert [status for status, _ in world.statuses()][-2:] == ["stopped", "available"]


async def test_until_it_is_there_an_archive_is_stopped_and_cannot_be_deleted(world):
    world.uploader.is_away = lambda: True
    record = await stopped(world)
    await settle()
    delete = world.archives.delete(world.project, record.id)
    await refused(delete, ErrorCode.ARCHIVE_NOT_DELETABLE)
    await until_status(world, record, S.AVAILABLE)
    await world.archives.delete(world.project, record.id)


async def test_the_next_start_uploads_what_this_one_did_not(world):
    world.time_passes = True
    world.uploader.is_away = lambda: not world.uploader.objects and len(world.uploader.jobs) < 2
    record = await stopped(world)
    await world.keeping.close()
    world.restart()
    await world.keeping.recover()
    await world.keeping.recover()  # a second look changes nothing
    await until_status(world, record, S.UPLOADED)


async def test_an_archive_of_a_killed_server_is_finished_and_uploaded(world):
    await world.store.buckets.set_bucket(world.project.api_key, BUCKET)
    await world.publisher()
    record = await world.start()
    await world.stored(record)
    world.egress.left[record.id] = 1_000
    world.restart()
    await world.keeping.recover()
    await until_status(world, record, S.UPLOADED)


async def test_without_a_bucket_or_a_client_for_it_files_stay_here(world):
    await stopped(world)
    await world.keeping.close()
    await world.store.buckets.set_bucket(world.project.api_key, None)
    world.uploader.objects.clear()
    world.uploader.jobs.clear()
    record = await world.start()
    world.job(record).record(1_000)
    await world.archives.stop(world.project, record.id)
    await world.over()
    assert (await world.stored(record)).status is S.AVAILABLE
    assert world.uploader.jobs == []


async def test_deleting_an_uploaded_archive_takes_its_record_and_not_the_object(world):
    record = await stopped(world)
    await until_status(world, record, S.UPLOADED)
    await world.archives.delete(world.project, record.id)
    with pytest.raises(DomainError):
        await world.archives.show(world.project, record.id)
    assert len(world.uploader.objects) == 1
