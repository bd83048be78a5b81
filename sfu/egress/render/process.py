"""The process of one render: control lines on descriptor 3, and a browser of its own.

It is the only one that speaks with the browser, and the browser's only way out. It ends with the
render, or with the server; its browser ends with it.
"""

import asyncio
import socket
import time
from collections import Counter

from sfu.egress.child.control_socket import ControlSocket
from sfu.egress.landlock import give_up_new_privileges
from sfu.egress.render.attempts import Attempts
from sfu.egress.render.browser import Browser, PageError, Publication, SessionError
from sfu.egress.render.command import Programs, Screen
from sfu.egress.render.devtools import BrowserError
from sfu.egress.render.proxy import OwnServer, Proxy
from sfu.egress.render_lines import (
    BeatLine,
    CrashedLine,
    EndLine,
    PublishedLine,
    RenderDown,
    RenderDownReader,
    RenderLine,
)
from sfu.egress.run_lines import LeaveLine
from sfu.target_policy import TargetPolicy, networks

CONTROL_DESCRIPTOR = 3
FIRST_LINE_S = 10.0
BEAT_S = 1.0
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
        self._policy = TargetPolicy(networks(job.allowed_networks))
        self._own = OwnServer(
            http=(job.http[0], job.http[1]),
            secure=job.secure,
            media=dict(job.media),
        )
        self._counts: Counter[str] = Counter()
        self._proxy: Proxy | None = None
        self._left = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._control.fileno(), self._on_lines)
        tasks = [loop.create_task(work) for work in (self._browsers(), self._beats())]
        tasks.append(loop.create_task(self._wait_for_goodbye()))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_lines(self) -> None:
        leaves = any(isinstance(line, LeaveLine) for line in self._control.poll())
        if leaves or self._control.closed:
            self._left.set()

    async def _wait_for_goodbye(self) -> None:
        await self._left.wait()

    async def _beats(self) -> None:
        while True:
            counts = self._counts + (Counter() if self._proxy is None else self._proxy.counts)
            self._control.send(BeatLine(dict(counts)), must_arrive=False)  # type: ignore[arg-type]
            await asyncio.sleep(BEAT_S)

    async def _browsers(self) -> None:
        """One after the other, until the render is over."""
        while True:
            self._proxy = proxy = Proxy(self._policy, self._own)
            job = self._job
            screen = Screen(job.width, job.height)
            browser = Browser(Programs(job.chromium, job.bwrap), screen, proxy)
            try:
                end = await self._one(browser)
            finally:
                await browser.close()
                self._counts += proxy.counts
                self._proxy = None
            self._control.send(end)
            if isinstance(end, EndLine):
                return

    async def _one(self, browser: Browser) -> EndLine | CrashedLine:
        """A browser from its start to its end, and what follows."""
        job = self._job
        try:
            await browser.start()
            await browser.show(job.url, job.load_s)
            publication = Publication(job.api_key, job.session, job.token, job.name)
            published = await browser.publish(publication)
        except PageError as failure:
            return EndLine("page", _printable(failure))
        except SessionError as failure:
            return EndLine("refused", _printable(failure))
        except (BrowserError, OSError) as failure:  # also a time-out
            return (
                CrashedLine() if self._attempts.failed() else EndLine("start", _printable(failure))
            )
        self._attempts.published(time.monotonic())
        self._control.send(PublishedLine(published.connection, published.stream))
        while not browser.over.is_set():
            await browser.check()
            try:
                async with asyncio.timeout(BEAT_S):
                    await browser.over.wait()
            except TimeoutError:
                continue
        if browser.why in _SESSION_ENDED:
            return EndLine("unpublished", browser.why)
        may_go_on = self._attempts.crashed(time.monotonic())
        return CrashedLine() if may_go_on else EndLine("crashed", browser.why)


def _printable(failure: Exception) -> str:
    return "".join(one for one in str(failure) if one.isprintable())[:200]
