"""Archives of a session, from their start to their end: statuses, callbacks, files, limits."""

import asyncio
import threading
from dataclasses import replace

import pytest

from config.settings import ArchiveSettings
from sfu.core_api import Direction, MediaKind
from sfu.ids import StreamId
from signaling.archives.service import MAX_OF_SESSION
from signaling.domain.archived_streams import Selection
from signaling.domain.archiving import ArchiveStatus, Reason, StreamMode
from signaling.domain.commands import SetLayoutClasses
from signaling.domain.errors import ErrorCode
from signaling.protocol import messages as m
from signaling.storage.sqlite import open_sqlite
from tests.archive_world import ArchiveWorld, available, refused
from tests.conversation import settle

S = ArchiveStatus
USER = "user initiated"


def held(world):
    """The streams in the tap, with their kinds."""
    return {name: stream.kinds for name, stream in world.tap.streams.items()}


async def test_an_archive_records_stops_and_becomes_available(world):
    ann, stream = await world.publisher()
    record = await world.start()
    assert record.status is S.STARTED
    assert ann.seen(m.ArchiveStarted) == [m.ArchiveStarted(id=record.id, name="n")]
    assert held(world) == {stream: frozenset(MediaKind)}
    assert [one.id for one in world.archives.holding(stream)] == [record.id]
    job = world.job(record)
    job.is_slow = True
    job.record(64_000)
    assert (await world.shown(record)).duration_s == 64
    stopped = await world.archives.stop(world.project, record.id)
    assert (stopped.status, stopped.reason) == (S.STOPPED, USER)
    assert (await world.store.archives.archive(record.id)).status is S.STOPPED
    assert ann.seen(m.ArchiveStopped) == [m.ArchiveStopped(id=record.id, name="n")]
    assert (world.tap.ended, job.done) == (True, ["finish"])
    job.complete()
    await world.over()
    assert world.archives.holding(stream) == []
    done = await world.stored(record)
    assert (done.status, done.recorded_ms, done.size_bytes) == (S.AVAILABLE, 64_000, 1_002)
    assert len(done.sha256) == 44
    assert world.statuses() == [("started", ""), ("stopped", USER), ("available", USER)]
    assert [bool(notice.archive["url"]) for notice in world.notices] == [False, False, True]
    assert world.archives.link(world.project, done).startswith("http://node.test/archives/")


async def test_the_end_of_the_last_stream_pauses_and_the_next_one_goes_on(world):
    ann, stream = await world.publisher()
    record = await world.start()
    job = world.job(record)
    ann.ask(m.Unpublish, stream_id=stream)
    await settle()
    assert (await world.shown(record)).status is S.PAUSED
    assert job.done == ["pause"]
    assert world.tap.streams == {}
    await ann.publish()
    assert (await world.shown(record)).status is S.STARTED
    assert job.done == ["pause", "resume"]
    assert [status for status, _ in world.statuses()] == ["started", "paused", "started"]
    assert (await world.stored(record)).status is S.STARTED


async def test_an_archive_without_a_stream_answers_started_then_pauses(world):
    await world.house.joined()
    record = await world.start()
    assert record.status is S.STARTED
    assert [status for status, _ in world.statuses()] == ["started", "paused"]


async def test_mutes_and_layout_classes_reach_the_job(world):
    ann, stream = await world.publisher()
    job = world.job(await world.start())
    ann.ask(m.UpdateStream, stream_id=stream, has_video=False)
    ann.actor.apply(SetLayoutClasses(((StreamId(stream), ("focus",)),)))
    ann.ask(m.UpdateStream, stream_id=stream, has_video=True)
    added, *changes = job.events()
    assert (added["event"], added["stream"], added["layoutClassList"]) == (
        "streamAdded",
        stream,
        [],
    )
    assert changes == [
        {"event": "muted", "stream": stream, "kind": "video", "muted": True},
        {"event": "layoutClassList", "stream": stream, "layoutClassList": ["focus"]},
        {"event": "muted", "stream": stream, "kind": "video", "muted": False},
    ]


async def test_a_stream_that_begins_muted_is_said_to_be(world):
    ann = await world.house.joined()
    stream = await ann.publish(has_audio=False)
    record = await world.start()
    muted = {"event": "muted", "stream": stream, "kind": "audio", "muted": True}
    assert muted in world.job(record).events()


