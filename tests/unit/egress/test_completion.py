"""The archive of a folder, made again where it was not finished."""

import errno
import os
import subprocess
import sys

import pytest

from sfu.egress.child import names
from sfu.egress.child.completion import complete, locked
from sfu.egress.child.journal import read_journal
from tests.unit.egress.individual_archive import Archive
from tests.unit.egress.jobs import unpacked
from tests.unit.egress.media import added, audio_items, json_item, read_back


def recorded(folder):
    archive = Archive(folder).play(json_item(added(video_ssrc=0)), *audio_items(100))
    archive.archive.close()
    archive.journal.close()
    return folder


def test_where_there_is_no_room_nothing_is_begun_and_nothing_is_lost(tmp_path):
    recorded(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(OSError, match="No space left") as refused:
        complete(tmp_path, reserve_bytes=1 << 60)
    assert refused.value.errno == errno.ENOSPC
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert complete(tmp_path) is not None


def test_what_an_earlier_attempt_left_is_replaced(tmp_path):
    recorded(tmp_path)
    (tmp_path / (names.ARCHIVE + names.UNFINISHED)).write_bytes(b"half of it")
    (tmp_path / names.ARCHIVE).write_bytes(b"of an attempt without a result")
    (tmp_path / names.RESULT).write_bytes(b"{")
    result = complete(tmp_path)
    assert (tmp_path / names.ARCHIVE).stat().st_size == result.size_bytes
    assert len(unpacked(tmp_path / names.ARCHIVE)["files"]) == 1
    assert complete(tmp_path) == result


def test_files_that_were_not_removed_after_the_result_are_removed(tmp_path):
    recorded(tmp_path)
    result = complete(tmp_path)
    (tmp_path / "s1.webm").write_bytes(b"left")
    assert complete(tmp_path) == result
    assert not (tmp_path / "s1.webm").exists()


def test_a_journal_that_was_cut_off_is_read_up_to_there(tmp_path):
    recorded(tmp_path)
    journal = tmp_path / names.JOURNAL
    entries = len(list(read_journal(tmp_path)))
    content = journal.read_bytes()
    for end in range(len(content)):
        journal.write_bytes(content[:end])
        assert len(list(read_journal(tmp_path))) <= entries
    journal.write_bytes(content[:-20] + b'\xff\n[]\n{}\n{"a":"\x93"}\n' + content[-20:])
    assert complete(tmp_path) is not None
    file = unpacked(tmp_path / names.ARCHIVE)["files"][0]["filename"]
    assert len(read_back(tmp_path / "out" / file).times["audio"]) == 100


def test_a_journal_after_a_cut_line_begins_a_line_of_its_own(tmp_path):
    recorded(tmp_path)
    journal = tmp_path / names.JOURNAL
    journal.write_bytes(journal.read_bytes()[:-5])
    entries = len(list(read_journal(tmp_path)))
    Archive(tmp_path).journal.close()
    assert len(list(read_journal(tmp_path))) == entries + 1


def test_a_folder_without_a_journal_has_no_archive(tmp_path):
    assert complete(tmp_path) is None


HOLD = """
import sys
from pathlib import Path
from sfu.egress.child.completion import locked
with locked(Path(sys.argv[1])):
    print(1, flush=True)
    sys.stdin.read()
"""


def test_a_folder_belongs_to_one_process_until_that_ends(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        waited = []

        def kill_the_other():
            waited.append(True)
            os.kill(other.pid, 9)

        with locked(tmp_path, kill_the_other):
            assert waited
