"""SIP calls as part of a server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

from config.settings import Settings
from sfu.egress.forks import program_of
from sfu.egress.sip_calls import ZYGOTE_MODULE, Calls
from sfu.egress.sip_jobs import SipEgress
from signaling.calls.marks import CallMarks
from signaling.calls.service import CallParts, ReportEvent, SipCalls
from signaling.clock import Clock
from signaling.egress.dialing import Dialer
from signaling.egress.packages import are_installed
from signaling.egress.policy import egress_policy
from signaling.metrics import Metrics
from signaling.sessions.directory import SessionDirectory
from signaling.storage.base import Store

NEEDED = ("av", "numpy", "pylibsrtp")
"""What the processes import, and nothing else of the server does."""
CallOpener = Callable[[Settings], SipEgress | None]


def open_calls(settings: Settings) -> SipEgress | None:
    """What calls from this node, if anything may and can."""
    if not settings.sip.enabled or not are_installed(NEEDED, "no SIP calls"):
        return None
    return Calls(settings.sip, program=program_of(ZYGOTE_MODULE))


class SharedParts(Protocol):
    """What the features of a server have in common."""

    @property
    def store(self) -> Store: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def report_event(self) -> ReportEvent: ...


@contextlib.asynccontextmanager
async def running_calls(
    settings: Settings,
    directory: SessionDirectory,
    shared: SharedParts,
    make_egress: CallOpener = open_calls,
) -> AsyncIterator[SipCalls]:
    """Errors: `ConfigurationError`."""
    egress = make_egress(settings)
    if egress is not None:
        shared.metrics.watch_calls(egress.counters)
    parts = CallParts(
        directory=directory,
        egress=egress,
        dialer=Dialer(egress_policy(settings)),
        metrics=shared.metrics,
        clock=shared.clock,
        report_event=shared.report_event,
        settings=settings.sip,
        marks=CallMarks(Path(settings.storage.data_dir) / "calls"),
        session_of=shared.store.session,
    )
    calls = SipCalls(parts)
    keeping_house = asyncio.create_task(calls.keep_house())
    try:
        yield calls
    finally:
        keeping_house.cancel()
        await asyncio.gather(keeping_house, return_exceptions=True)
        await calls.close()
