"""One browser of a render: two tabs, one that shows the page and one that publishes it.

The page's tab is captured while it is still empty, so that no page can be in the way, and goes to
its page afterwards. The tabs share no cookies, no storage and no proxy.
"""

import asyncio
import json
import logging
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sfu.egress.render import jail
from sfu.egress.render.command import Programs, Screen, command, policy_text, proxy_of
from sfu.egress.render.devtools import BrowserError, DevTools, NoAnswerError, ScriptError
from sfu.egress.render.page_watch import PageWatch
from sfu.egress.render.proxy import OWN_HOST, Proxy

log = logging.getLogger(__name__)

START_S = 30.0
"""A browser on a busy machine; an idle one takes 1 s."""
CAPTURE_S = 3.0
"""A capture that has not begun by then never does: of a dozen browsers one hangs there."""
PUBLISH_S = 20.0
CHECK_S = 1.0
GOODBYE_S = 0.5
_HERE = Path(__file__).parent
_PUBLISH = (_HERE / "publish.js").read_text()
_SHOWN = "performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0"
_NOT_FOUND = 400
MAX_TASKS = 64
"""What is under way at the word of a browser: a page opens a dialog or a window now and then."""


class SessionError(Exception):
    """The session does not take the page. The text is for the application."""


class PageError(Exception):
    """The page cannot be shown. The text is for the application."""


@dataclass(frozen=True, slots=True)
class Publication:
    """`name`: of the stream."""

    api_key: str
    session: str
    token: str = field(repr=False)
    name: str


@dataclass(frozen=True, slots=True)
class Published:
    connection: str
    stream: str


