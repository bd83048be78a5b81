"""Jobs in real processes: killed, hanging, out of room, without a server."""

import asyncio
import errno
import hashlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import EgressSettings
from sfu.egress import landlock
from sfu.egress.jobs import EgressError
from sfu.egress.supervisor import Supervisor
from tests.unit.egress.hostile_zygote import ANSWERS
from tests.unit.egress.jobs import (
    OPEN_TAPS,
    PROGRAM,
    WAIT_S,
    Listener,
    Tap,
    job_in,
    now_us,
    supervisor,
    unpacked,
)
from tests.unit.egress.media import added, audio_items, in_order, read_back, video_items

OUTSIDE = {
    "read a file": errno.EACCES,
    "list a folder": errno.EACCES,
    "read the server's memory": errno.EACCES,
    "write a file": errno.EACCES,
    "remove a file": errno.EACCES,
    "move a file in": errno.EACCES,
    "make a link": errno.EACCES,
}
TRUNCATING = {"truncate a file": errno.EACCES}
BY_TCP = {"connect": errno.EACCES, "listen": errno.EACCES}
SIGNALS = {"end another process": errno.EPERM}
"""By the version of Landlock that forbids them."""


@pytest.fixture(autouse=True)
def taps():
    yield
    while OPEN_TAPS:
        OPEN_TAPS.pop().close()


@pytest.fixture
async def egress():
    made = supervisor()
    yield made
    await made.close()


class Started:
    def __init__(self, egress, folder, **more):
        self.tap, self.listener = Tap(), Listener()
        self.job = egress.start(job_in(folder, **more), self.tap.child_end, self.listener)

    @property
    def pid(self):
        return self.job._link.process.pid


def seconds(count, *, start_us, ssrc=0, codec="vp8"):
    video = video_items(codec, 30 * count, start_us=start_us, ssrc=1 + ssrc)
    return in_order(video, audio_items(50 * count, start_us=start_us, ssrc=2 + ssrc))


async def test_an_archive_from_start_to_finish(egress, tmp_path):
    assert egress.zygote_pid is None
    started = Started(egress, tmp_path)
    start_us = now_us()
    started.tap.event(added(connectionData="data"))
    started.tap.play(*seconds(3, start_us=start_us))
    started.tap.end()
    await started.listener.until("recording")
    started.job.finish("user initiated")
    started.job.finish("again")
    event, result = await started.listener.end()
    assert event == "finished"
    assert result.file == tmp_path / "archive.zip"
    content = result.file.read_bytes()
    assert (len(content), hashlib.sha256(content).digest()) == (result.size_bytes, result.sha256)
    assert 2900 <= result.recorded_ms <= 3100
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "archive.zip",
        "lock",
        "result.json",
    ]
    (file,) = unpacked(result.file)["files"]
    assert 0 <= file["startTimeOffset"] <= 5_000
    back = read_back(tmp_path / "out" / file["filename"])
    assert back.decoded == {"video": 90, "audio": 150}
    await asyncio.sleep(0)
    assert egress.running == 0


async def test_a_child_has_three_kinds_of_descriptors_no_environment_and_few_rights(
    egress, tmp_path
):
    started = Started(egress, tmp_path)
    started.tap.event(added())
    started.tap.play(*seconds(1, start_us=now_us()))
    await started.listener.until("recording")
    of_child = Path("/proc") / str(started.pid)
    links = {int(link.name): str(link.readlink()) for link in (of_child / "fd").iterdir()}
    assert {links[0], links[1], links[2]} == {"/dev/null"}
    assert {links[3].partition(":")[0], links[4].partition(":")[0]} == {"socket"}
    others = {Path(name).parent for number, name in links.items() if number > 4}
    sockets = {name for name in others if str(name).startswith("socket")}
    assert len([n for n, name in links.items() if n > 4 and name.startswith("socket")]) <= 2
    assert others - sockets <= {tmp_path, Path()}
    assert (of_child / "environ").read_bytes() == b""
    assert (of_child / "oom_score_adj").read_text().strip() == "500"
    limits = (of_child / "limits").read_text()
    assert "Max core file size        0                    0" in limits
    assert os.getpriority(os.PRIO_PROCESS, int(of_child.name)) >= 10
    # Whoever ends the server's group of processes leaves the files to be completed.
    for sent in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(started.pid, sent)
    started.tap.end()
    started.job.finish("user initiated")
    event, result = await started.listener.end()
    assert event == "finished"
    assert len(unpacked(result.file)["files"]) == 1
    assert result.file.stat().st_mode & 0o777 == 0o600


