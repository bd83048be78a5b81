"""What is written survives the process that wrote it."""

import stat
import subprocess
import sys
from pathlib import Path

from signaling.callbacks.journal import Journal
from signaling.domain.callbacks import Occurrence

ROOT = Path(__file__).parents[3]


def event(number: int) -> Occurrence:
    return Occurrence(
        f"e{number}", "p", "s", "connectionCreated", number, {"connection": {"data": "ä\n" * 3}}
    )


def die(journal: Journal) -> None:
    """As the kernel does it: files close, nothing else happens."""
    journal.close(empty=False)


def test_a_new_folder_has_no_leftovers_and_is_for_the_owner_only(tmp_path):
    folder = tmp_path / "j"
    journal = Journal(folder)
    journal.write(event(1))
    assert journal.leftovers == ()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    journal.close(empty=True)
    assert [file.name for file in folder.iterdir()] == ["lock"]


def test_what_a_dead_process_left_is_read_in_order_across_both_files(tmp_path):
    first = Journal(tmp_path)
    first.write(event(1))
    first.turn()
    first.write(event(2))
    first.turn()
    first.write(event(3))
    die(first)
    second = Journal(tmp_path)
    assert second.leftovers == (event(1), event(2), event(3))
    second.close(empty=True)


def test_what_is_done_is_gone_and_what_came_meanwhile_is_not(tmp_path):
    first = Journal(tmp_path)
    first.write(event(1))
    first.turn()
    first.write(event(2))
    first.done()
    die(first)
    second = Journal(tmp_path)
    assert second.leftovers == (event(2),)
    second.close(empty=True)


def test_leftovers_are_left_over_until_they_are_done(tmp_path):
    first = Journal(tmp_path)
    first.write(event(1))
    die(first)
    second = Journal(tmp_path)
    die(second)
    third = Journal(tmp_path)
    assert third.leftovers == (event(1),)
    third.turn()
    third.done()
    die(third)
    fourth = Journal(tmp_path)
    assert fourth.leftovers == ()
    fourth.close(empty=True)


def test_files_of_the_living_are_left_alone(tmp_path):
    living = Journal(tmp_path)
    living.write(event(1))
    other = Journal(tmp_path)
    assert other.leftovers == ()
    other.close(empty=True)
    living.close(empty=True)


def test_a_line_that_was_cut_short_is_left_out(tmp_path):
    first = Journal(tmp_path)
    first.write(event(1))
    first.write(event(2))
    die(first)
    for file in tmp_path.glob("*.jsonl"):
        file.write_bytes(file.read_bytes()[:-9] + b'\n[]\n{"n":1}\n\xff\n')
    second = Journal(tmp_path)
    assert second.leftovers == (event(1),)
    second.close(empty=True)


WRITER = """
import pathlib, sys
from signaling.callbacks.journal import Journal
from signaling.domain.callbacks import Occurrence
journal = Journal(pathlib.Path(sys.argv[1]))
number = 0
while True:
    journal.write(Occurrence(f"e{number}", "p", "s", "sessionCreated", number, {}))
    print(number, flush=True)
    number += 1
"""


def test_a_killed_process_leaves_every_event_that_it_wrote(tmp_path):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    for line in writer.stdout:
        if int(line) >= 100:
            writer.kill()
            break
    said = 100 + len(writer.stdout.read().splitlines()[:-1])
    writer.stdout.close()
    writer.wait(10)
    journal = Journal(tmp_path)
    assert [one.at_ms for one in journal.leftovers][: said + 1] == list(range(said + 1))
    journal.close(empty=True)
