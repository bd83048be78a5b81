"""SIP calls as part of a server."""

import contextlib
import importlib.util
import sys
from collections.abc import AsyncIterator, Callable

import structlog

from config.settings import Settings
from sfu.egress.sip_calls import ZYGOTE_MODULE, Calls
from sfu.egress.sip_jobs import SipEgress
from signaling.calls.service import CallParts, ReportEvent, SipCalls
from signaling.clock import Clock
from signaling.connectors.dialing import Dialer
from signaling.egress.policy import egress_policy
from signaling.metrics import Metrics
from signaling.sessions.directory import SessionDirectory

log = structlog.get_logger(__name__)

NEEDED = ("av", "numpy", "pylibsrtp")
"""What the processes import, and nothing else of the server does."""
CallOpener = Callable[[Settings], SipEgress | None]


def missing_packages() -> list[str]:
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def open_calls(settings: Settings) -> SipEgress | None:
    """What calls from this node, if anything may and can."""
    if not settings.sip.enabled:
        return None
    absent = missing_packages()
    if absent:
        log.info("no SIP calls", reason="packages are not installed", packages=absent)
        return None
    return Calls(settings.sip, program=(sys.executable, "-P", "-m", ZYGOTE_MODULE))


@contextlib.asynccontextmanager
async def running_calls(
    settings: Settings,
    directory: SessionDirectory,
    metrics: Metrics,
    clock: Clock,
    report_event: ReportEvent,
    make_egress: CallOpener = open_calls,
) -> AsyncIterator[SipCalls]:
    """Errors: `ConfigurationError`."""
    egress = make_egress(settings)
    if egress is not None:
        metrics.watch_calls(egress.counters)
    parts = CallParts(
        directory=directory,
        egress=egress,
        dialer=Dialer(egress_policy(settings)),
        metrics=metrics,
        clock=clock,
        report_event=report_event,
        settings=settings.sip,
    )
    calls = SipCalls(parts)
    try:
        yield calls
    finally:
        await calls.close()
