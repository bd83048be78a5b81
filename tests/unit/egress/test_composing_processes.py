"""Composed jobs in real processes: followed when they are killed, confined, out of room."""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from config.settings import EgressSettings
from sfu.egress import capacity
from sfu.egress.composition import Composition, Layout
from sfu.egress.jobs import EgressError
from sfu.egress.supervisor import Supervisor
from tests.unit.egress.composing import Film, color, composition, tone
from tests.unit.egress.jobs import OPEN_TAPS, Listener, Tap, job_in, now_us
from tests.unit.egress.media import added

COMPOSER = (sys.executable, str(Path(__file__).with_name("synthetic_composer.py")))
S = 1_000_000
SMALL = composition()


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
    def __init__(self, egress, folder, wanted=SMALL):
        self.tap, self.listener = Tap(), Listener()
        job = job_in(folder, composition=wanted)
        self.job = egress.start(job, self.tap.child_end, self.listener)

    @property
    def pid(self):
        return self.job._link.process.pid

    async def end(self):
        self.tap.end()
        self.job.finish("user initiated")
        event, result = await self.listener.end()
        assert event == "finished"
        return Film(result.file, result)


def seconds(count, start_us, luma=90):
    items = [
        *color(luma, 30 * count, start_us=start_us),
        *tone(0.2, 50 * count, start_us=start_us),
    ]
    return sorted(items, key=lambda item: item[5])


async def test_a_composed_archive_from_start_to_finish(egress, tmp_path):
    started = Started(egress, tmp_path)
    started.tap.event(added())
    started.tap.play(*seconds(3, now_us()))
    await started.listener.until("recording")
    if os.geteuid() != 0:
        limits = (Path("/proc") / str(started.pid) / "limits").read_text()
        assert "Max processes             0                    0" in limits
    film = await started.end()
    assert film.path == tmp_path / "archive.mp4"
    assert film.result.recorded_ms >= 2_900  # longer where a busy machine sees the end late
    assert len(film.frames) == round(film.result.recorded_ms * 30 / 1_000)
    assert film.path.stat().st_size == film.result.size_bytes
    assert film.path.stat().st_mode & 0o777 == 0o600
    assert egress.running == 0


async def test_a_killed_composer_is_followed_by_another_one_in_the_same_file(egress, tmp_path):
    started = Started(egress, tmp_path)
    start_us = now_us() - 6 * S
    started.tap.event(added())
    started.tap.play(*seconds(5, start_us))
    await started.listener.wait_for(lambda event: event[0] == "progress" and event[1] >= 4_900)
    os.kill(started.pid, signal.SIGKILL)
    await started.listener.until("progress", after=len(started.listener.events))
    started.tap.play(*seconds(2, start_us + 10 * S, 180))
    film = await started.end()
    assert len(film.frames) >= 359
    assert [round(time * 30) for time in film.times] == list(range(len(film.frames)))
    assert abs(film.at(2)[100:140, 100:200].mean() - 90) < 6
    assert abs(film.at(11.5)[100:140, 100:200].mean() - 180) < 6
    assert abs(len(film.audio) - len(film.frames) * 1_600) <= 4_096
    assert egress.counters()["restarts"] == 1


async def test_a_layout_reaches_the_process_and_the_one_that_follows_it(egress, tmp_path):
    started = Started(egress, tmp_path, replace(SMALL, layout=Layout("horizontalPresentation")))
    started.tap.event(added("s1", audio_ssrc=0))
    started.tap.event(added("s2", video_ssrc=3, audio_ssrc=0))
    started.job.set_layout(Layout("pip"))
    start_us = now_us()
    started.tap.play(*color(90, 60, start_us=start_us), *color(180, 60, ssrc=3, start_us=start_us))
    await started.listener.until("recording")
    last = (await started.end()).frames[-1][1]
    assert abs(last[:40, :].mean() - 90) < 6
    assert abs(last[180:226, 240:306].mean() - 180) < 6


async def test_a_full_disk_ends_a_composed_archive_and_what_was_written_can_be_recovered(
    egress, tmp_path
):
    started = Started(egress, tmp_path)
    started.tap.event(added())
    started.tap.play(("limit", 12_000), *seconds(10, now_us() - 10 * S))
    assert (await started.listener.end())[:2] == ("failed", "disk_full")
    result = await egress.recover(job_in(tmp_path, composition=SMALL))
    film = Film(result.file, result)
    assert len(film.frames) >= 30
    assert [round(time * 30) for time in film.times] == list(range(len(film.frames)))


async def test_nothing_composed_is_no_media(egress, tmp_path):
    started = Started(egress, tmp_path)
    started.tap.event(added())
    started.tap.end()
    started.job.finish("user initiated")
    assert (await started.listener.end())[:2] == ("failed", "no_media")


async def test_above_the_cores_a_composed_job_is_refused_and_others_are_not(tmp_path):
    egress = Supervisor(EgressSettings(cores=1), composing_program=("/bin/false",))
    large = Composition(1280, 720, Layout())
    first = Started(egress, tmp_path / "1", large)
    with pytest.raises(EgressError) as refused:
        Started(egress, tmp_path / "2", large)
    assert refused.value.code == "no_capacity"
    assert OPEN_TAPS[-1].child_end.fileno() == -1
    second = Started(egress, tmp_path / "3", Composition(640, 480, Layout()))
    for one in (first, second):
        one.job.abort()
    await asyncio.gather(first.job.task, second.job.task, return_exceptions=True)
    await egress.close()


def test_what_a_composed_job_takes():
    sizes = [(640, 480), (480, 640), (1280, 720), (1080, 1920)]
    costs = [capacity.cost(Composition(*size, Layout())) for size in sizes]
    assert costs == [0.35, 0.35, 0.65, 1.25]
    assert capacity.cost(Composition(640, 480, Layout(), has_video=False)) == 0.05
    assert capacity.has_room([], 1.25, 1)
    assert not capacity.has_room([0.35], 1.25, 1)
    assert capacity.has_room([0.35, 0.65], 1.0, 2)
    assert capacity.budget(3) == 3
    assert capacity.budget(0) == len(os.sched_getaffinity(0)) / 2
