"""Which streams an archive holds, and what clients are told of archives."""

from dataclasses import replace

import pytest

from sfu.ids import ConnectionId, StreamId
from signaling.domain.archived_streams import Selection, archived_streams
from signaling.domain.archiving import MAX_STREAMS, ArchiveRecord, StreamMode
from signaling.domain.commands import ArchiveBegan, ArchiveEnded, SetLayoutClasses
from signaling.domain.errors import DomainError
from signaling.protocol import messages as m
from tests.domain_room import Room, broadcast, limits_with, sent

RECORD = ArchiveRecord("a", "1", "s", "n", StreamMode.AUTO, True, True, "", 5, 5)
STARTED = m.ArchiveStarted(id="a", name="n")


@pytest.fixture
def room() -> Room:
    made = Room()
    made.join("ann", data="Ann")
    made.publish("ann", "one", name="camera of Ann", video_type="camera")
    made.publish("ann", "two", tracks=(("2", "audio"),))
    return made


def archived(room: Room, selected=None, **changes):
    return archived_streams(room.state, replace(RECORD, **changes), selected or {})


def test_an_archive_holds_every_stream_with_what_is_known_of_it(room) -> None:
    found = archived(room)
    assert list(found) == ["one", "two"]
    assert found["one"].recorded == {"audio": True, "video": True}
    assert found["two"].recorded == {"audio": True}
    assert found["one"].properties == {
        "createdAt": 1_700_000_000_500,
        "connectionData": "Ann",
        "videoType": "camera",
        "name": "camera of Ann",
    }


def test_a_stream_that_is_not_announced_yet_is_not_archived(room) -> None:
    room.offer("ann", "three")
    assert "three" not in archived(room)


def test_an_archive_without_video_or_audio_leaves_it_out_and_streams_of_it_alone(room) -> None:
    assert archived(room, has_video=False)["one"].recorded == {"audio": True}
    assert list(archived(room, has_audio=False)) == ["one"]


def test_what_is_muted_and_moved_is_seen(room) -> None:
    room.ask("ann", m.UpdateStream(id=3, stream_id="one", has_video=False))
    room.do(SetLayoutClasses(((StreamId("one"), ("focus",)),)))
    found = archived(room)["one"]
    assert found.sent == {"audio": True, "video": False}
    assert found.layout_classes == ("focus",)


def test_in_manual_mode_only_what_was_selected_is_recorded(room) -> None:
    manual = {"stream_mode": StreamMode.MANUAL}
    assert archived(room, **manual) == {}
    found = archived(room, {StreamId("one"): Selection(has_video=False)}, **manual)
    assert found["one"].recorded == {"audio": True, "video": False}
    assert list(found) == ["one"]


def test_an_archive_holds_the_fifty_oldest_streams() -> None:
    room = Room(limits=limits_with(streams_per_connection=MAX_STREAMS + 1))
    room.join("ann")
    for number in range(MAX_STREAMS + 1):
        room.publish("ann", f"s-{number}", tracks=((str(number), "audio"),))
    found = archived(room)
    assert len(found) == MAX_STREAMS
    assert f"s-{MAX_STREAMS}" not in found


def test_an_archive_is_announced_to_everybody_and_to_who_comes_later(room) -> None:
    assert broadcast(room.do(ArchiveBegan("a", "n"))) == [STARTED]
    effects = room.join("late")
    assert sent(effects, "late")[0].connection.connection_id == "late"
    assert sent(effects, "late")[1] == STARTED
    assert STARTED not in sent(effects, "ann")
    assert broadcast(room.do(ArchiveEnded("a"))) == [m.ArchiveStopped(id="a", name="n")]
    assert room.do(ArchiveEnded("a")) == []
    assert STARTED not in sent(room.join("later"), "later")


def test_no_archive_is_announced_in_an_encrypted_session() -> None:
    room = Room(e2ee=True)
    room.join("ann")
    with pytest.raises(DomainError, match="end-to-end encrypted"):
        room.do(ArchiveBegan("a", "n"))
    assert room.state.archives == {}
    assert ConnectionId("ann") in room.state.connections
