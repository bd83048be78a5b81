"""What the archives of a project take of a disk."""

import os

from config.settings import ArchiveSettings
from signaling.archives.files import ArchiveFiles
from signaling.archives.room import Room, Shortage

OURS, THEIRS = "1234567890", "1234567891"
KB = 1_024


def write(folder, name, size):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"x" * size)


def test_a_project_has_the_files_of_its_archives_and_nothing_else(tmp_path):
    files = ArchiveFiles(tmp_path)
    assert files.bytes_of(OURS) == 0
    write(tmp_path / OURS / "a", "part", 40 * KB)
    write(tmp_path / OURS / "a", "archive.zip", 20 * KB)
    write(tmp_path / OURS / "b", "part", 100 * KB)
    write(tmp_path / THEIRS / "c", "part", 400 * KB)
    write(tmp_path / OURS, "note", 400 * KB)
    (tmp_path / OURS / "linked").symlink_to(tmp_path / THEIRS / "c")
    (tmp_path / OURS / "b" / "linked").symlink_to(tmp_path / THEIRS / "c" / "part")
    assert 160 * KB <= files.bytes_of(OURS) <= 200 * KB


def test_a_file_that_is_long_and_empty_takes_nothing(tmp_path):
    write(tmp_path / OURS / "a", "part", 4 * KB)
    os.truncate(tmp_path / OURS / "a" / "part", 1 << 30)
    assert ArchiveFiles(tmp_path).bytes_of(OURS) < 100 * KB


async def test_only_the_project_above_its_space_finds_none(tmp_path):
    room = Room(ArchiveFiles(tmp_path), ArchiveSettings(max_project_mb=1, min_free_mb=64))
    write(tmp_path / OURS / "a", "part", 1_000 * KB)
    write(tmp_path / THEIRS / "b", "part", 100 * KB)
    await room.look({OURS, THEIRS})
    assert (room.for_new(OURS), room.for_new(THEIRS)) == (Shortage.QUOTA, None)
    assert (room.for_running(OURS), room.for_running(THEIRS)) == (Shortage.QUOTA, None)
