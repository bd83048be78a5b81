"""What is written survives the process that wrote it."""

import json
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from signaling.callbacks.journal import Journal, not_queued
from signaling.domain.callbacks import CallbackEvent
from signaling.storage.wrapping import SecretWrapper

ROOT = Path(__file__).parents[3]
WRAPPER = SecretWrapper((bytes(32),))


def event(number: int) -> CallbackEvent:
    return CallbackEvent(
        f"e{number}", "p", "s", "connectionDestroyed", number, {"connection": {"data": "ä\n" * 3}}
    )


def die(journal: Journal) -> None:
    """As the kernel does it: files close, nothing else happens."""
    journal.close(empty=False)


def test_a_new_folder_has_no_leftovers_and_is_for_the_owner_only(tmp_path):
    folder = tmp_path / "j"
    journal = Journal(folder, 999, WRAPPER)
    journal.write(event(1))
    assert journal.leftovers == ()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    journal.close(empty=True)
    assert [file.name for file in folder.iterdir()] == ["lock"]


def test_what_a_dead_process_left_is_read_in_order_across_both_files(tmp_path):
    first = Journal(tmp_path, 999, WRAPPER)
    first.write(event(1))
    first.turn()
    first.write(event(2))
    first.turn()
    first.write(event(3))
    die(first)
    second = Journal(tmp_path, 999, WRAPPER)
    assert second.leftovers == (event(1), event(2), event(3))
    second.close(empty=True)


def test_what_is_done_is_gone_and_what_came_meanwhile_is_not(tmp_path):
    first = Journal(tmp_path, 999, WRAPPER)
    first.write(event(1))
    first.turn()
    first.write(event(2))
    first.done()
    die(first)
    second = Journal(tmp_path, 999, WRAPPER)
    assert second.leftovers == (event(2),)
    second.close(empty=True)


def test_leftovers_are_left_over_until_they_are_done(tmp_path):
    first = Journal(tmp_path, 999, WRAPPER)
    first.write(event(1))
    die(first)
    second = Journal(tmp_path, 999, WRAPPER)
    die(second)
    third = Journal(tmp_path, 999, WRAPPER)
    assert third.leftovers == (event(1),)
    third.turn()
    third.done()
    die(third)
    fourth = Journal(tmp_path, 999, WRAPPER)
    assert fourth.leftovers == ()
    fourth.close(empty=True)


def test_what_events_say_is_wrapped_and_what_an_earlier_release_left_is_read(tmp_path):
    first = Journal(tmp_path, 999, WRAPPER)
    said = CallbackEvent("e1", "p", "s", "broadcast", 1, {"streamName": "canary-of-a-name"})
    first.write(said)
    first.write(replace(said, id="e2", event="connectionCreated"))
    die(first)
    files = sorted(tmp_path.glob("*.jsonl"))  # the first has events, the last those present
    assert len(files) == 3
    assert not any(b"canary" in file.read_bytes() for file in files)
    in_clear = {"n": 9, "id": "e0", "project_id": "p", "session_id": "s", "event": "broadcast"}
    in_clear |= {"at_ms": 3, "details": {"status": "live"}}
    with files[0].open("a") as file:
        file.write(json.dumps(in_clear) + "\n")
    second = Journal(tmp_path, 999, WRAPPER)
    before = CallbackEvent("e0", "p", "s", "broadcast", 3, {"status": "live"})
    assert [one for one in second.leftovers if one.event == "broadcast"] == [said, before]
    second.close(empty=True)


def test_an_event_that_no_key_opens_keeps_no_other_from_being_read(tmp_path):
    first = Journal(tmp_path, 999, SecretWrapper((bytes([1]) * 32,)))
    first.write(event(1))
    die(first)
    second = Journal(tmp_path, 999, WRAPPER)
    second.write(event(2))
    die(second)
    third = Journal(tmp_path, 999, WRAPPER)
    assert third.leftovers == (event(2),)
    third.close(empty=True)


def test_files_of_the_living_are_left_alone(tmp_path):
    living = Journal(tmp_path, 999, WRAPPER)
    living.write(event(1))
    other = Journal(tmp_path, 999, WRAPPER)
    assert other.leftovers == ()
    other.close(empty=True)
    living.close(empty=True)


def test_a_line_that_was_cut_short_is_left_out(tmp_path):
    first = Journal(tmp_path, 999, WRAPPER)
    first.write(event(1))
    first.write(event(2))
    die(first)
    for file in tmp_path.glob("*.jsonl"):
        file.write_bytes(file.read_bytes()[:-9] + b'\n[]\n{"n":1}\n\xff\n')
    second = Journal(tmp_path, 999, WRAPPER)
    assert second.leftovers == (event(1),)
    second.close(empty=True)


