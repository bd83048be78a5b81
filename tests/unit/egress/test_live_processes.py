"""Broadcasts in real processes: played while they run, to RTMP and HLS, and followed when they are
killed."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from config.settings import EgressSettings
from sfu.egress.broadcast_jobs import BroadcastJob
from sfu.egress.live_outputs import HlsTarget, LiveOutputs, RtmpTarget
from sfu.egress.supervisor import Supervisor
from tests.rtmp_server import RtmpServer
from tests.served import until
from tests.unit.egress.composing import color, tone
from tests.unit.egress.hls_rules import check, check_follows
from tests.unit.egress.jobs import OPEN_TAPS, WAIT_S, Listener, Tap, now_us
from tests.unit.egress.media import added
from tests.unit.egress.test_hls_output import probed

COMPOSER = (sys.executable, str(Path(__file__).with_name("synthetic_composer.py")))
LOW = HlsTarget(2_000, part_ms=500)


class LiveListener(Listener):
    def on_output(self, output, status):
        self._add("output", output, status)

    def on_finished(self):
        self._add("finished")

    async def output(self, output, status):
        await self.wait_for(lambda event: event == ("output", output, status))


@pytest.fixture(autouse=True)
def taps():
    yield
    while OPEN_TAPS:
        OPEN_TAPS.pop().close()


@pytest.fixture
async def egress():
    made = Supervisor(EgressSettings(cores=4), composing_program=COMPOSER)
    yield made
    await made.close()


class Started:
    def __init__(self, egress, folder, **outputs):
        self.folder = folder
        self.tap, self.listener = Tap(), LiveListener()
        job = BroadcastJob(
            broadcast="b1",
            folder=folder,
            session="the-session",
            created_unix_ms=time.time_ns() // 1_000_000,
            hold_ms=100,
            resolution="320x240",
            layout={"type": "bestFit"},
            has_audio=True,
            has_video=True,
            max_bitrate=None,
            outputs=LiveOutputs(**outputs),
        )
        self.run = egress.start_broadcast(job, self.tap.child_end, self.listener)
        self.tap.event(added())

    @property
    def pid(self):
        return self.run._job._link.process.pid

    def play(self, seconds, start_us):
        items = [
            *color(90, 30 * seconds, start_us=start_us),
            *tone(0.2, 50 * seconds, start_us=start_us),
        ]
        self.tap.play(*sorted(items, key=lambda item: item[5]))

    @property
    def playlist(self):
        return (self.folder / "index.m3u8").read_text()

    async def end(self):
        self.tap.end()
        self.run.finish("user initiated")
        return (await self.listener.end())[0]


async def test_a_broadcast_is_a_playlist_while_it_runs_and_goes_to_an_rtmp_server(egress, tmp_path):
    server = RtmpServer()
    target = RtmpTarget("foo", server.url, "stream-secret")
    started = Started(egress, tmp_path, hls=LOW, rtmp=(target,), allowed_networks="127.0.0.0/8")
    await started.listener.output("foo", "live")
    started.play(6, now_us() - 6_000_000)  # what is late is made up for
    await started.listener.output("hls", "ready")
    check(started.playlist)
    assert await started.end() == "finished"
    found = check(started.playlist)
    assert found.ended
    streams = probed(started.folder / "index.m3u8")
    assert int(streams["video"]["nb_read_frames"]) >= 175
    assert (streams["video"]["width"], streams["video"]["profile"]) == (320, "Main")
    assert (streams["audio"]["codec_name"], streams["audio"]["sample_rate"]) == ("aac", "48000")
    (peer,) = server.peers
    assert len(peer.video) > 1
    assert peer.commands[-1][0] == "deleteStream"
    server.close()


async def test_a_killed_process_is_followed_by_another_one_in_the_same_playlist(egress, tmp_path):
    started = Started(egress, tmp_path, hls=LOW)
    started.play(4, now_us() - 4_000_000)
    await started.listener.output("hls", "ready")
    os.kill(started.pid, signal.SIGKILL)
    await until(lambda: egress.counters().get("restarts") == 1, WAIT_S)
    before = started.playlist
    started.play(3, now_us())
    await until(lambda: started.playlist != before, WAIT_S)
    assert await started.end() == "finished"
    after = started.playlist
    check_follows(before, after)
    assert [one.discontinuity for one in check(after).segments].count(True) == 1
    assert egress.counters()["restarts"] == 1


async def test_a_target_that_is_not_allowed_is_in_error_and_the_rest_goes_on(egress, tmp_path):
    server = RtmpServer()
    target = RtmpTarget("foo", server.url, "k")
    started = Started(egress, tmp_path, hls=HlsTarget(2_000), rtmp=(target,), rtmp_retry_s=1)
    await started.listener.output("foo", "error")
    started.play(3, now_us() - 3_000_000)
    assert await started.end() == "finished"
    assert check(started.playlist).ended
    assert server.peers == []
    server.close()
