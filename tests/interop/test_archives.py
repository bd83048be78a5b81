"""Archives of live calls: an official SDK starts and stops them, ffprobe judges the files."""

import asyncio
import json
import signal
import subprocess
import time
import zipfile
from pathlib import Path
from urllib.request import Request, urlopen

import aiohttp
import opentok
import pytest
from aiohttp import web

from config.settings import ArchiveSettings, CallbackSettings
from sfu.media_plane import MediaError
from tests.media_site import media_site
from tests.served import NEEDS_THE_MEDIA_CORE, Server, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_THE_MEDIA_CORE,
]
LOOPBACK = CallbackSettings(allowed_networks="127.0.0.0/8")
INDIVIDUAL = opentok.OutputModes.individual
VIDEO_FRAMES_PER_S, AUDIO_FRAMES_PER_S = 20, 45
"""At least; publishers make 30 and 50."""


@pytest.fixture
async def site(tmp_path):
    async with media_site(
        tmp_path, callbacks=LOOPBACK, archive=ArchiveSettings(min_free_mb=64)
    ) as one:
        yield one


@pytest.fixture
async def posted():
    """The URL of an application, and what was posted to it."""
    bodies: list[dict] = []

    async def take(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/events", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    bodies_url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    yield bodies_url, bodies
    await runner.cleanup()


async def finished(application: opentok.Client, archive_id: str):
    """The archive once its file is there."""
    async with asyncio.timeout(30):
        while True:
            shown = await asyncio.to_thread(application.get_archive, archive_id)
            if shown.status in ("available", "failed"):
                return shown
            await asyncio.sleep(0.1)


def frames_of(file: Path) -> dict[str, int]:
    """Decoded frames by kind; a frame that does not decode is an error."""
    command = (
        *("ffprobe", "-v", "error", "-count_frames"),
        *("-show_entries", "stream=codec_type,nb_read_frames", "-of", "json", str(file)),
    )
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stderr == ""
    return {
        one["codec_type"]: int(one["nb_read_frames"]) for one in json.loads(done.stdout)["streams"]
    }


async def download(url: str, folder: Path) -> tuple[dict, Path]:
    """The manifest and the folder of the files."""
    content = await asyncio.to_thread(lambda: urlopen(url).read())
    (folder / "archive.zip").write_bytes(content)
    with zipfile.ZipFile(folder / "archive.zip") as opened:
        opened.extractall(folder / "files")
        first = opened.namelist()[0]
    return json.loads((folder / "files" / first).read_text()), folder / "files"


async def register(site, url: str) -> None:
    """As the Node SDK does it."""
    wanted = {"group": "archive", "event": "status", "url": url}
    path = f"{site.url}/v2/project/{site.key}/callback"
    headers = {"X-OPENTOK-AUTH": site.rest_token()}
    async with (
        aiohttp.ClientSession() as http,
        http.post(path, json=wanted, headers=headers) as answer,
    ):
        assert answer.status == 200


async def test_a_call_is_archived_in_one_file_per_stream(site, posted, tmp_path) -> None:
    url, bodies = posted
    await register(site, url)
    session = await site.session()
    ann, ben = await site.join(session), await site.join(session)
    seen = []
    ben.on("archiveStarted", lambda event: seen.append(event.id))
    ben.on("archiveStopped", lambda event: seen.append(event.id))
    published = [await ann.publish(name="camera"), await ben.publish(name="other")]
    await until(lambda: len(ann.streams) == len(ben.streams) == 1)
    start = site.application.start_archive
    began_s = time.monotonic()
    archive = await asyncio.to_thread(start, session, name="n", output_mode=INDIVIDUAL)
    assert archive.status == "started"
    with pytest.raises(opentok.ArchiveError):
        await asyncio.to_thread(start, session, output_mode=INDIVIDUAL)
    await asyncio.sleep(3.0)
    stopped = await asyncio.to_thread(site.application.stop_archive, archive.id)
    assert stopped.status == "stopped"
    took_s = time.monotonic() - began_s
    shown = await finished(site.application, archive.id)
    assert shown.status == "available"
    assert 2 <= shown.duration <= took_s + 1
    listed = await asyncio.to_thread(site.application.list_archives)
    assert [one.id for one in listed.items] == [archive.id]
    manifest, files = await download(shown.url, tmp_path)
    assert (manifest["id"], manifest["name"], manifest["sessionId"]) == (archive.id, "n", session)
    assert {one["streamId"] for one in manifest["files"]} == {one.stream_id for one in published}
    for one in manifest["files"]:
        found = frames_of(files / one["filename"])
        recorded_s = (one["stopTimeOffset"] - one["startTimeOffset"]) / 1000
        assert found["video"] >= VIDEO_FRAMES_PER_S * recorded_s
        assert found["audio"] >= AUDIO_FRAMES_PER_S * recorded_s
    await until(lambda: [one["status"] for one in bodies] == ["started", "stopped", "available"])
    assert [one["reason"] for one in bodies] == ["", "user initiated", "user initiated"]
    assert bodies[-1]["sha256sum"]
    assert bodies[-1]["size"] == (tmp_path / "archive.zip").stat().st_size
    assert seen == [archive.id, archive.id]
    await asyncio.to_thread(site.application.delete_archive, archive.id)
    with pytest.raises(opentok.exceptions.NotFoundError):
        await asyncio.to_thread(site.application.get_archive, archive.id)


async def test_an_encrypted_session_is_not_archived_and_says_why(site) -> None:
    session = await site.session(e2ee=True)
    ann = await site.join(session, encryption_secret="a long secret")
    seen = []
    ann.on("archiveStarted", lambda event: seen.append(event.id))
    await ann.publish()
    for mode in opentok.OutputModes:
        with pytest.raises(opentok.ArchiveError, match="end-to-end encrypted"):
            await asyncio.to_thread(site.application.start_archive, session, output_mode=mode)
    (media,) = site.plane.sessions.values()
    with pytest.raises(MediaError) as refused:
        media.open_tap(None)
    assert refused.value.code == "clear_media_required"
    assert seen == []


@pytest.mark.timeout(180)  # two starts of a server, on a machine that may be busy
@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, "Internal server failure"),
        pytest.param(signal.SIGTERM, "session ended", marks=pytest.mark.long),
    ],
)
async def test_a_server_that_ends_while_it_archives_leaves_a_whole_file(
    tmp_path, number, reason
) -> None:
    server = Server(tmp_path / "data", e2ee=False)
    await server.start()
    application = opentok.Client(server.api_key, server.project["apiSecret"], api_url=server.url)
    ann = await server.join(None)
    await ann.publish()
    archive = await asyncio.to_thread(
        application.start_archive, server.session_id, output_mode=INDIVIDUAL
    )
    await asyncio.sleep(3.0)
    server.process.send_signal(number)
    await asyncio.wait_for(server.process.wait(), 15)
    await ann.disconnect()
    await server.serve()
    shown = await finished(application, archive.id)
    assert shown.status == "available"
    path = f"{server.url}/v2/project/{server.api_key}/archive/{archive.id}"
    asked = Request(path, headers=application.get_headers())
    raw = await asyncio.to_thread(lambda: json.loads(urlopen(asked).read()))
    assert raw["reason"] == reason
    manifest, files = await download(shown.url, tmp_path)
    (one,) = manifest["files"]
    recorded_ms = one["stopTimeOffset"] - one["startTimeOffset"]
    assert recorded_ms > 1_000
    assert frames_of(files / one["filename"])["video"] >= VIDEO_FRAMES_PER_S * recorded_ms / 1000
    await server.stop()
