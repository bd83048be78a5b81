"""Custom layouts: what stylesheets of applications say of the streams of an archive or a broadcast.

A stylesheet is checked when it is given, and asked again whenever the streams change. One project's
stylesheets are read one after the other: those of another never wait for more than one of them.
"""

import asyncio
import ctypes.util
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import structlog

from sfu.egress.composition import MAX_PLACED, Layout, Placed
from sfu.egress.style_lines import Root, StyledStream, StyleLine
from sfu.egress.stylesheets import StylesheetError, Stylesheets, StylesheetsBusyError
from sfu.ids import StreamId
from signaling.domain.archived_streams import ArchivedStream
from signaling.domain.errors import BadRequest, DomainError, ErrorCode, Unavailable
from signaling.egress.packages import missing_packages
from signaling.metrics import Metrics

log = structlog.get_logger(__name__)

NEEDED = ("weasyprint", "tinycss2", "cssselect2")
LIBRARY, DEBIAN_PACKAGE = "pangoft2-1.0", "libpangoft2-1.0-0"
"""WeasyPrint loads it when it is imported."""
UNAVAILABLE = "This server does not support layouts of the type 'custom'."
TOO_MUCH = "The stylesheet takes more than 2 s or 512 MiB, or nests too deep."
BUSY = "This server is too busy to read the stylesheet; try again later."
MAX_WAITING = 8
"""Requests of one project that wait for its turn."""
_FAULTS = {
    "declaration": "Line {at} of the stylesheet has no declaration, such as 'width: 50%'.",
    "rule": "Line {at} of the stylesheet has no rule, such as 'stream { width: 50% }'.",
    "selector": "Line {at} of the stylesheet has no selector that is known.",
}


def missing_parts() -> list[str]:
    """What reading a stylesheet takes and is not here, by the names of packages."""
    absent = missing_packages(NEEDED)
    return absent if ctypes.util.find_library(LIBRARY) else [*absent, DEBIAN_PACKAGE]


@dataclass(frozen=True, slots=True)
class Frame:
    """The image of one archive or broadcast. `project`: whose it is."""

    project: str
    root: Root
    width: int
    height: int


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock
    waiting: int = 0


class Styles:
    """`stylesheets` is None where nothing reads them. Used on the event loop only."""

    def __init__(self, stylesheets: Stylesheets | None, metrics: Metrics) -> None:
        self._stylesheets = stylesheets
        self._metrics = metrics
        self._turns: dict[str, _Turn] = {}

    async def check(self, frame: Frame, layout: Layout) -> None:
        """Whether the layout can be used.

        Errors: `feature_unavailable`, `invalid_stylesheet`, `overloaded`."""
        if layout.type == "custom":
            samples = tuple(StyledStream(f"sample-{at}") for at in range(MAX_PLACED))
            await self.place(frame, layout, samples)

    async def place(
        self, frame: Frame, layout: Layout, streams: tuple[StyledStream, ...]
    ) -> tuple[Placed, ...]:
        """Errors: those of `check`."""
        if self._stylesheets is None:
            raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE, UNAVAILABLE)
        question = StyleLine(
            layout.stylesheet or "", frame.root, frame.width, frame.height, streams
        )
        async with self._turn(frame.project):
            try:
                return await self._stylesheets.place(question)
            except StylesheetError as cause:
                fault = cause.fault
                self._metrics.stylesheets_refused.labels(fault or "too_much").inc()
                text = TOO_MUCH if fault is None else _FAULTS[fault].replace("{at}", str(cause.at))
                raise BadRequest(ErrorCode.INVALID_STYLESHEET, text) from cause
            except StylesheetsBusyError as cause:
                raise self._busy() from cause

    @asynccontextmanager
    async def _turn(self, project: str) -> AsyncIterator[None]:
        turn = self._turns.setdefault(project, _Turn(asyncio.Lock()))
        if turn.waiting > MAX_WAITING:
            raise self._busy()
        turn.waiting += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                self._turns.pop(project, None)

    def _busy(self) -> DomainError:
        self._metrics.stylesheets_refused.labels("busy").inc()
        return Unavailable(ErrorCode.OVERLOADED, BUSY)

    async def close(self) -> None:
        if self._stylesheets is not None:
            await self._stylesheets.close()


class StyledLayout:
    """The layout of one running archive or broadcast, which begins with `layout`: `apply` is given
    each later one, and the places of a stylesheet. While that is read, the streams stay where they
    are; what changes meanwhile is read once, however often it changes."""

    def __init__(
        self, styles: Styles, frame: Frame, layout: Layout, apply: Callable[[Layout], None]
    ) -> None:
        self._styles = styles
        self._frame = frame
        self._apply = apply
        self._layout = layout
        self._streams: tuple[StyledStream, ...] = ()
        self._is_due = False
        self._task: asyncio.Task[None] | None = None

    def set(self, layout: Layout) -> None:
        """One that was checked."""
        self._layout = layout
        if layout.type == "custom":
            self._read()
        else:
            self._apply(layout)

    def update(self, streams: Mapping[StreamId, ArchivedStream]) -> None:
        """What is in the archive or broadcast now, the oldest first."""
        shown = styled_streams(streams)
        if shown == self._streams:
            return
        self._streams = shown
        if self._layout.type == "custom":
            self._read()

    def close(self) -> None:
        self._is_due = False
        if self._task is not None:
            self._task.cancel()

    def _read(self) -> None:
        self._is_due = True
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._is_due:
                self._is_due = False
                with suppress(asyncio.CancelledError):
                    await self._read_once(self._layout)
        finally:
            self._task = None

    async def _read_once(self, layout: Layout) -> None:
        try:
            placed = await self._styles.place(self._frame, layout, self._streams)
        except DomainError as refused:
            log.warning("streams stay where they are", code=refused.code.value)
            return
        if layout is self._layout:
            self._apply(replace(layout, stylesheet=None, placed=placed))


def styled_streams(streams: Mapping[StreamId, ArchivedStream]) -> tuple[StyledStream, ...]:
    """The elements of a stylesheet's document: those with video first, then the older ones."""
    in_order = sorted(streams.items(), key=lambda one: "video" not in one[1].recorded)
    return tuple(
        StyledStream(name, stream.layout_classes) for name, stream in in_order[:MAX_PLACED]
    )
