"""One encrypted session on two workers: who publishes on one is seen and heard on the other."""

import asyncio

import aiohttp
import av
import numpy as np
import pytest
from sealroute_client import Session, read_counter

from bench.ports import free_port
from tests.served import NEEDS_THE_MEDIA_CORE, Server, psnr, until

pytestmark = [pytest.mark.interop, NEEDS_THE_MEDIA_CORE]


@pytest.fixture
async def split_server(tmp_path):
    """A server whose second client is on another worker than its first."""
    operations = free_port()
    config = {
        "SEALROUTE_MEDIA_WORKERS": "2",
        "SEALROUTE_MEDIA_SPLIT_LOAD": "0",
        "SEALROUTE_MEDIA_SPLIT_SINKS": "0",
        "SEALROUTE_OPERATIONS_PORT": str(operations),
    }
    server = Server(tmp_path / "data", e2ee=True, config=config)
    server.operations = f"http://127.0.0.1:{operations}"
    await server.start()
    yield server
    await server.stop()


async def crossed(server) -> dict[str, float]:
    """The metrics of what goes from worker to worker."""
    async with aiohttp.ClientSession() as http, http.get(f"{server.operations}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    found = (line.rpartition(" ") for line in lines if "trunk" in line and line[0] != "#")
    return {name: float(value) for name, _, value in found}


async def receive(session: Session, publisher: Session):
    def wanted():
        streams = session.streams.values()
        return [one for one in streams if one["connectionId"] == publisher.connection_id]

    await until(wanted)
    return await session.subscribe(wanted()[0])


async def test_members_on_two_workers_see_and_hear_each_other(
    split_server, sessions, tmp_path
) -> None:
    sessions += [await split_server.join() for _ in range(2)]
    ann, ben = sessions
    for one in sessions:
        await one.publish()
    viewers = [await receive(ann, ben), await receive(ben, ann)]
    paths = []
    for index, viewer in enumerate(viewers):
        await viewer.wait_for_tracks()
        folder = tmp_path / str(index)
        folder.mkdir()
        paths.append(viewer.record(folder))
    await until(lambda: all(v.tracks["video"].frames > 90 for v in viewers), 20)
    totals = await crossed(split_server)
    assert totals["sealroute_media_trunk_packets_received_total"] > 200
    assert totals["sealroute_media_trunks"] == 4, "two streams, each with two ends"
    explained = await asyncio.to_thread(split_server.explained)
    reports = [one for stream in explained for one in stream["subscribers"]]
    assert len(reports) == 2
    assert all(one["flowing"] for report in reports for one in report["received"]), reports
    for viewer in viewers:
        assert viewer.state.failed == 0
        await viewer.close()
    for path in paths:
        with av.open(str(path)) as container:
            images = list(container.decode(video=0))
        assert min(psnr(image, read_counter(image)) for image in images[5:]) > 28
        with av.open(str(path)) as container:
            samples = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        tone = samples[24_000:72_000]
        spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone))))
        assert abs(np.argmax(spectrum) * 48_000 / len(tone) - 440) < 5
    await sessions.pop().disconnect()
    await until_crossed_nothing(split_server)


async def until_crossed_nothing(server) -> None:
    """With the last member of the other worker its part ends, and all ways to it."""
    for _ in range(500):
        if (await crossed(server))["sealroute_media_trunks"] == 0:
            return
    raise AssertionError("the ways between the workers are still open")
