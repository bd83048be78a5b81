"""The SIP calls of this node: who starts them, and how many there may be."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from config.sip_settings import SipSettings
from sfu.egress.jobs import EgressError
from sfu.egress.sip_jobs import CallEnd, SipEgress
from sfu.media_plane import MediaError
from sfu.target_policy import TargetRefused
from signaling.callbacks.names import asking
from signaling.calls.call import FAILURES, SipCall, WantedCall
from signaling.clock import Clock
from signaling.connectors.dialing import Dialer
from signaling.domain.effects import EventName, Notify
from signaling.domain.errors import (
    BadRequest,
    DomainError,
    ErrorCode,
    NotFound,
    Unavailable,
    error,
)
from signaling.domain.features import Feature
from signaling.domain.session_options import SessionRecord
from signaling.domain.tokens import Admission
from signaling.metrics import Metrics
from signaling.sessions.directory import SessionDirectory

log = structlog.get_logger(__name__)

FEATURE = Feature.SIP.value
NO_ROOM = "This server has no room for another SIP call; try again later."
UNREACHABLE = "The name of the SIP server is not known."

ReportEvent = Callable[[SessionRecord, Notify], None]


@dataclass(frozen=True, slots=True)
class CallParts:
    """`egress` is None if this installation cannot call."""

    directory: SessionDirectory
    egress: SipEgress | None
    dialer: Dialer
    metrics: Metrics
    clock: Clock
    report_event: ReportEvent
    settings: SipSettings


class SipCalls:
    """Used on the event loop only."""

    def __init__(self, parts: CallParts) -> None:
        self._parts = parts
        self._running: dict[str, SipCall] = {}

    def check_available(self) -> None:
        """Errors: `feature_unavailable` if this server does not call."""
        if self._parts.egress is None or not self._parts.settings.enabled:
            raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE)

    async def start(self, admission: Admission, wanted: WantedCall) -> SipCall:
        """The call, which nobody has answered yet.

        Errors: `feature_unavailable`, `permission_denied`, `no_capacity`, `address_refused`,
        `connect_failed`; those of a join and of `Publish`.
        """
        self.check_available()
        allowed = admission.capabilities
        if not allowed.subscribe or not allowed.publish:
            raise error(ErrorCode.PERMISSION_DENIED)
        self._check_room(admission.session.project_id)
        asking.set(admission.session.project_id)
        name = str(uuid.uuid4())
        now_ms = int(self._parts.clock.unix_s() * 1000)
        report = partial(self._report, admission.session, name)
        call = SipCall(name, admission, wanted, now_ms, report, self._ended)
        self._running[name] = call
        self._parts.metrics.egress_running.labels(FEATURE).inc()
        try:
            await self._open(call, admission, wanted)
        except BaseException as cause:
            call.leave()
            self._parts.metrics.egress_failures.labels(FEATURE, _reason(cause)).inc()
            raise
        self._parts.metrics.egress_starts.labels(FEATURE).inc()
        return call

    async def _open(self, call: SipCall, admission: Admission, wanted: WantedCall) -> None:
        egress = self._parts.egress
        if egress is None:
            raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE)
        await self._check_address(wanted)
        actor = self._parts.directory.open(admission.session, admission.quotas)
        try:
            await call.open(actor, egress, self._parts.dialer)
        except (MediaError, EgressError) as refused:
            raise _refusal(refused) from refused

    async def _check_address(self, wanted: WantedCall) -> None:
        """Before the join, so that nobody sees a client for it, and the caller sees a mistake."""
        target = wanted.target
        try:
            async with asyncio.timeout(self._parts.settings.open_s):
                await self._parts.dialer.addresses(target.host, target.port_or_default)
        except TargetRefused:
            raise BadRequest(ErrorCode.ADDRESS_REFUSED) from None
        except OSError:  # an unknown name, and a time-out
            raise BadRequest(ErrorCode.CONNECT_FAILED, UNREACHABLE) from None

    def press(self, session: str, digits: str, connection: str | None = None) -> None:
        """Plays tones to the calls of a session, or to one. Errors: `sip_leg_not_found`."""
        found = [
            call
            for call in self._running.values()
            if call.session == session and connection in (None, call.connection_or_none)
        ]
        if not found:
            raise NotFound(ErrorCode.SIP_LEG_NOT_FOUND)
        for call in found:
            call.press(digits)

    def running(self) -> list[SipCall]:
        return list(self._running.values())

    async def close(self) -> None:
        for call in self.running():
            call.leave()
        if self._parts.egress is not None:
            await self._parts.egress.close()

    def _check_room(self, project: str) -> None:
        settings = self._parts.settings
        of_project = sum(one.project == project for one in self._running.values())
        if of_project >= settings.running_per_project or len(self._running) >= settings.calls_max:
            raise Unavailable(ErrorCode.NO_CAPACITY, NO_ROOM)

    def _report(
        self, session: SessionRecord, name: str, event: EventName, details: dict[str, object]
    ) -> None:
        self._parts.report_event(session, Notify(event, name, call=details))

    def _ended(self, call: SipCall, end: CallEnd) -> None:
        if self._running.pop(call.id, None) is None:
            return
        self._parts.metrics.egress_running.labels(FEATURE).dec()
        if end.how in FAILURES:
            self._parts.metrics.egress_failures.labels(FEATURE, end.how).inc()


def _refusal(refused: MediaError | EgressError) -> DomainError:
    if isinstance(refused, EgressError):
        return Unavailable(ErrorCode.NO_CAPACITY, NO_ROOM)
    if refused.code == "clear_media_required":
        return error(ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA)
    return Unavailable(ErrorCode.OVERLOADED)


def _reason(cause: BaseException) -> str:
    return cause.code.value if isinstance(cause, DomainError) else "cancelled"