async def test_a_child_that_was_taken_over_reaches_nothing_but_its_folder(egress, tmp_path):
    folder = tmp_path / "job"
    (tmp_path / "there").write_text("x")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        started = Started(egress, folder)
        started.tap.event(added(video_ssrc=0))
        started.tap.play(
            ("reach", str(folder), listening.getsockname()[1]),
            *audio_items(5, start_us=now_us()),
        )
        await started.listener.until("recording")
    found = json.loads((folder / "reach.json").read_bytes())
    version = landlock.version()
    expected = {"use its own folder": 0, "take memory": errno.ENOMEM, "no new privileges": 1}
    if os.geteuid() != 0:
        expected["processes"] = 0
    since = {1: OUTSIDE, 3: TRUNCATING, 4: BY_TCP, 6: SIGNALS}
    for needed, attempts in since.items():
        expected |= {name: error for name, error in attempts.items() if version >= needed}
    assert {name: found[name] for name in expected} == expected
    if version >= 3:
        assert (tmp_path / "there").read_text() == "x"
    started.tap.end()
    started.job.finish("user initiated")
    event, result = await started.listener.end()
    assert event == "finished"
    assert len(unpacked(result.file)["files"]) == 1


async def test_a_killed_child_is_followed_by_another_one_and_leaves_a_gap(egress, tmp_path):
    started = Started(egress, tmp_path)
    start_us = now_us()
    started.tap.event(added())
    started.tap.play(*seconds(5, start_us=start_us))
    await started.listener.until("recording")
    await started.listener.wait_for(lambda event: event[0] == "progress" and event[1] >= 4_900)
    first = started.pid
    os.kill(first, signal.SIGKILL)
    await started.listener.until("progress", after=len(started.listener.events))
    assert started.pid != first
    started.tap.play(*seconds(2, start_us=start_us + 6_000_000))
    started.tap.end()
    started.job.finish("user initiated")
    event, result = await started.listener.end()
    assert event == "finished"
    one, two = unpacked(result.file)["files"]
    assert (one["filename"], two["filename"]) == ("s1.webm", "s1-2.webm")
    ((gap_from, gap_to, reason),) = two["gaps"]
    assert (gap_from, gap_to, reason) == (
        one["stopTimeOffset"],
        two["startTimeOffset"],
        "recorder",
    )
    assert one["stopTimeOffset"] - one["startTimeOffset"] >= 4_000
    assert read_back(tmp_path / "out" / "s1.webm").decoded["video"] >= 120
    assert read_back(tmp_path / "out" / "s1-2.webm").decoded == {"video": 60, "audio": 100}
    assert sum(event[0] == "recording" for event in started.listener.events) == 1
    assert egress.counters() == {"starts": 1, "restarts": 1, "finished": 1}


@pytest.mark.parametrize("fault", ["die", "raise"])
async def test_what_kills_three_processes_ends_the_archive_with_what_there_is(
    egress, tmp_path, fault
):
    started = Started(egress, tmp_path)
    started.tap.event(added())
    start_us = now_us()
    for number in range(3):
        at_us = start_us + number * 3_000_000
        started.tap.play(*seconds(2, start_us=at_us))
        started.tap.play((fault, "why"))
    event, result = await started.listener.end()
    assert event == "finished"
    names = [file["filename"] for file in unpacked(result.file)["files"]]
    assert names == ["s1.webm", "s1-2.webm", "s1-3.webm"]
    for name in names:
        assert read_back(tmp_path / "out" / name).decoded["video"] >= 30


async def test_a_process_that_is_behind_writes_what_was_sent_before_the_end(egress, tmp_path):
    started = Started(egress, tmp_path)
    started.tap.event(added(video_ssrc=0))
    start_us = now_us()
    for number in range(6):
        items = audio_items(5, start_us=start_us + number * 100_000)
        started.tap.play(("slow", 0.3), *items)
    started.job.finish("user initiated")
    _, result = await started.listener.end()
    (file,) = unpacked(result.file)["files"]
    assert read_back(tmp_path / "out" / file["filename"]).decoded == {"audio": 30}


