"""What a scenario acts on: a server, people in browsers, their cables."""

import asyncio
import json
from pathlib import Path
from typing import Any

from bench.network import Json
from bench.network.browser import Browser
from bench.network.figures import Sample
from bench.network.film import film
from bench.network.served import SECRET, URL, Room, Served
from bench.network.topology import Link, Topology
from bench.processes import stop

PUBLISHER, IMPAIRED, GOOD = "publisher", "impaired", "good"
MOBILE = "mobile"
_IN_STEP_AFTER_S = 3.0
"""Chromium moves audio and video together in steps, one each second."""
CABLES = {PUBLISHER: 1, IMPAIRED: 1, GOOD: 1, MOBILE: 2}


class Stage:
    """One room. Owner of the browsers and programs of a scenario."""

    def __init__(self, topology: Topology, served: Served, room: Room) -> None:
        self.topology, self.served, self.room = topology, served, room
        self._browsers: dict[str, Browser] = {}

    def link(self, name: str) -> Link:
        return self.topology.links[name][0]

    async def open(self, name: str, *, frame_rate: int = 20, film: Path | None = None) -> Browser:
        """A browser at the server's page, not in the room yet."""
        browser = Browser(self.topology.clients[name], frame_rate=frame_rate, film=film)
        self._browsers[name] = browser
        await browser.open(f"{URL}/")
        return browser

    async def enter(self, browser: Browser) -> float:
        """Joins the room; returns milliseconds."""
        order = {**await self.order(), "secret": SECRET}
        return float(await browser.run(f"bench.join({json.dumps(order)})"))

    async def publisher(self, *, filmed: bool = False, **properties: Json) -> tuple[Browser, str]:
        """Somebody who publishes, and the stream's id; `filmed` needs as much rate as a camera."""
        frame_rate = int(properties.get("frameRate", 20))
        played = await asyncio.to_thread(film, frame_rate) if filmed else None
        browser = await self.open(PUBLISHER, frame_rate=frame_rate, film=played)
        await self.enter(browser)
        return browser, await browser.run(f"bench.publish({json.dumps(properties)})")

    async def viewer(self, name: str) -> Browser:
        """A person who sees a video."""
        browser = await self.open(name)
        await self.enter(browser)
        await browser.run("bench.untilVideo()")
        return browser

    async def watch_sync(self, *browsers: Browser) -> None:
        """Begins to compare audio and video, once their first seconds are over."""
        await asyncio.sleep(_IN_STEP_AFTER_S)
        for browser in browsers:
            await browser.run("bench.watchSync()")

    async def audio_ahead_ms(self, browser: Browser) -> list[float]:
        """Since `watch_sync`; below 0: the video is ahead."""
        found: list[float] = await browser.run("bench.audioAhead()")
        return found

    async def sample(self, browser: Browser) -> Sample:
        found: Sample = await browser.run("bench.sample()")
        return found

    async def over(self, seconds: float, *browsers: Browser) -> list[tuple[Sample, Sample]]:
        """Samples of each browser before and after so many seconds."""
        before = [await self.sample(browser) for browser in browsers]
        await asyncio.sleep(seconds)
        after = [await self.sample(browser) for browser in browsers]
        return list(zip(before, after, strict=True))

    async def events(self, browser: Browser) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await browser.run("bench.events()")
        return found

    async def order(self) -> dict[str, Any]:
        """What a client has to know of the room."""
        token = await self.served.token(self.room)
        return {
            "apiKey": self.room.api_key,
            "sessionId": self.room.session_id,
            "token": token,
        }

    async def program(self, name: str, words: tuple[str, ...], **more: object) -> Json:
        """Runs a module of the bench in a client's namespace; the last line it prints."""
        order = {**await self.order(), "url": URL, "address": self.link(name).address, **more}
        process = await asyncio.create_subprocess_exec(
            *self.topology.clients[name].command(str(_PYTHON), "-m", *words),
            cwd=_ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            out, _ = await process.communicate(json.dumps(order).encode() + b"\n")
        finally:
            await stop(process)
        if process.returncode != 0:
            raise RuntimeError(f"{words[0]} ended with {process.returncode}")
        return json.loads(out.splitlines()[-1])

    async def leave(self, name: str) -> None:
        await self._browsers.pop(name).close()

    async def close(self) -> None:
        for browser in self._browsers.values():
            await browser.close()
        for links in self.topology.links.values():
            for link in links:
                link.plug()
                link.clear()


_ROOT = Path(__file__).parents[2]
_PYTHON = _ROOT / ".venv/bin/python"