async def test_manual_mode_records_what_is_selected_and_nothing_else(world):
    _, stream = await world.publisher()
    record = await world.start(stream_mode=StreamMode.MANUAL)
    change = world.archives.change_streams
    assert world.tap.streams == {}
    await change(world.project, record.id, stream, Selection(has_video=False))
    forwarding = world.tap.streams[StreamId(stream)].forwarding
    assert forwarding == {MediaKind.VIDEO: False}
    await change(world.project, record.id, stream, Selection(has_audio=False))
    assert forwarding == {MediaKind.VIDEO: True, MediaKind.AUDIO: False}
    assert (await world.shown(record)).status is S.STARTED
    await change(world.project, record.id, stream, None)
    assert world.tap.streams == {}
    await refused(change(world.project, record.id, stream, None), ErrorCode.STREAM_NOT_FOUND)
    await refused(change(world.project, record.id, "x", Selection()), ErrorCode.STREAM_NOT_FOUND)
    await world.archives.stop(world.project, record.id)
    ended = change(world.project, record.id, stream, Selection())
    await refused(ended, ErrorCode.ARCHIVE_NOT_RECORDING)
    await refused(change(world.project, "x", stream, None), ErrorCode.ARCHIVE_NOT_FOUND)
    auto = await world.start(tag="auto")
    await refused(change(world.project, auto.id, stream, Selection()), ErrorCode.STREAM_MODE_AUTO)


async def test_a_session_has_one_archive_of_a_tag(world):
    await world.publisher()
    record = await world.start()
    await refused(world.start(), ErrorCode.ARCHIVE_RUNNING)
    assert len(world.egress.jobs) == 1
    other = await world.start(tag="other")
    assert sorted(await world.files.ids()) == sorted([record.id, other.id])
    world.job(record).record(1_000)
    await world.archives.stop(world.project, record.id)
    await world.start()


async def test_nobody_connected_is_not_archived(world):
    await refused(world.start(), ErrorCode.NOBODY_CONNECTED)
    assert await world.files.ids() == []
    ann, _ = await world.publisher()
    ann.actor.expel(ann.connection)
    await refused(world.start(), ErrorCode.NOBODY_CONNECTED)
    assert (await world.archives.page(world.project, None, 0, 10))[0] == 0


async def test_a_full_node_and_a_full_disk_refuse_and_leave_nothing_behind(world):
    ann, _ = await world.publisher()
    world.egress.room = 0
    await refused(world.start(), ErrorCode.NO_CAPACITY)
    world.egress.room = 1
    world.files.free = ArchiveSettings().min_free_mb * 1_000_000 - 1
    await refused(world.start(), ErrorCode.NO_CAPACITY)
    assert await world.files.ids() == []
    assert (await world.archives.page(world.project, None, 0, 10)) == (0, ())
    assert (world.notices, ann.seen(m.ArchiveStarted)) == ([], [])
    assert [media.taps for media in world.house.plane.sessions.values()] == [[]]


async def test_a_disk_that_fills_up_ends_a_running_archive_with_its_file(world):
    await world.publisher()
    record = await world.start()
    world.files.free = ArchiveSettings().min_free_mb * 1_000_000 // 8 - 1
    world.job(record).record(2_000)
    await world.over()
    assert world.statuses()[1:] == [
        ("stopped", "Not enough storage"),
        ("available", "Not enough storage"),
    ]


@pytest.mark.parametrize(
    ("streams", "wait_s", "reason"),
    [(0, 60, "maximum idle time exceeded"), (1, 3_600, "maximum idle time exceeded")],
)
async def test_an_archive_waits_for_a_stream_so_long_and_no_longer(world, streams, wait_s, reason):
    ann = await world.house.joined()
    stream = await ann.publish() if streams else None
    record = await world.start()
    if stream is not None:
        world.job(record).record(1_000)
        ann.ask(m.Unpublish, stream_id=stream)
    world.house.time.advance(wait_s - 1)
    assert (await world.shown(record)).status is S.PAUSED
    world.house.time.advance(1)
    stopped = await world.shown(record)
    assert (stopped.status, stopped.reason) == (S.STOPPED, reason)