async def test_what_is_not_recorded_is_counted(egress, tmp_path):
    started = Started(egress, tmp_path)
    started.tap.event(added())
    started.tap.play(*audio_items(7, start_us=now_us(), ssrc=99))
    started.tap.play(("die",))
    started.tap.play(*audio_items(5, start_us=now_us(), ssrc=99), *audio_items(3, ssrc=2))
    started.tap.play(*audio_items(60, start_us=now_us()))
    await started.listener.until("recording")
    await started.listener.until("progress", after=len(started.listener.events))
    started.tap.end()
    started.job.finish("user initiated")
    await started.listener.end()
    counted = egress.counters()
    assert counted["ignored.implausible_time"] == 3
    assert 5 <= counted["ignored.unknown_track"] <= 12


async def test_three_dead_processes_without_a_frame_are_a_failure(egress, tmp_path):
    started = Started(egress, tmp_path)
    started.tap.play(("die",))
    started.tap.play(("die",))
    started.tap.play(("die",))
    assert (await started.listener.end())[:2] == ("failed", "child_lost")


async def test_a_hanging_child_is_killed_and_followed(tmp_path):
    egress = supervisor(silence_s=8.0)
    started = Started(egress, tmp_path)
    started.tap.event(added())
    start_us = now_us()
    started.tap.play(*seconds(2, start_us=start_us))
    started.tap.play(("hang",))
    started.tap.play(*seconds(2, start_us=start_us + 4_000_000))
    started.tap.end()
    started.job.finish("user initiated")
    event, result = await started.listener.end()
    assert event == "finished"
    assert len(unpacked(result.file)["files"]) == 2
    await egress.close()


