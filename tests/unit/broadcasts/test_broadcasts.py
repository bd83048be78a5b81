"""Broadcasts of a session, from start to end: statuses, callbacks, limits, addresses."""

import asyncio
from dataclasses import replace

import pytest
import structlog

from sfu.core_api import MediaKind
from sfu.egress import viewer_keys
from sfu.egress.composition import Layout
from sfu.ids import StreamId
from signaling.broadcasts.house_keeping import KEEP_ENDED_S
from signaling.broadcasts.service import MAX_OF_SESSION, WantedHls, WantedRtmp
from signaling.domain.archived_streams import Selection
from signaling.domain.archiving import StreamMode
from signaling.domain.broadcasting import BroadcastStatus, OutputStatus
from signaling.domain.errors import ErrorCode
from signaling.protocol import messages as m
from signaling.storage.sqlite import open_sqlite
from tests.archive_world import refused
from tests.broadcast_world import RTMP, BroadcastWorld
from tests.conversation import settle

S, Out = BroadcastStatus, OutputStatus
USER = "user initiated"


async def test_a_broadcast_runs_is_watched_and_stops(world):
    _, stream = await world.publisher()
    record = await world.start()
    assert (record.status, record.hls.status, record.rtmp[0].status) == (
        S.STARTED,
        Out.CONNECTING,
        Out.CONNECTING,
    )
    url = world.broadcasts.hls_url(record)
    assert url == f"http://node.test:8090/hls/{record.id}/{bytes(range(16)).hex()}/index.m3u8"
    assert (world.folders.folder(record) / "key").read_text() == viewer_keys.kept(
        bytes(range(16)).hex()
    )
    assert set(world.tap.streams) == {stream}
    assert [one.id for one in world.broadcasts.holding(stream)] == [record.id]
    job = world.job(record)
    job.listener.on_output("foo", "live")
    job.listener.on_output("hls", "ready")
    world.broadcasts.on_fetched(record.id)
    world.broadcasts.on_fetched(record.id)
    stopped = await world.broadcasts.stop(world.project, record.id)
    assert (stopped.status, stopped.reason, stopped.hls.status) == (S.STOPPED, USER, Out.ENDED)
    assert job.finished_with == USER
    assert world.tap.ended
    await world.over()
    assert await world.stored(record) == stopped
    assert world.statuses() == [
        ("started", "", "connecting", "connecting"),
        ("started", "", "connecting", "live"),
        ("started", "", "ready", "live"),
        ("started", "", "live", "live"),
        ("stopped", USER, "ended", "offline"),
    ]
    assert world.broadcasts.holding(stream) == []
    await refused(world.broadcasts.stop(world.project, record.id), ErrorCode.BROADCAST_NOT_RUNNING)


async def test_outputs_say_nothing_after_the_end_and_nothing_that_cannot_be(world):
    await world.publisher()
    record = await world.start()
    listener = world.job(record).listener
    listener.on_output("foo", "offline")
    listener.on_output("foo", "error")
    listener.on_output("foo", "live")
    listener.on_output("bar", "live")
    listener.on_output("hls", "live")
    assert [one[3] for one in world.statuses()] == ["connecting", "offline", "error"]
    await world.broadcasts.stop(world.project, record.id)
    listener.on_output("hls", "ready")
    assert len(world.statuses()) == 4
    assert world.statuses()[-1][2:] == ("ended", "error")


async def test_a_session_has_one_broadcast_of_a_tag(world):
    await world.publisher()
    record = await world.start()
    await refused(world.start(), ErrorCode.BROADCAST_RUNNING)
    assert len(world.egress.jobs) == 1
    await world.start(tag="other")
    await world.broadcasts.stop(world.project, record.id)
    await world.start()
    assert len(await world.folders.all()) == 3


async def test_nobody_connected_is_not_broadcast(world):
    await refused(world.start(), ErrorCode.NOBODY_CONNECTED)
    assert await world.folders.all() == []
    assert (await world.broadcasts.page(world.project, None, 0, 10))[0] == 0


