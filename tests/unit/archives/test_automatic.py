"""Sessions with `archiveMode` always are archived without a request."""

from dataclasses import replace

import pytest

from sfu.egress.composition import Composition, Layout
from signaling.archives.automatic import RETRY_S, AutomaticArchives
from signaling.domain.errors import DomainError, ErrorCode
from signaling.domain.session_options import ArchiveMode
from signaling.protocol import messages as m
from signaling.storage.sqlite import open_sqlite
from tests.archive_world import ArchiveWorld
from tests.served import until


@pytest.fixture
async def world(tmp_path):
    made = ArchiveWorld(await open_sqlite(tmp_path / "data"), tmp_path, max_duration_s=60)
    options = replace(
        made.session.options,
        archive_mode=ArchiveMode.ALWAYS,
        archive_name="weekly",
        archive_resolution="1280x720",
    )
    made.session = made.house.record = replace(made.session, options=options)
    made.automatic = AutomaticArchives(made.archives._parts, made.archives)
    made.house.directory.on_session.append(made.automatic.on_session)
    yield await made.prepare()
    await made.automatic.close()
    await made.close()


async def started(world, count):
    """The archives, once there are so many."""
    await until(lambda: len(world.egress.jobs) == count and not world.automatic._tasks)
    return [one.record for one in world.archives.running()]


async def test_an_archive_begins_with_the_first_stream(world):
    await world.house.joined()
    await started(world, 0)
    await world.publisher()
    (record,) = await started(world, 1)
    assert record.name == "weekly"
    assert record.composition == Composition(1280, 720, Layout())
    await world.publisher()
    await started(world, 1)


async def test_the_next_one_begins_when_one_is_long_enough(world):
    await world.publisher()
    (first,) = await started(world, 1)
    world.job(first).record(60_000)
    await started(world, 2)
    stored = await world.stored(first)
    assert stored.reason == "maximum duration exceeded"


async def test_one_that_was_stopped_is_followed_when_the_session_had_no_stream(world):
    (ann, first), (ben, _) = await world.publisher(), await world.publisher()
    (record,) = await started(world, 1)
    world.job(record).record(1_000)
    await world.archives.stop(world.project, record.id)
    await ben.publish()
    await started(world, 1)
    ann.ask(m.Unpublish, stream_id=first)
    for stream in [one for one in world.house.actor.state.streams if one != first]:
        ben.ask(m.Unpublish, stream_id=stream)
    await ann.publish()
    await started(world, 2)


async def test_without_room_it_is_tried_again(world):
    world.egress.room = 0
    await world.publisher()
    await started(world, 0)
    world.egress.room = 1
    world.house.time.advance(RETRY_S)
    await started(world, 1)


async def test_other_sessions_are_not_archived(world):
    options = replace(world.session.options, archive_mode=ArchiveMode.MANUAL)
    world.house.record = replace(world.session, options=options)
    await world.publisher()
    await started(world, 0)


async def test_an_encrypted_session_has_no_tap_whatever_its_record_says(world):
    """No request makes such a record; whoever can write to the database could."""
    options = replace(world.session.options, e2ee=True)
    world.session = world.house.record = replace(world.session, options=options)
    client = await world.house.joined()
    await client.publish()
    await started(world, 0)
    with pytest.raises(DomainError) as refused:
        await world.start()
    assert refused.value.code is ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA
    assert [media.taps for media in world.house.plane.sessions.values()] == [[]]
    assert await world.files.ids() == []
    assert (await world.archives.page(world.project, None, 0, 10))[0] == 0
