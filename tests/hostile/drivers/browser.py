"""Clients in a real browser: each a frame of one page, reached through Node and Puppeteer."""

import asyncio
import itertools
import json
import time
from pathlib import Path
from typing import Any

from tests.hostile import content
from tests.hostile.call import Problem
from tests.hostile.drivers.audio import NullAudio
from tests.hostile.lies import Row
from tests.hostile.passed import Passed
from tests.hostile.running import play_all
from tests.hostile.server import SESSION_ID

SCRIPT = Path(__file__).with_name("browser.mjs")
FETCH_S = 0.15
START_S = 60.0
AT_ONCE = 5


class BrowserClient:
    """One frame. What it heard and saw is fetched by the driver again and again."""

    def __init__(
        self, driver: "BrowserDriver", number: int, joining: dict[str, Any], person: content.Person
    ) -> None:
        self.kind, self.person, self.number = driver.kind, person, number
        self.codec = "vp8"
        self.told: list[str] = []
        self.problems: list[Problem] = []
        self.passed: list[Passed] = []
        self.changed_s = 0.0
        self.uncoded: list[str] = []
        self.signals: list[dict[str, Any]] = []
        self.streams: list[str] = []
        self.played: dict[str, list[content.Seen]] = {}
        self.heard: dict[str, list[content.Seen]] = {}
        self._driver, self._joining = driver, joining
        self._began: float | None = None

    async def _call(self, method: str, **argument: Any) -> Any:
        return await self._driver.ask("call", self.number, method, argument)

    async def connect(self) -> bool:
        await self._driver.ask("open", self.number)
        done = bool(await self._call("connect", **self._joining))
        await self._driver.fetch()
        return done

    async def publish(self) -> str | None:
        person = {"first": self.person.first, "baseHz": self.person.base_hz}
        stream_id = await self._call("publish", **person, codec=self.codec)
        await self._driver.fetch()
        return stream_id

    async def unpublish(self) -> None:
        await self._call("unpublish")

    async def set_secret(self, secret: str, *, immediate: bool = False) -> None:
        await self._call("setSecret", secret=secret, immediate=immediate)

    async def signal(self, data: str, to: str | None = None) -> None:
        await self._call("signal", data=data, to=to)

    async def mute(self, muted: bool) -> None:
        await self._call("mute", muted=muted)

    async def unsubscribe(self, stream_id: str) -> None:
        await self._call("unsubscribe", streamId=stream_id)

    async def prefer_size(self, stream_id: str, width: int, height: int) -> None:
        await self._call("preferSize", streamId=stream_id, width=width, height=height)

    async def doubt(self) -> None:
        """Its network may be another one."""
        await self._call("doubt")

    async def code(self) -> str:
        return str(await self._call("code"))

    async def is_encrypted(self) -> bool:
        return bool(await self._call("isEncrypted"))

    def take(self, fetched: dict[str, Any]) -> None:
        if self._began is None:  # once: what is compared is of one clock
            self._began = time.monotonic() - fetched["now"] / 1000
        began = self._began
        self.told += fetched["told"]
        self.problems += [Problem(code, words) for code, words in fetched["problems"]]
        self.passed += [Passed(began + at / 1000, *frame) for at, *frame in fetched["passed"]]
        if fetched["changed"] is not None:
            self.changed_s = began + fetched["changed"] / 1000
        self.uncoded += fetched["uncoded"]
        self.signals += fetched["signals"]
        self.streams += fetched["streams"]
        for name, kept in (("played", self.played), ("heard", self.heard)):
            for stream_id, seen in fetched[name].items():
                made = [content.Seen(began + at / 1000, number) for at, number in seen]
                kept.setdefault(stream_id, []).extend(made)

    async def close(self) -> None:
        await self._driver.fetch()
        self._driver.forget(self)
        await self._driver.ask("close", self.number)


class BrowserDriver:
    """One browser process. `start`, then `client` as often as wanted, then `close`."""

    def __init__(self, kind: str, process: asyncio.subprocess.Process, audio: NullAudio) -> None:
        self.kind = kind
        self._process, self._audio = process, audio
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._clients: dict[int, BrowserClient] = {}
        self._tasks = [
            asyncio.create_task(self._read()),
            asyncio.create_task(self._fetch_again_and_again()),
        ]

    @classmethod
    async def start(cls, kind: str) -> "BrowserDriver":
        audio = await NullAudio().start()
        process = await asyncio.create_subprocess_exec(
            "node",
            str(SCRIPT),
            kind,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
            env=audio.environment,
        )
        async with asyncio.timeout(START_S):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"{kind} did not start")
        return cls(kind, process, audio)

    async def client(
        self, url: str, token: str, secret: str | None, person: content.Person
    ) -> BrowserClient:
        number = next(self._numbers)
        joining = {"url": url, "sessionId": SESSION_ID, "token": token, "secret": secret}
        client = BrowserClient(self, number, joining, person)
        self._clients[number] = client
        return client

    def forget(self, client: BrowserClient) -> None:
        self._clients.pop(client.number, None)

    async def ask(self, action: str, *words: Any) -> Any:
        """Errors: RuntimeError for what failed in the page and is no answer of the SDK."""
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        line = json.dumps({"number": number, "action": action, "words": words})
        self._process.stdin.write(line.encode() + b"\n")
        try:
            return await future
        finally:
            del self._waiting[number]

    async def fetch(self) -> None:
        for number, fetched in await self.ask("fetch"):
            client = self._clients.get(number)
            if client is not None:
                client.take(fetched)

    async def _fetch_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(FETCH_S)
            await self.fetch()

    async def _read(self) -> None:
        while line := await self._process.stdout.readline():
            reply = json.loads(line)
            future = self._waiting.get(reply["number"])
            if future is None or future.done():
                continue
            if "error" in reply:
                future.set_exception(RuntimeError(reply["error"]))
            else:
                future.set_result(reply["result"])

    async def close(self) -> None:
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), 20)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._audio.close()


async def play_in(kind: str, rows: list[Row]) -> dict[str, list[str]]:
    """All rows in one browser, some at once. Name of the row → its faults."""
    driver = await BrowserDriver.start(kind)
    try:
        return await play_all(rows, driver, AT_ONCE)
    finally:
        await driver.close()