async def test_a_full_node_and_a_full_disk_refuse_and_leave_nothing_behind(world):
    await world.publisher()
    world.egress.room = 0
    await refused(world.start(), ErrorCode.NO_CAPACITY)
    world.egress.room = 100
    world.folders.free = 512_000_000 - 1
    await refused(world.start(), ErrorCode.NO_CAPACITY)
    assert await world.folders.all() == []
    assert (await world.broadcasts.page(world.project, None, 0, 10)) == (0, ())
    assert world.notices == []
    assert [media.taps for media in world.house.plane.sessions.values()] == [[]]
    world.folders.free = 1 << 40
    for number in range(world.settings.running_per_project):
        await world.start(tag=str(number))
    await refused(world.start(tag="x"), ErrorCode.NO_CAPACITY)
    assert world.settings.running_per_project < MAX_OF_SESSION


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("rtmp://inside.example.com/app", ErrorCode.ADDRESS_REFUSED),
        ("rtmp://127.0.0.1/app", ErrorCode.ADDRESS_REFUSED),
        ("rtmps://localhost/app", ErrorCode.ADDRESS_REFUSED),
        ("rtmp://[::1]:1935/app", ErrorCode.ADDRESS_REFUSED),
        ("rtmp://169.254.169.254/app", ErrorCode.ADDRESS_REFUSED),
        ("http://live.example.com/app", ErrorCode.INVALID_PARAMETER),
        ("rtmp://live.example.com", ErrorCode.INVALID_PARAMETER),
        ("rtmp://user:password@live.example.com/app", ErrorCode.INVALID_PARAMETER),
        ("rtmp://live.example.com:x/app", ErrorCode.INVALID_PARAMETER),
        ("rtmp://live.example.com/a b", ErrorCode.INVALID_PARAMETER),
        ("rtmp:///app", ErrorCode.INVALID_PARAMETER),
    ],
)
async def test_targets_that_are_not_allowed_are_refused(world, url, code):
    await world.publisher()
    await refused(world.start(rtmp=(RTMP, WantedRtmp(None, url, "k"))), code)
    assert (world.egress.jobs, await world.folders.all()) == ({}, [])


async def test_targets_that_are_allowed_or_not_known_yet_are_tried(world):
    await world.publisher()
    hosts = ("allowed.example.com", "both.example.com", "unknown.example.com", "93.184.216.34")
    wanted = tuple(WantedRtmp(None, f"rtmp://{host}:1936/app?x=1", "k") for host in hosts)
    record = await world.start(rtmp=wanted, hls=None)
    assert len({one.id for one in record.rtmp}) == 4
    assert world.broadcasts.hls_url(record) is None
    assert [one.server_url for one in world.job(record).job.outputs.rtmp] == [
        one.server_url for one in wanted
    ]


@pytest.mark.parametrize("ids", [("a", "a"), ("hls", "b")])
async def test_ids_of_targets_differ(world, ids):
    await world.publisher()
    wanted = tuple(replace(RTMP, id=one) for one in ids)
    await refused(world.start(rtmp=wanted), ErrorCode.INVALID_PARAMETER)


async def test_a_broadcast_outlasts_its_clients_by_a_minute(world):
    ann, _ = await world.publisher()
    record = await world.start()
    ann.actor.expel(ann.connection)
    world.house.time.advance(59)
    assert (await world.shown(record)).status is S.STARTED
    assert world.house.directory.find(world.session.session_id) is not None
    world.house.time.advance(1)
    assert (await world.shown(record)).reason == "session ended"
    await world.over()
    world.house.time.advance(world.house.settings.linger_ms / 1000)
    assert world.house.directory.find(world.session.session_id) is None


async def test_a_client_that_comes_back_within_the_minute_is_in_the_same_broadcast(world):
    ann, _ = await world.publisher()
    record = await world.start()
    ann.actor.expel(ann.connection)
    world.house.time.advance(40)
    _, stream = await world.publisher()
    world.house.time.advance(600)
    assert (await world.shown(record)).status is S.STARTED
    assert set(world.tap.streams) == {stream}


async def test_a_broadcast_stops_at_its_maximum(world):
    await world.publisher()
    record = await world.start(max_duration_s=60)
    world.house.time.advance(59)
    assert (await world.shown(record)).is_running
    world.house.time.advance(1)
    assert (await world.shown(record)).reason == "maximum duration exceeded"


async def test_the_end_of_the_session_ends_the_broadcast(world):
    await world.publisher()
    record = await world.start()
    await world.house.directory.close()
    assert (await world.stored(record)).reason == "session ended"


@pytest.mark.parametrize(
    ("code", "reason"),
    [("child_lost", "Internal server failure"), ("disk_full", "Not enough storage")],
)
async def test_a_job_that_fails_is_reported(world, code, reason):
    await world.publisher()
    record = await world.start()
    world.job(record).fail(code)
    await world.over()
    failed = await world.stored(record)
    assert (failed.status, failed.reason, failed.hls.status) == (S.FAILED, reason, Out.ENDED)
    assert world.statuses()[-1] == ("failed", reason, "ended", "offline")


LIVE = (
    '#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:2.0,\n7.m4s\n#EXT-X-PART:DURATION=1,URI="8.0.m4s"\n'
)


