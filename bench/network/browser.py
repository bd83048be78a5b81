"""Headless Chromium in a network namespace, driven by the DevTools protocol over pipes."""

import asyncio
import json
import os
import shutil
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

from bench.network import Json
from bench.network.topology import Namespace
from bench.processes import stop

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
_CALL_TIMEOUT_S = 60.0
_CHUNK_BYTES = 1 << 16
_PAGE_SCRIPT = Path(__file__).with_name("page.js")
_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
)


class BrowserError(Exception):
    """The page threw, or the browser ended."""


class Browser:
    """One Chromium with one page. Owner of its process, its profile and its pipes."""

    def __init__(
        self, namespace: Namespace, *, frame_rate: int = 20, film: Path | None = None
    ) -> None:
        self._namespace = namespace
        self._camera = [f"--use-fake-device-for-media-stream=fps={frame_rate}"]
        if film is not None:
            self._camera.append(f"--use-file-for-fake-video-capture={film}")
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._page: str | None = None
        self._profile = tempfile.mkdtemp(prefix="sealroute-bench-")
        self._write = -1
        self.faults: list[str] = []

    @property
    def pid(self) -> int:
        if self._process is None:
            raise BrowserError("not started")
        return self._process.pid

    async def open(self, url: str) -> None:
        """Starts Chromium with a page at `url` that has the bench's script."""
        await self._start(url)
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._page = attached["sessionId"]
        await self.call("Page.enable")
        await self.call("Runtime.enable")
        source = _PAGE_SCRIPT.read_text()
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=source)
        await self.call("Page.navigate", url=url)
        await self.run("bench.ready()")

    async def run(self, expression: str) -> Json:
        """The value of a JavaScript expression in the page; promises are awaited."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            text = details.get("exception", {}).get("description", details["text"])
            raise BrowserError(f"{expression[:60]}: {text}")
        return answer["result"].get("value")

    async def call(self, method: str, **parameters: object) -> Json:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._page is not None and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._page
        future = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        os.write(self._write, json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(_CALL_TIMEOUT_S):
            return await future

    def kill(self) -> None:
        """Ends it without a goodbye, children first seen by the kernel as one group."""
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, 9)

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            await stop(self._process)
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._write >= 0:
            os.close(self._write)
            self._write = -1
        shutil.rmtree(self._profile, ignore_errors=True)

    async def _start(self, url: str) -> None:
        commands, self._write = os.pipe()
        answers, write = os.pipe()
        origin = "/".join(url.split("/")[:3])
        words = self._namespace.command(
            # DevTools speaks on descriptors 3 and 4.
            "bash",
            "-c",
            f'exec "$0" "$@" 3<&{commands} 4>&{write} {commands}<&- {write}>&-',
            CHROMIUM,
            *_FLAGS,
            *self._camera,
            f"--unsafely-treat-insecure-origin-as-secure={origin}",
            f"--user-data-dir={self._profile}",
            "about:blank",
        )
        self._process = await asyncio.create_subprocess_exec(
            *words,
            pass_fds=(commands, write),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(commands)
        os.close(write)
        self._reading = asyncio.create_task(self._read(answers))

    async def _read(self, descriptor: int) -> None:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
        )
        pending = b""
        try:
            while chunk := await reader.read(_CHUNK_BYTES):
                *messages, pending = (pending + chunk).split(b"\0")
                for message in messages:
                    self._take(json.loads(message))
        finally:
            transport.close()
            for future in self._answers.values():
                if not future.done():
                    future.set_exception(BrowserError("the browser ended"))

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Runtime.exceptionThrown":
            self.faults.append(message["params"]["exceptionDetails"].get("text", ""))
        future = self._answers.pop(message.get("id", 0), None)
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(BrowserError(message["error"].get("message", "?")))
        else:
            future.set_result(message["result"])
