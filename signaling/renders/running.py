"""Renders as part of a server, and what nobody asks for: renders that a killed server left are
ended, those of removed projects too, and callbacks of single renders are forgotten."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import structlog

from config.settings import Settings
from sfu.egress.forks import program_of
from sfu.egress.render_jobs import RenderEgress
from sfu.egress.renders import ZYGOTE_MODULE, Browsers
from sfu.egress.renders import Renders as Egress
from signaling.callbacks.of_one import KEEP_MS
from signaling.callbacks.service import target_policy
from signaling.clock import Clock
from signaling.domain.errors import Unavailable
from signaling.egress.dialing import Dialer
from signaling.egress.distant_stops import DistantStops
from signaling.egress.policy import egress_policy
from signaling.metrics import Metrics
from signaling.renders.marks import RenderMarks
from signaling.renders.own_node import OwnNode
from signaling.renders.render import RenderSession, RenderTools
from signaling.renders.service import RenderParts, Renders
from signaling.sessions.context import ReportEvent, Schedule
from signaling.storage.base import Store

log = structlog.get_logger(__name__)

KEEP_HOUSE_S = 60.0


class SharedParts(Protocol):
    """What the features of a server have in common."""

    @property
    def store(self) -> Store: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def schedule(self) -> Schedule: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def report_event(self) -> ReportEvent: ...
    @property
    def stops(self) -> DistantStops: ...


def render_folder(settings: Settings) -> Path:
    return Path(settings.storage.data_dir) / "renders"


def missing_programs(settings: Settings) -> list[str]:
    """The programs of the settings that are not there."""
    wanted = (settings.render.chromium, settings.render.bwrap)
    return [name for name in wanted if shutil.which(name) is None]


def open_renders(settings: Settings) -> RenderEgress | None:
    """What renders on this node, if anything may and can."""
    render = settings.render
    if not render.enabled:
        return None
    chromium, bwrap = shutil.which(render.chromium), shutil.which(render.bwrap)
    if chromium is None or bwrap is None:
        absent = missing_programs(settings)
        log.info("no renders", reason="programs are not installed", programs=absent)
        return None
    browsers = Browsers(chromium, bwrap, settings.egress.allowed_networks)
    return Egress(render, browsers, program=program_of(ZYGOTE_MODULE))


def renders_of(
    settings: Settings,
    shared: SharedParts,
    session: Callable[[str], RenderSession | None],
    node: OwnNode,
) -> RenderParts:
    """Errors: `ConfigurationError`."""
    return RenderParts(
        store=shared.store,
        egress=open_renders(settings),
        tools=RenderTools(shared.clock, shared.schedule, session),
        marks=RenderMarks(render_folder(settings)),
        dialer=Dialer(egress_policy(settings)),
        metrics=shared.metrics,
        clock=shared.clock,
        report_event=shared.report_event,
        settings=settings.render,
        node=node.addresses,
        callback_targets=target_policy(settings.callbacks),
        stops=shared.stops,
    )


@contextlib.asynccontextmanager
async def running_renders(parts: RenderParts) -> AsyncIterator[Renders]:
    if parts.egress is not None:
        parts.metrics.watch_renders(parts.egress.counters)
    renders = Renders(parts)
    house = _HouseKeeping(parts, renders)
    keeping_house = asyncio.create_task(house.run())
    try:
        yield renders
    finally:
        keeping_house.cancel()
        await asyncio.gather(keeping_house, return_exceptions=True)
        await renders.close()


class _HouseKeeping:
    def __init__(self, parts: RenderParts, renders: Renders) -> None:
        self._parts = parts
        self._renders = renders

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            await self._try("ending renders of an earlier run", self.recover)
            await self._try("stopping renders", self.stop_orphans)
            await self._try("forgetting callbacks", self.forget_callbacks)
            await self._parts.sleep(KEEP_HOUSE_S)

    @staticmethod
    async def _try(what: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Unavailable:
            log.warning("the storage does not answer", while_=what)
        except Exception:
            log.exception("renders: a fault", while_=what)

    async def recover(self) -> None:
        for render_id in await self._parts.marks.all():
            if not self._renders.is_in_use(render_id):
                await self._renders.end_lost(render_id)

    async def stop_orphans(self) -> None:
        for render in self._renders.running():
            if not await self._parts.store.project_named(render.project):
                render.leave()

    async def forget_callbacks(self) -> None:
        now_ms = int(self._parts.clock.unix_s() * 1000)
        await self._parts.store.renders.forget_callbacks(now_ms - KEEP_MS)
