"""From packets of a tap to files: the real reader in the real process."""

import asyncio

import pytest

from config.settings import EgressSettings
from sfu.egress.supervisor import Supervisor
from tests.unit.egress.jobs import OPEN_TAPS, WAIT_S, Listener, Tap, job_in, now_us, unpacked
from tests.unit.egress.media import AUDIO_US, VIDEO_US, added, read_back
from tests.unit.egress.packets import END, RTP, call_of, event, record


@pytest.fixture
async def egress():
    made = Supervisor(EgressSettings())
    yield made
    await made.close()
    while OPEN_TAPS:
        OPEN_TAPS.pop().close()


class Recording:
    def __init__(self, egress, folder):
        self.tap, self.listener = Tap(), Listener()
        self.job = egress.start(job_in(folder), self.tap.child_end, self.listener)
        self.folder = folder

    async def end(self):
        self.tap.send(record(END, 0, now_us()))
        self.job.finish("user initiated")
        name, *result = await self.listener.end()
        assert name == "finished", result
        return unpacked(result[0].file)["files"]

    def read(self, file):
        return read_back(self.folder / "out" / file["filename"])


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264", "av1"])
async def test_packets_become_frames_at_their_time(egress, tmp_path, codec):
    recording = Recording(egress, tmp_path)
    start_us = now_us() - 4_000_000
    packets = call_of(3, start_us, codec=codec, video_late_us=60_000, audio_late_us=20_000)
    recording.tap.send(event(added(codec=codec), start_us), *packets)
    await recording.listener.until("recording")
    (file,) = await recording.end()
    back = recording.read(file)
    assert back.decoded == {"video": 90, "audio": 150}
    for kind, step_us in (("video", VIDEO_US), ("audio", AUDIO_US)):
        first = back.times[kind][0]
        apart = [at - first - number * step_us for number, at in enumerate(back.times[kind])]
        assert max(map(abs, apart)) <= 2_000
    # They were captured together, arrived 40 ms apart, and the sender reports say so.
    assert abs(back.times["video"][-30] - back.times["audio"][-50]) <= 20_000


def with_a_loss(start_us, *, every):
    packets = call_of(3, start_us, every=every)
    video = [packet for packet in packets if packet[0] == RTP and packet[4] == 1]
    lost = set(video[45:47])
    return [event(added(), start_us), *(packet for packet in packets if packet not in lost)]


async def test_a_loss_is_a_gap_until_the_next_key_frame(egress, tmp_path):
    recording = Recording(egress, tmp_path)
    recording.tap.send(*with_a_loss(now_us() - 4_000_000, every=30))
    await recording.listener.until("recording")
    (file,) = await recording.end()
    assert {reason for _, _, reason in file["gaps"]} == {"network"}
    assert recording.read(file).decoded == {"video": 45 + 30, "audio": 150}


async def test_after_a_loss_a_key_frame_is_requested(egress, tmp_path):
    recording = Recording(egress, tmp_path)
    recording.tap.send(*with_a_loss(now_us() - 4_000_000, every=1_000))
    await recording.listener.until("recording")
    request = await asyncio.wait_for(asyncio.to_thread(recording.tap.received), WAIT_S)
    assert (request[0], request[4:8]) == (6, (1).to_bytes(4, "little"))
    (file,) = await recording.end()
    # Without another key frame nothing follows that a decoder could show.
    assert recording.read(file).decoded == {"video": 45, "audio": 150}


async def test_a_process_that_follows_a_dead_one_reads_on_at_a_key_frame(egress, tmp_path):
    recording = Recording(egress, tmp_path)
    start_us = now_us() - 8_000_000
    packets = call_of(6, start_us)
    half = len(packets) // 2
    recording.tap.send(event(added(), start_us), *packets[:half])
    await recording.listener.wait_for(lambda one: one[0] == "progress" and one[1] > 2_000)
    recording.job._link.process.kill()
    recording.tap.send(*packets[half:])
    before, after = await recording.end()
    assert (before["filename"], after["filename"]) == ("s1.webm", "s1-2.webm")
    assert [reason for _, _, reason in after["gaps"]][:1] == ["recorder"]
    assert recording.read(before).decoded["video"] >= 30
    back = recording.read(after)
    assert back.first_is_key["video"]
    assert back.decoded["video"] >= 60
