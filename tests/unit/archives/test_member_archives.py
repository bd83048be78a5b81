"""Archives of encrypted sessions: a member service of the project records, and the server says what
and believes little."""

import hashlib
import uuid
from dataclasses import replace

import pytest

from sfu.egress import member_lines as lines
from sfu.egress.control import LineError
from signaling.domain.archiving import ArchiveStatus
from signaling.domain.errors import DomainError, ErrorCode
from signaling.domain.session_options import SessionOptions
from signaling.egress.member_runs import SILENCE_S
from signaling.egress.members import LINES_AT_ONCE, LINES_PER_S, PER_PROJECT
from signaling.protocol import messages as m
from signaling.storage.sqlite import open_sqlite
from tests.archive_world import WANTED, ArchiveWorld, refused
from tests.conversation import settle
from tests.member_side import FakeMember

DIGEST = hashlib.sha256(b"file").hexdigest()


@pytest.fixture
async def world(tmp_path):
    made = ArchiveWorld(await open_sqlite(tmp_path / "data"), tmp_path)
    made.session = replace(made.session, options=SessionOptions(e2ee=True))
    made.house.record = made.session
    yield await made.prepare()
    await made.close()


@pytest.fixture
def member(world) -> FakeMember:
    return FakeMember(world.members, world.project.api_key, world.house.time.monotonic_s)


async def start(world, **changes):
    return await world.archives.start(world.project, world.session, replace(WANTED, **changes))


async def joined(world, member, record):
    """The member's own client is in the session, and it says so."""
    recorder = await world.house.joined()
    member.say(lines.JoinedLine(record.id, recorder.welcome.connection.connection_id))
    await settle()
    return recorder


def done(record) -> lines.MemberDoneLine:
    return lines.MemberDoneLine(record.id, 4_000, DIGEST, 3_000)


async def test_a_member_is_told_what_to_record_and_the_archive_is_the_customers(
    world, member
) -> None:
    ann, stream = await world.publisher()
    record = await start(world, name="board")
    assert member.lines[0] == lines.ArchiveLine(
        record.id, world.session.session_id, "board", record.created_ms
    )
    (line,) = member.lines_of(lines.StreamLine)
    assert (line.stream, sorted(line.kinds)) == (stream, ["audio", "video"])
    await joined(world, member, record)
    member.say(lines.MemberProgressLine(record.id, 2_000, 3_000))
    assert (await world.shown(record)).recorded_ms == 2_000
    stopped = await world.archives.stop(world.project, record.id)
    assert stopped.status is ArchiveStatus.STOPPED
    assert member.lines[-1] == lines.StopLine(record.id, "user initiated")
    # Members hear it of the recorder, encrypted; the server says nothing that they would believe.
    said = (m.ArchiveStarted, m.ArchiveStopped)
    assert not [one for one in ann.inbox if isinstance(one, said)]
    member.say(done(record))
    await world.over()
    shown = await world.shown(record)
    assert (shown.status, shown.size_bytes) == (ArchiveStatus.UPLOADED, 4_000)
    assert world.archives.link(world.project, shown) is None
    assert shown.expires_ms is None
    assert world.statuses() == [
        ("started", ""),
        ("stopped", "user initiated"),
        ("uploaded", "user initiated"),
    ]
    assert await world.files.ids() == []
    assert world.egress.jobs == {}
    await world.archives.delete(world.project, record.id)
    await refused(world.archives.show(world.project, record.id), ErrorCode.ARCHIVE_NOT_FOUND)


async def test_without_a_member_nothing_starts(world) -> None:
    await world.publisher()
    await refused(start(world), ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA)
    assert world.statuses() == []
    assert await world.files.ids() == []


async def test_a_member_of_another_project_is_told_nothing(world) -> None:
    other = FakeMember(world.members, "7654321")
    await world.publisher()
    await refused(start(world), ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA)
    assert other.lines == []


async def test_streams_that_come_and_go_are_said(world, member) -> None:
    ann, stream = await world.publisher()
    await start(world)
    _, later = await world.publisher()
    ann.ask(m.Unpublish, stream_id=stream)
    await settle()
    assert [one.stream for one in member.lines_of(lines.StreamLine)] == [stream, later]
    assert [one.stream for one in member.lines_of(lines.StreamGoneLine)] == [stream]


async def test_a_session_with_its_recorder_alone_is_empty(world, member) -> None:
    ann, _ = await world.publisher()
    record = await start(world)
    await joined(world, member, record)
    ann.ask(m.Bye)
    await settle()
    assert member.lines[-1] == lines.SwitchLine(record.id, on=False)
    world.house.time.advance(30.0)
    member.say(lines.MemberProgressLine(record.id, 2_000, 3_000))
    world.house.time.advance(31.0)
    assert (await world.shown(record)).reason == "session ended"


async def test_a_member_that_is_lost_ends_its_archives_visibly(world, member) -> None:
    await world.publisher()
    record = await start(world)
    await joined(world, member, record)
    member.leave()
    await world.over()
    assert world.statuses()[-1] == ("failed", "Member service lost")
    # Another one can begin at once.
    FakeMember(world.members, world.project.api_key)
    assert (await start(world)).status is ArchiveStatus.STARTED