async def test_an_archive_outlasts_its_clients_by_a_minute(world):
    ann, _ = await world.publisher()
    record = await world.start()
    world.job(record).record(1_000)
    ann.actor.expel(ann.connection)
    world.house.time.advance(59)
    assert (await world.shown(record)).status is S.PAUSED
    assert world.house.directory.find(world.session.session_id) is not None
    world.house.time.advance(1)
    assert (await world.shown(record)).reason == "session ended"
    await world.over()
    assert (await world.stored(record)).status is S.AVAILABLE
    world.house.time.advance(world.house.settings.linger_ms / 1000)
    assert world.house.directory.find(world.session.session_id) is None


async def test_who_comes_back_within_the_minute_is_in_the_same_archive(world):
    ann, _ = await world.publisher()
    record = await world.start()
    ann.actor.expel(ann.connection)
    world.house.time.advance(40)
    ben, stream = await world.publisher()
    assert ben.seen(m.ArchiveStarted) == [m.ArchiveStarted(id=record.id, name="n")]
    world.house.time.advance(600)
    assert (await world.shown(record)).status is S.STARTED
    assert list(world.tap.streams) == [stream]


async def test_recorded_time_has_a_maximum_and_life_too(world):
    await world.publisher()
    record = await world.start()
    world.job(record).record(ArchiveSettings().max_duration_s * 1000)
    assert (await world.shown(record)).reason == "maximum duration exceeded"
    other = await world.start()
    world.house.time.advance(12 * 3600)
    assert (await world.shown(other)).reason == "maximum duration exceeded"


async def test_nothing_recorded_fails_and_keeps_why_it_stopped(world):
    await world.publisher()
    record = await world.start()
    await world.archives.stop(world.project, record.id)
    await world.over()
    assert world.statuses()[-1] == ("failed", USER)
    assert await world.files.ids() == []
    assert (await world.stored(record)).status is S.FAILED


@pytest.mark.parametrize("code", ["child_lost", "anything"])
async def test_a_job_that_is_lost_fails_the_archive_and_clients_learn_of_it(world, code):
    ann, _ = await world.publisher()
    record = await world.start()
    world.job(record).fail(code)
    await world.over()
    assert world.statuses()[1:] == [("failed", "Internal server failure")]
    assert ann.seen(m.ArchiveStopped) == [m.ArchiveStopped(id=record.id, name="n")]
    assert world.tap.ended


async def test_a_job_that_gave_up_but_saved_its_file_is_available(world):
    await world.publisher()
    record = await world.start()
    job = world.job(record)
    job.recorded_ms = 3_000
    job.complete()
    await world.over()
    assert world.statuses()[1:] == [
        ("stopped", "Internal server failure"),
        ("available", "Internal server failure"),
    ]


async def test_a_publisher_whose_network_is_lost_leaves_the_archive_running(world):
    ann, _ = await world.publisher()
    record = await world.start()
    ann.media.lose(Direction.UPLINK)
    await settle()
    assert (await world.shown(record)).status is S.PAUSED
    assert world.tap.streams == {}


async def test_a_tap_that_the_core_closes_ends_the_archive(world):
    await world.publisher()
    record = await world.start()
    world.job(record).record(1_000)
    world.tap.lose("gone")
    await world.over()
    assert world.statuses()[1:] == [
        ("stopped", "Internal server failure"),
        ("available", "Internal server failure"),
    ]


async def test_what_is_finished_can_be_deleted_and_nothing_else(world):
    await world.publisher()
    running = await world.start()
    delete = world.archives.delete
    await refused(delete(world.project, running.id), ErrorCode.ARCHIVE_NOT_DELETABLE)
    job = world.job(running)
    job.is_slow = True
    job.record(1_000)
    await world.archives.stop(world.project, running.id)
    await refused(delete(world.project, running.id), ErrorCode.ARCHIVE_NOT_DELETABLE)
    await refused(world.archives.stop(world.project, running.id), ErrorCode.ARCHIVE_NOT_RECORDING)
    job.complete()
    await world.over()
    await delete(world.project, running.id)
    assert await world.files.ids() == []
    await refused(world.shown(running), ErrorCode.ARCHIVE_NOT_FOUND)


async def test_another_project_has_no_archive_of_this_one(world):
    record = await available(world)
    stranger = replace(world.project, api_key="999")
    for call in (world.archives.show, world.archives.stop, world.archives.delete):
        await refused(call(stranger, record.id), ErrorCode.ARCHIVE_NOT_FOUND)
    assert await world.archives.page(stranger, None, 0, 10) == (0, ())