WRITER = """
import pathlib, sys
from signaling.callbacks.journal import Journal
from signaling.domain.callbacks import CallbackEvent
from signaling.storage.wrapping import SecretWrapper
journal = Journal(pathlib.Path(sys.argv[1]), 0, SecretWrapper((bytes(32),)))
number = 0
while True:
    journal.write(CallbackEvent(f"e{number}", "p", "s", "sessionDestroyed", number, {}))
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
    journal = Journal(tmp_path, 999, WRAPPER)
    assert [one.at_ms for one in journal.leftovers][: said + 1] == list(range(said + 1))
    journal.close(empty=True)


# --- what a dead process took along -------------------------------------------------------


def life(event: str, own: str = "", session: str = "s") -> CallbackEvent:
    kind = "stream" if event.startswith("stream") else "connection"
    details = {} if event.startswith("session") else {kind: {"id": own}}
    return CallbackEvent(f"{event} {session} {own}", "p", session, event, 5, details)


def taken_along(folder, *events):
    """What the next process finds when one dies after these events, all of them delivered."""
    journal = Journal(folder, 0, WRAPPER)
    for one in events:
        journal.write(one)
    journal.turn()
    journal.done()
    die(journal)
    heir = Journal(folder, 999, WRAPPER)
    heir.close(empty=False)
    return heir.leftovers


def test_what_was_open_ends_with_its_process_streams_first(tmp_path):
    ends = taken_along(
        tmp_path,
        life("sessionCreated"),
        life("connectionCreated", "ann"),
        life("streamCreated", "cam"),
        life("connectionCreated", "ben"),
        life("connectionDestroyed", "ben"),
    )
    assert [one.event for one in ends] == [
        "streamDestroyed",
        "connectionDestroyed",
        "sessionDestroyed",
    ]
    assert {one.at_ms for one in ends} == {999}
    assert ends[1].details == {"connection": {"id": "ann"}, "reason": "networkDisconnected"}
    assert "reason" not in ends[2].details


def test_what_had_ended_does_not_end_again(tmp_path):
    ended = [life("sessionCreated"), life("connectionCreated", "a")]
    ended += [life("connectionDestroyed", "a"), life("sessionDestroyed")]
    assert taken_along(tmp_path, *ended) == ()


def test_the_same_end_has_the_same_id_until_it_is_safe(tmp_path):
    first = taken_along(tmp_path, life("sessionCreated"))
    second = Journal(tmp_path, 1_234, WRAPPER)
    assert [one.id for one in second.leftovers] == [one.id for one in first]
    second.turn()
    second.done()
    second.close(empty=True)
    third = Journal(tmp_path, 1_234, WRAPPER)
    assert third.leftovers == ()
    third.close(empty=True)
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]


def test_the_file_of_the_open_stays_small_and_right_however_long_it_lives(tmp_path):
    journal = Journal(tmp_path, 0, WRAPPER)
    journal.write(life("sessionCreated"))
    for number in range(5_000):
        journal.write(life("connectionCreated", str(number)))
        if number != 3_000:
            journal.write(life("connectionDestroyed", str(number)))
        journal.turn()
        journal.done()
    (file,) = tmp_path.glob("*.open.jsonl")
    assert len(file.read_bytes().splitlines()) < 1_010
    die(journal)
    heir = Journal(tmp_path, 999, WRAPPER)
    assert [one.event for one in heir.leftovers] == ["connectionDestroyed", "sessionDestroyed"]
    assert heir.leftovers[0].details["connection"] == {"id": "3000"}
    heir.close(empty=True)


def named(events):
    return [(one.event, one.details["connection"]["id"]) for one in events]


def test_whoever_looks_from_outside_sees_what_is_not_queued_of_the_living_and_the_dead(tmp_path):
    """What a dead process took along has ended, whether a living one has adopted it or not."""
    assert not_queued(tmp_path / "none", 7, WRAPPER) == ()
    dead = Journal(tmp_path, 1, WRAPPER)
    dead.write(life("connectionCreated", "a"))
    dead.turn()
    dead.done()
    assert not_queued(tmp_path, 7, WRAPPER) == ()
    die(dead)
    assert named(not_queued(tmp_path, 7, WRAPPER)) == [("connectionDestroyed", "a")]
    living = Journal(tmp_path, 7, WRAPPER)
    living.write(life("connectionCreated", "b"))
    seen = [("connectionDestroyed", "a"), ("connectionCreated", "b")]
    assert named(not_queued(tmp_path, 7, WRAPPER)) == seen
    # To look changes nothing: neither for the living nor for the next start.
    die(living)
    last = Journal(tmp_path, 9, WRAPPER)
    assert named(last.leftovers) == [*seen, ("connectionDestroyed", "b")]
    last.turn()
    last.done()
    assert not_queued(tmp_path, 9, WRAPPER) == ()
    last.close(empty=True)