async def test_a_member_that_says_nothing_is_lost_with_its_archive(world, member) -> None:
    await world.publisher()
    record = await start(world)
    world.house.time.advance(SILENCE_S + 1)
    await world.over()
    assert (await world.shown(record)).status is ArchiveStatus.FAILED
    assert member.lines[-1] == lines.StopLine(record.id, "", abort=True)
    member.say(done(record))  # it had not heard of it


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("refused", "Refused by the member service"),
        ("disk_full", "Not enough storage"),
        ("no_media", "Internal server failure"),
        ("join_failed", "Internal server failure"),
    ],
)
async def test_a_member_that_fails_says_why(world, member, code, reason) -> None:
    await world.publisher()
    record = await start(world)
    member.say(lines.MemberFailedLine(record.id, code))
    await world.over()
    shown = await world.shown(record)
    assert (shown.status, shown.reason) == (ArchiveStatus.FAILED, reason)
    assert await world.files.ids() == []


async def test_what_a_member_says_is_of_its_own_archives_alone(world, member) -> None:
    other = FakeMember(world.members, "7654321")
    await world.publisher()
    record = await start(world)
    for line in (
        lines.MemberProgressLine(record.id, 1, 1),
        lines.MemberFailedLine(record.id, "no_media"),
        lines.JoinedLine(str(uuid.uuid4()), "c"),
    ):
        with pytest.raises(LineError, match="not its own"):
            other.say(line)
    assert (await world.shown(record)).is_recording


@pytest.mark.parametrize(
    "lie",
    [
        lambda archive: lines.JoinedLine(archive, "nobody"),
        lambda archive: lines.MemberProgressLine(archive, 1, 1),
        lambda archive: lines.MemberDoneLine(archive, 1, DIGEST, 1),
        lambda _: lines.OfferLine(["archive"]),
    ],
    ids=["a connection that is not there", "progress", "done", "another offer"],
)
async def test_what_cannot_be_true_is_a_lie(world, member, lie) -> None:
    await world.publisher()
    record = await start(world)
    with pytest.raises(LineError):
        member.say(lie(record.id))
    member.leave()
    await world.over()
    assert (await world.shown(record)).status is ArchiveStatus.FAILED


async def test_an_archive_cannot_be_longer_than_the_time_that_has_passed(world, member) -> None:
    await world.publisher()
    record = await start(world)
    await joined(world, member, record)
    member.say(lines.MemberProgressLine(record.id, 2**40, 1))
    assert (await world.shown(record)).recorded_ms <= 120_000


async def test_a_member_that_floods_is_no_member(world, member) -> None:
    await world.publisher()
    record = await start(world)
    await joined(world, member, record)
    line = lines.MemberProgressLine(record.id, 1, 1)
    for _ in range(LINES_AT_ONCE - 1):
        member.say(line)
    with pytest.raises(LineError, match="floods"):
        member.say(line)
    world.house.time.advance(1.0)
    for _ in range(LINES_PER_S - 1):
        member.say(line)


async def test_a_project_has_so_many_members_and_the_idlest_records(world, member) -> None:
    idle = FakeMember(world.members, world.project.api_key)
    await world.publisher()
    await start(world)
    await start(world, tag="second")
    assert len(member.lines_of(lines.ArchiveLine)) == len(idle.lines_of(lines.ArchiveLine)) == 1
    for _ in range(PER_PROJECT - 2):
        FakeMember(world.members, world.project.api_key)
    with pytest.raises(DomainError):
        FakeMember(world.members, world.project.api_key)


async def test_a_server_that_was_killed_finds_no_file_and_says_so(world, member) -> None:
    await world.publisher()
    record = await start(world)
    world.restart()
    await world.keeping.recover()
    shown = await world.shown(record)
    assert (shown.status, shown.reason) == (ArchiveStatus.FAILED, "Internal server failure")


async def test_a_full_disk_here_is_nothing_to_an_archive_that_is_elsewhere(world, member) -> None:
    world.files.free = 0
    await world.publisher()
    record = await start(world)
    await joined(world, member, record)
    member.say(lines.MemberProgressLine(record.id, 1, 1))
    await world.over()
    assert (await world.shown(record)).is_recording


async def test_a_clear_session_is_recorded_by_the_server_whoever_is_there(tmp_path) -> None:
    world = await ArchiveWorld(await open_sqlite(tmp_path / "data"), tmp_path).prepare()
    member = FakeMember(world.members, world.project.api_key)
    await world.publisher()
    record = await world.start()
    assert record.id in world.egress.jobs
    assert member.lines == []
    await world.close()


async def test_layout_classes_that_no_line_can_have_do_not_end_the_connection(
    world, member
) -> None:
    _, stream = await world.publisher()
    record = await start(world)
    (run,) = member.member.runs.values()
    classes = ["full", "x" * 1_001, *(str(number) for number in range(100))]
    run.write({"event": "layoutClassList", "stream": stream, "layoutClassList": classes})
    line = member.lines[-1]
    assert (line.archive, line.layout_class_list) == (
        record.id,
        ["full", *(str(number) for number in range(63))],
    )
