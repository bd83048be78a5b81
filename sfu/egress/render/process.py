"""The process of one render: control lines on descriptor 3, and a browser of its own.

It is the only one that speaks with the browser, and the browser's only way out. It ends with the
render, or with the server; its browser ends with it.
"""

import asyncio
import socket
import time
from collections import Counter
from typing import Any

from sfu.egress.child.control_socket import ControlSocket
from sfu.egress.landlock import give_up_new_privileges
from sfu.egress.render.browser import Browser, PageError, Publication, SessionError
from sfu.egress.render.command import Programs, Screen
from sfu.egress.render.devtools import BrowserError
from sfu.egress.render.memory import tree_bytes
from sfu.egress.render.proxy import OwnServer, Proxy
from sfu.egress.render_attempts import Attempts
from sfu.egress.render_lines import (
    BeatLine,
    CrashedLine,
    EndLine,
    PublishedLine,
    RenderDown,
    RenderDownReader,
    RenderLine,
    ShowingLine,
    ShowLine,
)
from sfu.egress.run_lines import LeaveLine
from sfu.target_policy import TargetPolicy, networks

CONTROL_DESCRIPTOR = 3
FIRST_LINE_S = 10.0
BEAT_S = 1.0
MEMORY_S = 0.25
"""Between two looks: a page that fills memory as fast as it can gets half a gigabyte further."""
_MIB = 1_048_576
_SESSION_ENDED = frozenset(
    {"disconnected", "forceDisconnected", "forceUnpublished", "clientDisconnected"}
)
"""What the publishing tab says when it is no fault of the browser."""


def main() -> int:
    control = ControlSocket(socket.socket(fileno=CONTROL_DESCRIPTOR), RenderDownReader())
    first = control.poll(FIRST_LINE_S)
    if not first or not isinstance(first[0], RenderLine):
        return 2
    give_up_new_privileges()
    asyncio.run(_Process(first[0], control).run())
    return 0


class _Process:
    def __init__(self, job: RenderLine, control: ControlSocket[RenderDown]) -> None:
        self._job = job
        self._control = control
        self._attempts = Attempts()
        self._browsers = _Browsers(job)
        self._left = asyncio.Event()
        self._may_show = asyncio.Event()
        self._says_so = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._control.fileno(), self._on_lines)
        tasks = [loop.create_task(work) for work in (self._render(), self._beats())]
        tasks.append(loop.create_task(self._wait_for_goodbye()))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await _cancelled(*tasks)

    def _on_lines(self) -> None:
        for line in self._control.poll():
            if isinstance(line, ShowLine):
                self._may_show.set()
            elif isinstance(line, LeaveLine):
                self._left.set()
        if self._control.closed:
            self._left.set()

    async def _wait_for_goodbye(self) -> None:
        await self._left.wait()

    async def _beats(self) -> None:
        while True:
            counts = self._browsers.counts
            self._control.send(BeatLine(dict(counts)), must_arrive=False)  # type: ignore[arg-type]
            await asyncio.sleep(BEAT_S)

    async def _render(self) -> None:
        """One browser after the other, until one shows the page: with that one it is over."""
        end: EndLine | CrashedLine = CrashedLine()
        while isinstance(end, CrashedLine):
            browser = self._browsers.make()
            try:
                end = await self._one(browser)
                self._control.send(end)  # before the end of this one takes its time
            finally:
                await self._browsers.end(browser)

    async def _one(self, browser: Browser) -> EndLine | CrashedLine:
        """A browser from its start to its end, and what follows. Whatever it was doing, it is over
        at once when the browser is."""
        loop = asyncio.get_running_loop()
        showing = loop.create_task(self._show(browser))
        watching = loop.create_task(self._watch_memory(browser))
        over = loop.create_task(browser.over.wait())
        try:
            await asyncio.wait((showing, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancelled(watching, over, *(() if showing.done() else (showing,)))
        if browser.fault:
            return EndLine("page", browser.fault)
        if browser.why in _SESSION_ENDED:
            return EndLine("unpublished", browser.why)
        if browser.has_page and browser.over.is_set():
            return EndLine("crashed", _printable(BrowserError(browser.why)))
        return self._failed(showing)

    def _failed(self, showing: "asyncio.Task[None]") -> EndLine | CrashedLine:
        """What follows from a step that failed."""
        failure = None if showing.cancelled() else showing.exception()
        match failure:
            case PageError():
                return EndLine("page", _printable(failure))
            case SessionError():
                return EndLine("refused", _printable(failure))
            case None | BrowserError() | OSError():  # also a time-out
                may_go_on = self._attempts.failed()
                return CrashedLine() if may_go_on else EndLine("start", _printable(failure))
            case _:
                raise failure

    async def _show(self, browser: Browser) -> None:
        """All steps, until the stream is over. Errors: `PageError`, `SessionError`,
        `BrowserError`, `OSError`."""
        job = self._job
        await browser.start()
        if job.waits:
            await self._until_told(browser)
        await browser.show(job.url, job.load_s, job.hang_s)
        publication = Publication(job.api_key, job.session, job.token, job.name)
        published = await browser.publish(publication)
        self._attempts.published(time.monotonic())
        self._control.send(PublishedLine(published.connection, published.stream))
        await browser.until_over()

    async def _until_told(self, browser: Browser) -> None:
        """Errors: `BrowserError` for one that ended with what it was to replace."""
        await self._may_show.wait()
        await browser.check()
        if not self._says_so:
            self._says_so = True
            self._control.send(ShowingLine())

    async def _watch_memory(self, browser: Browser) -> None:
        limit = self._job.memory_mb
        while True:
            await asyncio.sleep(MEMORY_S)
            if browser.pid is not None and tree_bytes(browser.pid) > limit * _MIB:
                browser.blame_page(f"The page takes more than {limit} MB of memory.")


class _Browsers:
    """Those that there are now, each with its own way out, and what all of them counted."""

    def __init__(self, job: RenderLine) -> None:
        self._programs = Programs(job.chromium, job.bwrap)
        self._screen = Screen(job.width, job.height)
        self._memory_bytes = job.memory_mb * _MIB
        self._policy = TargetPolicy(networks(job.allowed_networks))
        self._own = OwnServer(
            http=(job.http[0], job.http[1]),
            secure=job.secure,
            media=dict(job.media),
        )
        self._proxies: dict[Browser, Proxy] = {}
        self._ended: Counter[str] = Counter()

    @property
    def counts(self) -> Counter[str]:
        return sum((one.counts for one in self._proxies.values()), self._ended)

    def make(self) -> Browser:
        proxy = Proxy(self._policy, self._own)
        browser = Browser(self._programs, self._screen, proxy, self._memory_bytes)
        self._proxies[browser] = proxy
        return browser

    async def end(self, browser: Browser) -> None:
        await browser.close()
        self._ended += self._proxies.pop(browser).counts


async def _cancelled(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _printable(failure: BaseException | None) -> str:
    return "".join(one for one in str(failure) if one.isprintable())[:200]
