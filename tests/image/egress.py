"""The image with a browser, run as deploy/egress.yml runs it: everything that leaves a session."""

import asyncio
import contextlib
import json
from pathlib import Path

import aiohttp
import opentok
import pytest
from aiohttp.test_utils import TestServer
from sealroute_client import Session

from tests.image.checks import Site, asked, listening
from tests.image.engine import EGRESS, ROOT, Options, built_image, running
from tests.interop.test_captions import MORNING, Reader, Speaker, speech, words
from tests.interop.test_composed_archives import Beeps, Flashes, decoded, finished
from tests.interop.test_renders import sees
from tests.rendered_page import COLOR, Pages
from tests.served import until

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),  # one call for everything, on a machine that may be busy
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
]
PROFILE = ROOT / "deploy" / "egress-seccomp.json"
SPACES = {
    "SEALROUTE_EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
    "SEALROUTE_ARCHIVE_MIN_FREE_MB": "64",
    "SEALROUTE_EGRESS_CORES": "4",
    "SEALROUTE_RENDER_LOAD_S": "60",
}
STYLESHEET = (
    "stream { position: absolute; left: 0; top: 0; width: 320px; height: 240px; }"
    " stream ~ stream { display: none; }"
)


@pytest.fixture(scope="module")
def image():
    with built_image(EGRESS) as found:
        yield found


@pytest.fixture
def site(image, tmp_path):
    return Site(image, image.new_volume(tmp_path / "volume"), tmp_path)


def container_of(site: Site, *, covers_proc: bool = False, profile: Path | None = PROFILE):
    options = Options(site.environment(**SPACES), covers_proc=covers_proc, seccomp=profile)
    return running(site.image, site.volume, site.place("container"), options)


async def findings(container) -> dict[str, dict]:
    code, output = await container.execute("sealroute", "doctor", "--json")
    assert code in (0, 1), output
    return {one["check"]: one for one in json.loads(output)}


class Call:
    """A session of a project in the container, with a publisher and a subscriber."""

    def __init__(self, site: Site, project: dict) -> None:
        self.site, self.key = site, project["apiKey"]
        self.application = opentok.Client(self.key, project["apiSecret"], api_url=site.url)
        self.session = ""
        self.joined: list[Session] = []

    async def begin(self) -> None:
        make = self.application.create_session
        made = await asyncio.to_thread(make, media_mode=opentok.MediaModes.routed)
        self.session = made.session_id

    def token(self, role=opentok.Roles.moderator) -> str:
        return self.application.generate_token(self.session, role)

    async def join(self) -> Session:
        client = Session(self.site.url, self.key, self.session, self.token())
        await client.connect()
        self.joined.append(client)
        return client

    async def recorded(self, file: Path, **options) -> Path:
        """An archive of some seconds."""
        begin = self.application.start_archive
        archive = await asyncio.to_thread(begin, self.session, **options)
        await asyncio.sleep(5)
        if options.get("output_mode") is not opentok.OutputModes.individual:
            change = self.application.set_archive_layout
            await asyncio.to_thread(change, archive.id, "custom", STYLESHEET)
            await asyncio.sleep(4)
        await asyncio.to_thread(self.application.stop_archive, archive.id)
        shown = await finished(self.application, archive.id)
        assert shown.status == "available", shown.reason
        async with aiohttp.ClientSession() as http, http.get(shown.url) as answer:
            await asyncio.to_thread(file.write_bytes, await answer.read())
        return file


@contextlib.asynccontextmanager
async def call_in(site: Site, container):
    await listening(container)
    call = Call(site, await asked(container, "project", "create"))
    await call.begin()
    try:
        yield call
    finally:
        await asyncio.gather(*(one.disconnect() for one in call.joined))


async def test_archives_layouts_captions_and_renders_work_in_it(site, tmp_path) -> None:
    pages = Pages()
    async with (
        TestServer(pages.app) as server,
        container_of(site) as container,
        call_in(site, container) as call,
    ):
        found = await findings(container)
        for check in ("renders", "captions"):
            assert found[check]["state"] == "ok", found[check]
        ann, ben = await call.join(), await call.join()
        await ann.publish(video=Flashes(60), audio=Beeps())
        await until(lambda: ben.streams)
        # each stream by itself
        individual = opentok.OutputModes.individual
        archive = await call.recorded(tmp_path / "archive.zip", output_mode=individual)
        assert archive.read_bytes()[:2] == b"PK"
        # one file, and the stream where a stylesheet places it
        frames, samples = decoded(await call.recorded(tmp_path / "archive.mp4"))
        assert len(samples) > 48_000
        quiet = [luma for _, luma in frames if luma[60:180, 60:260].mean() < 100]
        assert quiet[-1][300:].max() <= 24, "the stylesheet was not used"
        # what somebody says
        voice = Speaker()
        spoken = await ann.publish(audio=voice, video=False, captions=True)
        await until(lambda: spoken.stream_id in ben.streams)
        reader = Reader(await ben.subscribe(spoken.stream_id, video=False, captions=True))
        await asyncio.to_thread(call.application.start_captions, call.session, call.token())
        voice.say(await asyncio.to_thread(speech, MORNING))
        await until(lambda: len(words(" ".join(reader.finals())) & words(MORNING)) >= 6, 60)
        # a page
        before = set(ben.streams)
        url = str(server.make_url("/colored"))
        begin = call.application.start_render
        render = await asyncio.to_thread(begin, call.session, call.token(), url)
        await until(lambda: set(ben.streams) - before, 60)
        (stream,) = set(ben.streams) - before
        await sees(await ben.subscribe(ben.streams[stream]), COLOR)
        await asyncio.to_thread(call.application.stop_render, render.id)
        await until(lambda: stream not in ben.streams)
        _, status = await container.execute("/bin/cat", "/proc/1/status")
        assert "CapBnd:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status


async def test_where_an_engine_covers_parts_of_proc_the_doctor_says_what_refuses(site) -> None:
    async with container_of(site, covers_proc=True) as container:
        await listening(container)
        finding = (await findings(container))["renders"]
    assert finding["state"] == "warning"
    assert "Operation not permitted" in finding["detail"], finding