async def test_the_playlist_of_a_broadcast_that_failed_has_an_end(world, tmp_path):
    await world.publisher()
    record = await world.start()
    path = world.folders.folder(record) / "index.m3u8"
    path.write_text(LIVE)
    world.job(record).fail("child_lost")
    await world.over()
    assert path.read_text().splitlines()[-2:] == ["7.m4s", "#EXT-X-ENDLIST"]
    assert sorted(one.name for one in path.parent.iterdir()) == ["index.m3u8", "key"]
    second = await world.start()
    other = world.folders.folder(second) / "index.m3u8"
    theirs = tmp_path / "theirs"
    theirs.write_text(LIVE)
    other.symlink_to(theirs)
    world.job(second).fail("child_lost")
    await world.over()
    assert theirs.read_text() == LIVE
    assert other.is_symlink()


async def test_manual_mode_broadcasts_what_is_selected_and_nothing_else(world):
    _, stream = await world.publisher()
    record = await world.start(stream_mode=StreamMode.MANUAL)
    change = world.broadcasts.change_streams
    assert world.tap.streams == {}
    await change(world.project, record.id, stream, Selection(has_video=False))
    forwarding = world.tap.streams[StreamId(stream)].forwarding
    assert forwarding == {MediaKind.VIDEO: False}
    assert world.broadcasts.selected(record.id) == {stream: Selection(has_video=False)}
    await change(world.project, record.id, stream, None)
    assert world.tap.streams == {}
    await refused(change(world.project, record.id, stream, None), ErrorCode.STREAM_NOT_FOUND)
    await refused(change(world.project, record.id, "x", Selection()), ErrorCode.STREAM_NOT_FOUND)
    await refused(change(world.project, "x", stream, None), ErrorCode.BROADCAST_NOT_FOUND)
    await world.broadcasts.stop(world.project, record.id)
    ended = change(world.project, record.id, stream, Selection())
    await refused(ended, ErrorCode.BROADCAST_NOT_RUNNING)
    auto = await world.start(tag="auto")
    await refused(change(world.project, auto.id, stream, Selection()), ErrorCode.STREAM_MODE_AUTO)


async def test_a_stylesheet_is_read_for_the_image_and_again_for_each_new_stream(world):
    _, first = await world.publisher()
    layout = {"type": "custom", "stylesheet": "stream {}"}
    record = await world.start(layout=layout, resolution="720x1280")
    await settle()
    question = world.stylesheets.asked[0]
    assert (question.root, question.width, question.height) == ("broadcast", 720, 1_280)
    _, second = await world.publisher()
    await settle()
    placed = [[one.stream for one in layout.placed] for layout in world.job(record).layouts]
    assert placed == [[first], [first, second]]
    assert (await world.stored(record)).layout == layout


async def test_the_layout_reaches_the_job_and_the_storage(world):
    await world.publisher()
    record = await world.start()
    layout = {"type": "pip"}
    changed = await world.broadcasts.set_layout(world.project, record.id, layout)
    assert changed.layout == layout
    assert world.job(record).layouts == [Layout("pip")]
    assert (await world.stored(record)).layout == layout
    await world.broadcasts.stop(world.project, record.id)
    again = world.broadcasts.set_layout(world.project, record.id, layout)
    await refused(again, ErrorCode.BROADCAST_NOT_RUNNING)


@pytest.mark.parametrize(
    ("hls", "max_duration_s", "expected"),
    [
        (WantedHls(low_latency=True, dvr=False), 14_400, (500, 0, False)),
        (WantedHls(low_latency=False, dvr=True), 14_400, (None, 7_200, False)),
        (WantedHls(low_latency=False, dvr=True), 7_200, (None, 7_200, True)),
        (WantedHls(low_latency=False, dvr=False), 60, (None, 0, False)),
    ],
)
async def test_the_job_knows_what_kind_of_playlist_it_is(world, hls, max_duration_s, expected):
    await world.publisher()
    record = await world.start(hls=hls, max_duration_s=max_duration_s)
    target = world.job(record).job.outputs.hls
    assert (target.part_ms, target.dvr_s, target.grows) == expected


async def test_the_name_of_a_stream_is_in_no_log_and_no_representation(world):
    with structlog.testing.capture_logs() as logs:
        await world.publisher()
        record = await world.start()
        world.job(record).listener.on_output("foo", "error")
        world.job(record).fail("child_lost")
        await world.over()
    key = record.hls.key
    shown = repr((logs, record, world.job(record).job, world.notices, RTMP))
    assert "stream-secret" not in shown
    assert key not in shown
    events = [one.broadcast for one in world.notices]
    assert events[-1]["broadcastUrls"]["rtmp"][0]["streamName"] == "stream-secret"


