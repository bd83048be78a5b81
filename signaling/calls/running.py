"""SIP calls as part of a server."""

import contextlib
from collections.abc import AsyncIterator, Callable

from config.settings import Settings
from sfu.egress.forks import program_of
from sfu.egress.sip_calls import ZYGOTE_MODULE, Calls
from sfu.egress.sip_jobs import SipEgress
from signaling.calls.service import CallParts, ReportEvent, SipCalls
from signaling.clock import Clock
from signaling.egress.dialing import Dialer
from signaling.egress.packages import are_installed
from signaling.egress.policy import egress_policy
from signaling.metrics import Metrics
from signaling.sessions.directory import SessionDirectory

NEEDED = ("av", "numpy", "pylibsrtp")
"""What the processes import, and nothing else of the server does."""
CallOpener = Callable[[Settings], SipEgress | None]


def open_calls(settings: Settings) -> SipEgress | None:
    """What calls from this node, if anything may and can."""
    if not settings.sip.enabled or not are_installed(NEEDED, "no SIP calls"):
        return None
    return Calls(settings.sip, program=program_of(ZYGOTE_MODULE))


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