class Browser:
    """`over` is set when the browser, one of its tabs or the stream is gone; `why` says which, and
    `fault` what the page did, for the application, if it is the page's. `has_page` once it was told
    to show it. `close` it in any case."""

    def __init__(self, programs: Programs, screen: Screen, proxy: Proxy, shared_bytes: int) -> None:
        """`shared_bytes`: how much memory its processes may share."""
        self.over = asyncio.Event()
        self.why = self.fault = ""
        self.has_page = False
        self._programs = programs
        self._screen = screen
        self._proxy = proxy
        self._shared_bytes = shared_bytes
        self._devtools = DevTools(self._on_event)
        self._process: asyncio.subprocess.Process | None = None
        self._doors: list[asyncio.Server] = []
        self._page = self._publisher = ""
        self._joins = False
        self._page_watch: PageWatch | None = None
        self._loaded: dict[str, asyncio.Event] = {}
        self._tabs: dict[str, str] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    @property
    def pid(self) -> int | None:
        """Of the process that all of its processes descend from."""
        return None if self._process is None else self._process.pid

    # --- its steps, in order ------------------------------------------------------------------

    async def start(self) -> None:
        """A browser that captures an empty page. Errors: `BrowserError`, `OSError`."""
        title = secrets.token_hex(16)
        async with asyncio.timeout(START_S):
            await self._spawn(title)
            await self._devtools.call("Target.setDiscoverTargets", {"discover": True})
            self._page = await self._tab(jail.PORTS[0], "about:blank")
            self._publisher = await self._tab(jail.PORTS[1], "about:blank")
            await self._fit(self._page)
            await self._go(self._publisher, f"http://{OWN_HOST}/")
            await self._devtools.evaluate(self._publisher, _PUBLISH)
            await self._entitle(title)
        await self._capture()

    async def check(self) -> None:
        """Whether both tabs answer, as they do unless they are gone. Errors: `BrowserError`."""
        for tab in (self._page, self._publisher):
            await self._devtools.evaluate(tab, "1", within_s=CHECK_S)

    async def show(self, url: str, within_s: float, hang_s: float) -> None:
        """`hang_s`: how long the page may not answer once it is loaded. Errors: `PageError`,
        `BrowserError`."""
        self.has_page = True
        watch = self._page_watch = PageWatch(hang_s)
        try:
            async with asyncio.timeout(within_s):
                await self._go(self._page, url)
                status = await self._status(within_s)
        except TimeoutError:
            raise PageError(f"The page did not load in {within_s:g} s.") from None
        if isinstance(status, int) and status >= _NOT_FOUND:
            raise PageError(f"The page answered {status}.")
        watch.answered(_now_s())
        self._watch(self._watch_page(watch))

    async def _status(self, within_s: float) -> object:
        """Of the page's answer; 0 where another page has taken its place meanwhile."""
        try:
            return await self._devtools.evaluate(self._page, _SHOWN, within_s=within_s)
        except BrowserError:
            if self.over.is_set():
                raise
            return 0

    async def _watch_page(self, watch: PageWatch) -> None:
        """Asks it again and again, until it does not answer."""
        while not self.over.is_set():
            try:
                await self._devtools.evaluate(self._page, "1", within_s=CHECK_S)
                watch.answered(_now_s())
            except NoAnswerError:
                pass
            except BrowserError:
                # It is on its way to another page.
                watch.answered(_now_s())
            self._judge(watch)
            await asyncio.sleep(CHECK_S)

    def _judge(self, watch: PageWatch) -> None:
        fault = watch.fault(_now_s())
        if fault:
            self.blame_page(fault)

    def blame_page(self, fault: str) -> None:
        """The page is not to be shown any longer. The text is for the application."""
        if not self.over.is_set():
            self.fault = fault
            self._lose(fault)

    async def publish(self, wanted: Publication) -> Published:
        """Errors: `SessionError`, `BrowserError`."""
        about = {
            "apiKey": wanted.api_key,
            "sessionId": wanted.session,
            "token": wanted.token,
            "name": wanted.name,
            "resolution": f"{self._screen.width}x{self._screen.height}",
        }
        script = f"render.publish({json.dumps(about)})"
        self._joins = True
        try:
            found = await self._devtools.evaluate(self._publisher, script, within_s=PUBLISH_S)
        except ScriptError as refused:
            raise SessionError(str(refused)) from None
        if not isinstance(found, dict):
            raise BrowserError("nothing was published")
        return Published(str(found.get("connection", "")), str(found.get("stream", "")))

    async def until_over(self) -> None:
        """Looks whether it still publishes, and returns once it does not."""
        while not self.over.is_set():
            try:
                ended = await self._devtools.evaluate(self._publisher, "render.ended()")
            except BrowserError as gone:
                ended = str(gone)
            if ended:
                self._lose(str(ended)[:200])
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S):
                    await self.over.wait()

    async def close(self) -> None:
        """Kills it. Its jail, profile and connections go with it; its client leaves if it can."""
        if self._joins and not self.over.is_set():
            with suppress(BrowserError):
                await self._devtools.evaluate(self._publisher, "render.leave()", within_s=GOODBYE_S)
        self._devtools.close()
        for task in self._tasks:
            task.cancel()
        for door in self._doors:
            door.close()
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await self._proxy.close()

    # --- how --------------------------------------------------------------------------------------

    async def _spawn(self, title: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        down_read, down_write = os.pipe2(os.O_CLOEXEC)
        up_read, up_write = os.pipe2(os.O_CLOEXEC)
        policy = os.memfd_create("policy")
        os.write(policy, policy_text())
        os.lseek(policy, 0, os.SEEK_SET)
        given = (down_read, up_write, policy)
        arguments = command(self._programs, self._screen, title, self._shared_bytes)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_HERE / "jail.py"), str(theirs.fileno())),
                *(*map(str, given), "--", *arguments),
                pass_fds=(theirs.fileno(), *given),
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        finally:
            theirs.close()
            for one in given:
                os.close(one)
        await self._devtools.open(down_write, up_read)
        self._watch(self._until_gone())
        with ours:
            listeners = await _descriptors(ours)
        self._doors = await self._proxy.serve(*listeners)

    async def _until_gone(self) -> None:
        await self._devtools.over.wait()
        self._lose("the browser is gone")

    async def _tab(self, port: int, url: str) -> str:
        """The session of a new tab, whose requests go to that door."""
        devtools = self._devtools
        context = await devtools.call(
            "Target.createBrowserContext",
            {"proxyServer": proxy_of(port), "proxyBypassList": "<-loopback>"},
        )
        of_context = {"browserContextId": context["browserContextId"]}
        target = await devtools.call(
            "Target.createTarget",
            {
                "url": url,
                "newWindow": True,
                "width": self._screen.width,
                "height": self._screen.height,
                **of_context,
            },
        )
        attached = await devtools.call(
            "Target.attachToTarget", {"targetId": target["targetId"], "flatten": True}
        )
        session = str(attached["sessionId"])
        self._tabs[str(target["targetId"])] = session
        self._loaded[session] = asyncio.Event()
        await devtools.call("Page.enable", session=session)
        await devtools.call("Browser.setDownloadBehavior", {"behavior": "deny", **of_context})
        return session

    async def _fit(self, session: str) -> None:
        await self._devtools.call(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": self._screen.width,
                "height": self._screen.height,
                "deviceScaleFactor": 1,
                "mobile": False,
            },
            session=session,
        )

    async def _go(self, session: str, url: str) -> None:
        """Until the page is loaded. Errors: `PageError`, `BrowserError`."""
        self._loaded[session].clear()
        answer = await self._devtools.call(
            "Page.navigate", {"url": url}, session=session, within_s=START_S + PUBLISH_S
        )
        failure = answer.get("errorText")
        if failure:
            raise PageError(f"The page cannot be loaded: {str(failure)[:100]}.")
        await self._loaded[session].wait()

    async def _entitle(self, title: str) -> None:
        """The title is seen by the browser itself a moment after the page has it."""
        await self._devtools.evaluate(self._page, f"document.title = {json.dumps(title)}")
        page = next(name for name, session in self._tabs.items() if session == self._page)
        while True:
            found = await self._devtools.call("Target.getTargetInfo", {"targetId": page})
            if found["targetInfo"]["title"] == title:
                return
            await asyncio.sleep(0.02)

    async def _capture(self) -> None:
        script = f"render.capture({self._screen.width}, {self._screen.height})"
        found = await self._devtools.evaluate(
            self._publisher, script, within_s=CAPTURE_S, gesture=True
        )
        log.debug("captured %s", found)

    # --- what the browser says ----------------------------------------------------------------

    def _on_event(self, method: str, given: Mapping[str, Any], session: str) -> None:
        match method:
            case "Page.loadEventFired" if session in self._loaded:
                self._loaded[session].set()
            case "Page.frameNavigated" if session == self._page:
                self._navigated(given.get("frame"))
            case "Page.javascriptDialogOpening":
                # Nobody is there to answer, and a page waits for it.
                self._ask("Page.handleJavaScriptDialog", {"accept": True}, session)
            case "Target.targetCrashed" | "Target.targetDestroyed":
                if str(given.get("targetId")) in self._tabs:
                    self._lose("a tab crashed")
            case "Target.targetCreated":
                self._meet(given.get("targetInfo"))
            case _:
                pass

    def _navigated(self, frame: object) -> None:
        watch = self._page_watch
        if watch is not None and isinstance(frame, dict) and "parentId" not in frame:
            watch.navigated(_now_s())
            self._judge(watch)

    def _meet(self, target: object) -> None:
        """A window that a page opened is closed: it would be seen by nobody."""
        if not self._publisher or not isinstance(target, dict):
            return  # those of the start
        name = str(target.get("targetId"))
        if target.get("type") == "page" and name not in self._tabs:
            self._ask("Target.closeTarget", {"targetId": name}, "")

    def _ask(self, method: str, given: Mapping[str, object], session: str) -> None:
        async def ask() -> None:
            with suppress(BrowserError):
                await self._devtools.call(method, given, session=session)

        self._watch(ask())

    def _watch(self, work: Any) -> None:  # noqa: ANN401 - any coroutine
        if len(self._tasks) >= MAX_TASKS:
            work.close()
            self._lose("it floods")
            return
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _lose(self, why: str) -> None:
        if not self.over.is_set():
            self.why = why
            self.over.set()


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _descriptors(link: socket.socket) -> list[socket.socket]:
    """The two listening sockets. Errors: `BrowserError` when the jail could not be built."""
    link.setblocking(False)
    loop, came = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(link, came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(link)
    _, found, _, _ = socket.recv_fds(link, 1, len(jail.PORTS), socket.MSG_CMSG_CLOEXEC)
    if len(found) != len(jail.PORTS):
        raise BrowserError("the jail cannot be built")
    return [socket.socket(fileno=one) for one in found]