async def test_the_names_of_streams_are_wrapped_in_the_database(world, tmp_path):
    await world.publisher()
    record = await world.start()
    await world.stored(record)
    content = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("*.sqlite*"))
    assert record.id.encode() in content
    assert b"stream-secret" not in content
    assert record.hls.key.encode() not in content
    await world.store.rewrap_secrets()
    assert await world.store.broadcasts.broadcast(record.id) == record


async def test_a_killed_server_ends_its_broadcasts_at_the_next_start(world, tmp_path):
    await world.publisher()
    record = await world.start()
    other = await world.start(tag="of another node")
    await world.stored(record)
    await world.folders.delete(other)
    playlist = world.folders.folder(record) / "index.m3u8"
    playlist.write_text(LIVE)
    world.notices.clear()
    world.restart()
    await world.keeping.recover()
    assert playlist.read_text().endswith("#EXT-X-ENDLIST\n")
    ended = await world.store.broadcasts.broadcast(record.id)
    assert (ended.status, ended.reason) == (S.STOPPED, "Internal server failure")
    assert [notice.broadcast["status"] for notice in world.notices] == ["stopped"]
    assert (await world.store.broadcasts.broadcast(other.id)).is_running
    await world.keeping.recover()
    assert len(world.notices) == 1


async def test_a_running_broadcast_is_left_alone_by_house_keeping(world):
    await world.publisher()
    record = await world.start()
    await world.keeping.recover()
    await world.keeping.delete_old()
    assert (await world.shown(record)).is_running
    assert await world.folders.all() == [record.id]


async def test_a_running_broadcast_ends_before_the_disk_is_full(world):
    await world.publisher()
    record = await world.start()
    world.folders.free = 64_000_000
    await world.broadcasts.end_without_room()
    assert (await world.shown(record)).is_running
    world.folders.free -= 1
    await world.broadcasts.end_without_room()
    ended = await world.shown(record)
    assert (ended.status, ended.reason) == (S.FAILED, "Not enough storage")
    await world.broadcasts.end_without_room()


@pytest.mark.parametrize("dvr", [False, True])
async def test_what_has_ended_can_be_seen_for_a_while(world, dvr):
    await world.publisher()
    record = await world.start(hls=WantedHls(low_latency=False, dvr=dvr))
    await world.broadcasts.stop(world.project, record.id)
    await world.over()
    kept_s = world.settings.keep_dvr_s if dvr else KEEP_ENDED_S
    world.house.time.advance(kept_s - 1)
    await world.keeping.delete_old()
    assert await world.folders.all() == [record.id]
    world.house.time.advance(2)
    await world.keeping.delete_old()
    assert await world.folders.all() == []


async def test_folders_without_a_record_go_and_foreign_ones_stay(world):
    await world.publisher()
    record = await world.start()
    (world.folders.root / "lost+found").mkdir()
    stray = world.folders.root / "00000000-0000-4000-8000-000000000000"
    stray.mkdir()
    await world.keeping.delete_old()
    assert stray.exists()  # nothing in it is ours
    (stray / "key").write_text("")
    await world.keeping.delete_old()
    assert not stray.exists()
    assert (world.folders.root / "lost+found").exists()
    assert await world.folders.all() == [record.id]


async def test_the_broadcasts_of_a_removed_project_stop(world):
    await world.publisher()
    record = await world.start()
    await world.store.remove_project(world.project.api_key)
    await world.keeping.stop_orphans()
    await world.over()
    assert world.job(record).finished_with == "session ended"


async def test_the_server_waits_for_its_broadcasts(world):
    await world.publisher()
    record = await world.start()
    await world.broadcasts.close(5)
    assert (await world.stored(record)).reason == "session ended"
    await asyncio.sleep(0)
    await settle()


async def test_another_project_sees_nothing(world, tmp_path):
    await world.publisher()
    record = await world.start()
    other = BroadcastWorld(await open_sqlite(tmp_path / "other"), tmp_path)
    show = world.broadcasts.show(other.project, record.id)
    await refused(show, ErrorCode.BROADCAST_NOT_FOUND)
    assert (await world.broadcasts.page(other.project, None, 0, 10)) == (0, ())
    found = await world.broadcasts.page(world.project, world.session.session_id, 0, 10)
    assert [one.id for one in found[1]] == [record.id]
    await other.close()


async def test_mutes_reach_the_job(world):
    ann, stream = await world.publisher()
    job = world.job(await world.start())
    ann.ask(m.UpdateStream, stream_id=stream, has_video=False)
    _, muted = job.events()
    assert muted == {"event": "muted", "stream": stream, "kind": "video", "muted": True}