async def test_a_state_that_cannot_be_stored_keeps_nobody_waiting(world, monkeypatch):
    await world.publisher()
    record = await world.start()
    await world.stored(record)

    async def broken(_record):
        raise OverflowError

    monkeypatch.setattr(world.archives._store, "change_archive", broken)
    async with asyncio.timeout(5):
        await world.archives.stop(world.project, record.id)
        await world.over()


async def test_nobody_takes_the_places_of_all(world):
    await world.publisher()
    for number in range(MAX_OF_SESSION):
        await world.start(tag=str(number))
    await refused(world.start(tag="one more"), ErrorCode.NO_CAPACITY)
    assert len(await world.files.ids()) == MAX_OF_SESSION


async def test_a_project_has_so_many_archives_at_a_time(tmp_path):
    world = ArchiveWorld(await open_sqlite(tmp_path / "data"), tmp_path, running_per_project=3)
    await (await world.prepare()).publisher()
    first, *_ = [await world.start(tag=str(number)) for number in range(3)]
    await refused(world.start(tag="one more"), ErrorCode.NO_CAPACITY)
    await world.archives.stop(world.project, first.id)
    await world.over()
    await world.start(tag="one more")
    await world.close()


async def test_a_project_above_its_disk_space_starts_no_archive_and_its_running_ones_end(tmp_path):
    world = ArchiveWorld(await open_sqlite(tmp_path / "data"), tmp_path, max_project_mb=1)
    await (await world.prepare()).publisher()
    first, second = await world.start(), await world.start(tag="t")
    (world.files.folder(first) / "part").write_bytes(b"x" * 900_000)
    world.job(first).record(1_000)
    await world.over()
    assert (await world.shown(first)).is_recording
    (world.files.folder(second) / "part").write_bytes(b"x" * 200_000)
    await refused(world.start(tag="u"), ErrorCode.ARCHIVE_QUOTA)
    world.house.time.advance(1)
    world.job(second).record(1_000)
    await world.over()
    assert [(await world.shown(one)).reason for one in (first, second)] == [Reason.STORAGE] * 2
    assert {one[0] for one in world.statuses()} == {"started", "stopped", "available"}
    assert len(await world.files.ids()) == 2
    value = world.metrics.registry.get_sample_value
    assert value("sealroute_archives_over_quota_total") == 2
    assert value("sealroute_archive_starts_refused_total", {"reason": "quota"}) == 1
    await world.archives.delete(world.project, first.id)
    await world.start(tag="u")
    await world.close()


async def test_a_disk_that_does_not_answer_holds_up_no_recording(world, monkeypatch):
    """It is asked once, in a thread, however many recordings say that they have written."""
    await world.publisher()
    record, asked, answers = await world.start(), [], threading.Event()

    def free_bytes():
        asked.append(threading.current_thread())
        answers.wait()
        return 0

    monkeypatch.setattr(world.files, "free_bytes", free_bytes)
    for _ in range(20):
        world.house.time.advance(1)
        world.job(record).record(1_000)
        await settle()
    assert (await world.shown(record)).is_recording
    answers.set()
    await world.over()
    assert threading.main_thread() not in asked
    assert len(asked) == 1
    assert (await world.shown(record)).reason == Reason.STORAGE


async def test_a_shutdown_finishes_the_files_that_can_be_finished_in_time(world):
    ann, _ = await world.publisher()
    record = await world.start()
    world.job(record).record(1_000)
    await world.archives.close(5.0)
    assert (await world.stored(record)).status is S.AVAILABLE
    assert world.statuses()[1:] == [("stopped", "session ended"), ("available", "session ended")]
    assert ann.seen(m.ArchiveStopped)


async def test_a_shutdown_does_not_wait_for_a_job_that_hangs(world):
    await world.publisher()
    record = await world.start()
    world.job(record).is_over = True
    await world.archives.close(0.01)
    assert (await world.stored(record)).status is S.STOPPED


async def test_archives_are_counted(world):
    await available(world)
    text = world.metrics.render().decode()
    assert 'sealroute_egress_starts_total{feature="archive"} 1.0' in text
    assert 'sealroute_egress_running{feature="archive"} 0.0' in text
    assert 'sealroute_egress_output_bytes_total{feature="archive"} 1002.0' in text
