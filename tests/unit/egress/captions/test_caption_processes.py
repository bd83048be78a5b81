"""Captions in real processes: what they hear, when they die, and when they say what none says."""

import asyncio
import json
import socket
import sys
import time
from pathlib import Path

import msgspec
import pytest

from config.caption_settings import CaptionSettings
from sfu.egress import landlock
from sfu.egress.audio.opus import OpusEncoder
from sfu.egress.caption_jobs import CaptionJob
from sfu.egress.captioners import Captioners
from sfu.egress.jobs import EgressError
from tests.served import until
from tests.unit.egress.captions.sounds import silence, tone
from tests.unit.egress.jobs import WAIT_S

PROGRAM = (sys.executable, str(Path(__file__).with_name("synthetic_captions.py")), "2")
SSRC = 5


class Listener:
    def __init__(self):
        self.captions, self.noticed = [], []

    def on_caption(self, stream, text, *, is_final):
        self.captions.append((stream, text, is_final))

    def on_another_process(self):
        self.noticed.append("another process")

    def on_over(self):
        self.noticed.append("over")


class Started:
    def __init__(self, egress, *, partials=False):
        self.core, self.media = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener = Listener()
        self.egress = egress
        self.run = egress.start(CaptionJob("en-US", partials), self.media, self.listener)

    def send(self, *items):
        self.core.send(msgspec.msgpack.encode(items))

    def add_stream(self, name="s"):
        tracks = [{"ssrc": SSRC, "kind": "audio"}]
        event = {"event": "streamAdded", "stream": name, "tracks": tracks}
        self.send(("json", 0, json.dumps(event).encode()))

    def speak(self):
        """A phrase, as fast as it can be read."""
        encoder, at_us = OpusEncoder(), time.monotonic_ns() // 1_000
        sound = [silence(400), tone(600), silence(900)]
        blocks = [part[begin : begin + 960] for part in sound for begin in range(0, len(part), 960)]
        for number, block in enumerate(blocks):
            packet = encoder.encode(block)
            if packet:
                pts = at_us + number * 20_000
                frame = ("frame", SSRC, "audio", "opus", True, pts, 20_000, packet, 0, None)
                self.send((*frame, None, None))

    async def said(self):
        await until(lambda: self.listener.captions, WAIT_S)
        return self.listener.captions[-1]

    def close(self):
        self.core.close()
        self.media.close()


@pytest.fixture
async def egress():
    made = Captioners(CaptionSettings(sessions_max=1), program=PROGRAM)
    yield made
    await made.close()


@pytest.fixture
async def started(egress):
    one = Started(egress)
    yield one
    one.close()


async def test_a_phrase_is_captioned_under_the_name_of_its_stream(egress, started):
    started.add_stream()
    started.speak()
    stream, text, is_final = await started.said()
    assert (stream, is_final) == ("s", True)
    assert abs(int(text) - 600) <= 80
    await until(lambda: egress.counters().get("phrases") == 1, WAIT_S)
    assert egress.counters()["captions"] == 1


async def test_recognizers_can_be_loaded_before_the_first_captions(egress):
    await egress.load()
    loaded = egress._tools.zygote.pid
    assert loaded is not None
    await egress.load()
    one = Started(egress)
    one.add_stream()
    one.speak()
    await one.said()
    assert egress._tools.zygote.pid == loaded
    one.close()


async def test_what_cannot_be_loaded_is_tried_again_with_the_first_captions(caplog):
    egress = Captioners(CaptionSettings(), program=("/no such program",))
    await egress.load()
    assert "not loaded" in caplog.text
    await egress.close()


async def test_one_that_was_left_says_nothing_and_ends(egress, started):
    started.add_stream()
    started.speak()
    started.run.leave()
    await asyncio.wait({started.run.task}, timeout=WAIT_S)
    assert started.listener.noticed == started.listener.captions == []


async def test_another_process_follows_a_dead_one_and_learns_of_the_streams(egress, started):
    started.send(("die",))
    await until(lambda: started.listener.noticed == ["another process"], WAIT_S)
    started.add_stream("again")
    started.speak()
    assert (await started.said())[0] == "again"


async def test_what_dies_again_and_again_is_given_up(egress, started):
    for number in range(3):
        await until(
            lambda number=number: (
                len(started.listener.noticed) >= number
                and egress.counters().get("restarts", 0) >= number
            ),
            WAIT_S,
        )
        started.send(("die",))
    await until(lambda: started.listener.noticed[-1:] == ["over"], WAIT_S)


async def test_a_process_that_says_what_none_says_is_killed(egress, started):
    started.add_stream()
    started.send(("lie",))
    await until(lambda: egress.counters().get("lies") == 1, WAIT_S)
    assert started.listener.captions == []


async def test_a_full_node_starts_no_more(egress, started):
    job = CaptionJob("en-US", partials=False)
    with pytest.raises(EgressError):
        egress.start(job, started.media, Listener())


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
async def test_it_reaches_no_file_and_no_network(egress, started, tmp_path):
    (tmp_path / "there").write_text("x")
    folder = tmp_path / "own"
    folder.mkdir()
    started.send(("reach", str(folder), 9))
    started.add_stream()
    started.speak()
    await started.said()
    assert list(folder.iterdir()) == []
    assert (tmp_path / "there").read_text() == "x"
