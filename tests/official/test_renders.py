"""Renders with the four official server SDKs, unmodified: a page becomes a stream of a session, is
shown, listed and stopped."""

import asyncio

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from vonage_video import models

from tests.official import test_archives as sdks
from tests.official.test_archives import plain
from tests.rendered_page import NEEDS_A_JAILED_BROWSER, Pages
from tests.served import until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.long,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
    # What an SDK itself uses that its libraries have outgrown.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_A_JAILED_BROWSER,
]


class OpentokPython(sdks.OpentokPython):
    async def render(self, session: str, token: str, url: str):
        return await asyncio.to_thread(self.sdk.start_render, session, token, url)

    async def shown(self, name: str):
        return await asyncio.to_thread(self.sdk.get_render, name)

    async def all(self) -> list:
        return list((await asyncio.to_thread(self.sdk.list_renders)).items)

    async def end(self, name: str) -> None:
        await asyncio.to_thread(self.sdk.stop_render, name)


class VonagePython(sdks.VonagePython):
    async def render(self, session: str, token: str, url: str):
        wanted = models.ExperienceComposerOptions(session_id=session, token=token, url=url)
        return await asyncio.to_thread(self.sdk.start_experience_composer, wanted)

    async def shown(self, name: str):
        return await asyncio.to_thread(self.sdk.get_experience_composer, name)

    async def all(self) -> list:
        return list((await asyncio.to_thread(self.sdk.list_experience_composers))[0])

    async def end(self, name: str) -> None:
        await asyncio.to_thread(self.sdk.stop_experience_composer, name)


class OpentokNode(sdks.OpentokNode):
    async def render(self, session: str, token: str, url: str):
        wanted = {"sessionId": session, "token": token, "url": url}
        return await self.sdk.call("startRender", wanted)

    async def shown(self, name: str):
        return await self.sdk.call("getRender", name)

    async def all(self) -> list:
        found = await self.sdk.call("listRenders", {})
        return found if isinstance(found, list) else found["items"]

    async def end(self, name: str) -> None:
        await self.sdk.call("stopRender", name)


class VonageNode(sdks.VonageNode):
    async def render(self, session: str, token: str, url: str):
        wanted = {"url": url}
        call = "startExperienceComposerRender"
        return await self.sdk.call(call, session, token, wanted)

    async def shown(self, name: str):
        return await self.sdk.call("getExperienceComposerRender", name)

    async def all(self) -> list:
        return (await self.sdk.call("listExperienceComposerRenders", {"count": 10}))["items"]

    async def end(self, name: str) -> None:
        await self.sdk.call("stopExperienceComposerRender", name)


@pytest_asyncio.fixture(loop_scope="module")
async def pages():
    found = Pages()
    async with TestServer(found.app) as server:
        found.url = str(server.make_url("/")).rstrip("/")
        yield found


@pytest.mark.parametrize("kind", [OpentokPython, VonagePython, OpentokNode, VonageNode])
async def test_a_page_becomes_a_stream_and_is_stopped(stage, monkeypatch, pages, kind):
    sdk = kind()
    name = await sdk.open(stage, monkeypatch)
    session, token = await sdk.session()
    live = await stage.enter(name, session, token, encrypted=False)
    made = plain(await sdk.render(session, token, f"{pages.url}/colored"))
    assert made["status"] == "starting"
    async with asyncio.timeout(90):
        while (shown := plain(await sdk.shown(made["id"])))["status"] == "starting":  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    # One SDK has names of its own.
    stream = shown.get("streamId") or shown["stream_id"]
    assert (shown["status"], shown.get("sessionId") or shown["session_id"]) == ("started", session)
    assert stream in live.bob.streams
    assert made["id"] in [plain(one)["id"] for one in await sdk.all()]
    await sdk.end(made["id"])
    await until(lambda: stream not in live.bob.streams)
    over = plain(await sdk.shown(made["id"]))
    assert (over["status"], over["reason"]) == ("stopped", "Stop requested")
    await sdk.close()
