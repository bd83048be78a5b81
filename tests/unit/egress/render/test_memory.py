"""How much memory a process and its children take."""

import os
import subprocess
import sys

import pytest

from sfu.egress.render.memory import tree_bytes

MIB = 1_048_576
BOTH = """
import subprocess, sys
taken = bytearray(b"x" * {own})
child = None
if {below}:
    script = "import sys; taken = bytearray(b'x' * {below}); print(1, flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", script], stdin=0, stdout=subprocess.PIPE)
    child.stdout.readline()
print(1, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def taking():
    started = []

    def start(own, below):
        words = [sys.executable, "-c", BOTH.format(own=own * MIB, below=below * MIB)]
        one = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(one)
        one.stdout.readline()
        return tree_bytes(one.pid) / MIB

    yield start
    for one in started:
        one.communicate()


def test_what_descends_from_a_process_counts(taking):
    alone, together = taking(1, 0), taking(40, 60)
    assert 100 <= together - alone <= 130


def test_what_is_gone_takes_nothing(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert tree_bytes(gone.pid) == 0
    assert tree_bytes(1, tmp_path) == 0
    assert tree_bytes(os.getpid()) > MIB
