"""Composed archives of live calls: the default of an official SDK; PyAV judges the file."""

import asyncio
import fractions
import time
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import av
import numpy as np
import opentok
import pytest
from aiortc import AudioStreamTrack, VideoStreamTrack

from config.settings import ArchiveSettings, EgressSettings
from tests.media_site import media_site
from tests.served import NEEDS_THE_MEDIA_CORE, Server, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_THE_MEDIA_CORE,
]
WIDTH, HEIGHT = 320, 240
FLASH_EVERY, FLASH_S = 1.0, 0.2
FLASH = 235


@pytest.fixture
async def site(tmp_path):
    archive, egress = ArchiveSettings(min_free_mb=64), EgressSettings(cores=4)
    async with media_site(tmp_path, archive=archive, egress=egress) as one:
        yield one


class Flashes(VideoStreamTrack):
    """One luma, and white for a moment each second."""

    def __init__(self, luma: int) -> None:
        super().__init__()
        self._luma = luma

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        is_flash = time.monotonic() % FLASH_EVERY < FLASH_S
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane, value in zip(
            frame.planes, (FLASH if is_flash else self._luma, 128, 128), strict=True
        ):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.pts, frame.time_base = pts, time_base
        return frame


class Beeps(AudioStreamTrack):
    """A tone for a moment each second, else silence."""

    _samples = 960

    def __init__(self) -> None:
        super().__init__()
        self._at, self._start_s = 0, 0.0

    async def recv(self) -> av.AudioFrame:
        self._start_s = self._start_s or time.monotonic()
        await asyncio.sleep(max(0.0, self._start_s + self._at / 48_000 - time.monotonic()))
        times = (self._at + np.arange(self._samples)) / 48_000
        is_beep = time.monotonic() % FLASH_EVERY < FLASH_S
        tone = 8_000 * np.sin(2 * np.pi * 1_000 * times) * is_beep
        frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None, :], "s16", "mono")
        frame.sample_rate, frame.pts = 48_000, self._at
        frame.time_base = fractions.Fraction(1, 48_000)
        self._at += self._samples
        return frame


async def finished(application: opentok.Client, archive_id: str):
    async with asyncio.timeout(60):
        while True:
            shown = await asyncio.to_thread(application.get_archive, archive_id)
            if shown.status in ("available", "failed"):
                return shown
            await asyncio.sleep(0.1)


def decoded(file: Path) -> tuple[list[tuple[float, np.ndarray]], np.ndarray]:
    """Times and lumas of all frames; the samples of one channel."""
    with av.open(str(file)) as container:
        frames = [
            (frame.time, frame.to_ndarray()[: frame.height].astype(int))
            for frame in container.decode(video=0)
        ]
    with av.open(str(file)) as container:
        samples = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return frames, np.concatenate(samples)


def onsets(times: list[float]) -> list[float]:
    """The first of each group."""
    return [at for before, at in pairwise([-1.0, *times]) if at - before > FLASH_EVERY / 2]


async def test_a_call_is_composed_into_one_file(site, tmp_path) -> None:
    session = await site.session()
    ann, ben = await site.join(session), await site.join(session)
    await ann.publish(video=Flashes(60), audio=Beeps())
    await until(lambda: len(ben.streams) == 1)
    await ben.publish(video=Flashes(150), audio=False)
    await until(lambda: len(ann.streams) == 1)
    application = site.application
    archive = await asyncio.to_thread(application.start_archive, session, name="n")
    assert (archive.status, archive.output_mode) == ("started", opentok.OutputModes.composed)
    await asyncio.sleep(6.0)
    stopped = await asyncio.to_thread(application.stop_archive, archive.id)
    assert stopped.status == "stopped"
    shown = await finished(application, archive.id)
    assert shown.status == "available"
    file = tmp_path / "archive.mp4"
    file.write_bytes(await asyncio.to_thread(lambda: urlopen(shown.url).read()))
    assert file.stat().st_size == shown.size
    frames, samples = decoded(file)
    assert len(frames) >= 4 * 30
    assert abs(len(frames) - 30 * shown.duration) <= 15  # the duration is in whole seconds
    assert {round((later - at) * 30, 3) for (at, _), (later, _) in pairwise(frames)} == {1}
    assert abs(len(samples) - 1_600 * len(frames)) <= 2_048
    # Two tiles of 426x240 in 640x480, each with 4:3 in its middle.
    upper, lower = (slice(0, 240), slice(158, 478)), (slice(240, 480), slice(158, 478))
    quiet = [luma for _, luma in frames if luma[upper].mean() < 100 and luma[lower].mean() < 170]
    last = quiet[-1]
    for place, luma in ((upper, 60), (lower, 150)):
        inner = last[place][1:-1, 1:-1]
        assert np.abs(inner - luma).max() <= 12
    assert last[:, :156].max() <= 24
    assert last[:, 480:].max() <= 24
    flashes = onsets([at for at, luma in frames if luma[upper].mean() > 150])
    beeps = onsets(list(np.flatnonzero(np.abs(samples) > 0.05) / 48_000))
    # How far apart they are is a matter of the publisher, too, which may be short of the processor:
    # tests/unit/egress/test_composed.py measures it in virtual time.
    assert len(flashes) >= 3
    assert len(beeps) >= 3


@pytest.mark.timeout(180)  # two starts of a server, on a machine that may be busy
@pytest.mark.long
async def test_a_server_that_is_killed_finishes_the_file_at_its_next_start(tmp_path) -> None:
    server = Server(tmp_path / "data", e2ee=False)
    await server.start()
    application = opentok.Client(server.api_key, server.project["apiSecret"], api_url=server.url)
    ann = await server.join(None)
    await ann.publish(video=Flashes(60), audio=False)
    archive = await asyncio.to_thread(application.start_archive, server.session_id)
    await asyncio.sleep(5.0)
    server.process.kill()
    await asyncio.wait_for(server.process.wait(), 15)
    await ann.disconnect()
    await server.serve()
    shown = await finished(application, archive.id)
    assert shown.status == "available"
    file = tmp_path / "archive.mp4"
    file.write_bytes(await asyncio.to_thread(lambda: urlopen(shown.url).read()))
    frames, _ = decoded(file)
    assert len(frames) >= 30
    assert {round((later - at) * 30, 3) for (at, _), (later, _) in pairwise(frames)} == {1}
    await server.stop()
