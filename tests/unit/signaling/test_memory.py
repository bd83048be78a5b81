"""Memory goes back to the machine after connections have gone, and is left alone otherwise."""

import subprocess
import sys
from pathlib import Path

from signaling.memory import MemoryReturn, system_trim

BLOCK, BLOCKS = 8_000, 4_000


def trims(counts: list[int]) -> list[int]:
    """The samples at which memory was given back."""
    made: list[bool] = []
    keeper = MemoryReturn(lambda: made.append(True))
    found = []
    for number, count in enumerate(counts):
        before = len(made)
        keeper.sample(count)
        found += [number] * (len(made) - before)
    return found


def test_nothing_is_given_back_while_nobody_leaves() -> None:
    assert trims([0, 0, 3, 3, 150, 150, 151]) == []


def test_memory_goes_back_once_when_those_who_leave_have_left() -> None:
    assert trims([150, 150, 90, 10, 0, 0, 0, 0]) == [5]


def test_another_crowd_is_another_turn() -> None:
    assert trims([5, 0, 0, 5, 5, 2, 2, 2]) == [2, 6]


def test_who_leaves_while_others_come_counts() -> None:
    assert trims([10, 5, 6, 6, 6]) == [2]


def test_single_ones_who_leave_a_crowd_free_too_little() -> None:
    assert trims([100, 99, 99, 95, 95, 91, 91, 90, 90, 89, 89]) == [10]


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096


def test_free_blocks_between_used_ones_go_back_to_the_machine() -> None:
    """As after a flood: little is still used, but it lies behind what is free."""
    trim = system_trim()
    trim()
    blocks = [bytearray(BLOCK) for _ in range(BLOCKS)]
    used = blocks[::100]
    full = _resident_bytes()
    del blocks
    before = _resident_bytes()
    trim()
    assert full - before < BLOCK * BLOCKS / 4, "the C library gave it back by itself"
    assert before - _resident_bytes() > BLOCK * BLOCKS / 2
    assert len(used) == BLOCKS / 100


STARTED = """
import asyncio, gc, os, signal, sys
from config.load import load_settings
from signaling.server import run_server

def said(text):
    print(len(gc.get_objects()), gc.get_freeze_count(), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

flags = {"host": "127.0.0.1", "port": 0, "media_host": "127.0.0.1", "media_port": 0}
settings = load_settings(None, {}, {**flags, "data_dir": sys.argv[1]})
sys.exit(asyncio.run(run_server(settings, said, as_json=True)))
"""


def test_a_server_that_listens_collects_only_what_came_since(tmp_path) -> None:
    """A full collection of all that start-up made stops everything for 60 ms."""
    ended = subprocess.run(
        [sys.executable, "-c", STARTED, str(tmp_path)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    collected, kept = map(int, ended.stdout.split())
    assert collected * 20 < kept