async def test_a_dead_zygote_is_replaced_and_its_children_go_on(egress, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first = Started(egress, tmp_path / "one")
    first.tap.event(added())
    first.tap.play(*seconds(1, start_us=now_us()))
    await first.listener.until("recording")
    zygote = egress.zygote_pid
    os.kill(zygote, signal.SIGKILL)
    second = Started(egress, tmp_path / "two")
    second.tap.event(added())
    second.tap.play(*seconds(1, start_us=now_us()))
    await second.listener.until("recording")
    assert egress.zygote_pid not in {None, zygote}
    for started in (first, second):
        started.tap.end()
        started.job.finish("user initiated")
        assert (await started.listener.end())[0] == "finished"


async def test_a_folder_that_is_not_there_has_no_media(egress, tmp_path):
    assert await egress.recover(job_in(tmp_path / "none")) is None
    assert list(tmp_path.iterdir()) == []


async def test_nothing_recorded_is_no_media(egress, tmp_path):
    started = Started(egress, tmp_path)
    started.tap.event(added())
    started.tap.end()
    started.job.finish("user initiated")
    assert (await started.listener.end())[:2] == ("failed", "no_media")
    assert await egress.recover(job_in(tmp_path)) is None


async def test_a_full_disk_ends_the_archive_and_what_was_written_can_be_recovered(egress, tmp_path):
    started = Started(egress, tmp_path)
    started.tap.event(added())
    start_us = now_us()
    started.tap.play(("limit", 16_000))
    for number in range(10):
        started.tap.play(*audio_items(250, start_us=start_us + number * 5_000_000))
    assert (await started.listener.end())[:2] == ("failed", "disk_full")
    assert (tmp_path / "s1.webm").stat().st_size <= 16_000
    result = await egress.recover(job_in(tmp_path))
    (file,) = unpacked(result.file)["files"]
    back = read_back(tmp_path / "out" / file["filename"])
    assert back.decoded["audio"] >= 250
    assert len(back.times["audio"]) * 20 == pytest.approx(
        file["stopTimeOffset"] - file["startTimeOffset"], abs=25
    )


async def test_pause_and_resume_reach_the_child_and_ask_for_a_key_frame(egress, tmp_path):
    started = Started(egress, tmp_path)
    started.tap.event(added(audio_ssrc=0))
    started.tap.play(*video_items("vp8", 10, start_us=now_us()))
    await started.listener.until("recording")
    started.job.pause()
    started.job.resume()
    loop = asyncio.get_running_loop()
    record = await asyncio.wait_for(loop.run_in_executor(None, started.tap.received), WAIT_S)
    assert (record[0], record[4:8]) == (6, (1).to_bytes(4, "little"))
    assert record[16:] == bytes.fromhex("81ce0002 00000000 00000001")
    started.job.abort()


async def test_what_is_sent_after_a_resume_is_recorded_from_its_first_frame(egress, tmp_path):
    started = Started(egress, tmp_path)
    started.tap.event(added(audio_ssrc=0))
    # One message, and from before the pause: all of it is in the file when the first frame is.
    started.tap.play(*video_items("vp8", 8, start_us=now_us() - 1_000_000))
    await started.listener.until("recording")
    started.job.pause()
    await started.listener.until("progress", after=len(started.listener.events))
    started.job.resume()
    started.tap.play(*video_items("vp8", 10, start_us=now_us()))
    started.tap.end()
    started.job.finish("user initiated")
    _, result = await started.listener.end()
    (file,) = unpacked(result.file)["files"]
    assert read_back(tmp_path / "out" / file["filename"]).decoded == {"video": 18}


async def test_an_aborted_job_says_nothing_more(egress, tmp_path):
    started = Started(egress, tmp_path)
    started.tap.event(added())
    started.tap.play(*seconds(1, start_us=now_us()))
    await started.listener.until("recording")
    descriptor = os.pidfd_open(started.pid)
    started.job.abort()
    assert await asyncio.to_thread(ended, descriptor)
    assert {event[0] for event in started.listener.events} <= {"recording", "progress"}


async def test_above_the_limit_a_job_is_refused(tmp_path):
    egress = Supervisor(EgressSettings(children_max=0), program=PROGRAM)
    tap = Tap()
    with pytest.raises(EgressError) as refused:
        egress.start(job_in(tmp_path), tap.child_end, Listener())
    assert refused.value.code == "no_capacity"
    assert tap.child_end.fileno() == -1
    await egress.close()


async def test_a_supervisor_that_closes_finishes_its_jobs(tmp_path):
    egress = supervisor(close_within_s=WAIT_S)
    started = Started(egress, tmp_path)
    started.tap.event(added())
    started.tap.play(*seconds(1, start_us=now_us()))
    await started.listener.until("recording")
    await egress.close()
    assert started.listener.events[-1][0] == "finished"
    with pytest.raises(EgressError):
        egress.start(job_in(tmp_path), Tap().child_end, Listener())


@pytest.mark.parametrize("kind", list(ANSWERS))
async def test_a_child_that_was_taken_over_ends_its_own_recording_only(tmp_path, kind):
    program = (sys.executable, str(Path(__file__).with_name("hostile_zygote.py")), kind)
    egress = Supervisor(EgressSettings(), program=program, silence_s=2.0)
    started = Started(egress, tmp_path)
    assert (await started.listener.end())[:2] == ("failed", "child_lost")
    assert [event[0] for event in started.listener.events] == ["failed"]
    await egress.close()


async def test_a_program_that_cannot_start_is_a_failure(tmp_path):
    egress = Supervisor(EgressSettings(), program=(str(tmp_path / "nothing"),))
    started = Started(egress, tmp_path)
    assert (await started.listener.end())[:2] == ("failed", "child_lost")
    with pytest.raises(EgressError):
        await egress.recover(job_in(tmp_path))
    await egress.close()


async def test_a_child_without_its_server_completes_its_files(egress, tmp_path):
    """The server is killed; what it left is found by the next one."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.unit.egress.lonely_server", str(tmp_path)),
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    descriptor = os.pidfd_open(int(await server.stdout.readline()))
    server.kill()
    await server.wait()
    # At once, while the child may still be at it: the folder's lock keeps them apart.
    result = await egress.recover(job_in(tmp_path))
    assert await asyncio.to_thread(ended, descriptor)
    (file,) = unpacked(result.file)["files"]
    assert read_back(tmp_path / "out" / file["filename"]).decoded == {"video": 60, "audio": 100}
    again = await egress.recover(job_in(tmp_path))
    assert again == result


def ended(descriptor):
    readable = select.select([descriptor], [], [], WAIT_S)[0]
    os.close(descriptor)
    return bool(readable)


async def test_no_media_and_no_data_of_connections_reach_a_log(egress, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    started = Started(egress, tmp_path)
    started.tap.event(added("stream-id-1", connectionData="a-private-word", name="a-name"))
    started.tap.play(*seconds(1, start_us=now_us()))
    started.tap.play(("raise", "a-private-word"))
    started.tap.end()
    started.job.finish("user initiated")
    assert (await started.listener.end())[0] == "finished"
    assert "another one goes on" in caplog.text
    for word in ("a-private-word", "a-name", "stream-id-1", "the-session", str(tmp_path)):
        assert word not in caplog.text
