"""The SIP calls of this node: who starts them, and how many there may be."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog

from config.sip_settings import SipSettings
from sfu.egress.sip_jobs import CallEnd, SipEgress
from signaling.callbacks.names import asking
from signaling.calls.call import SipCall, WantedCall
from signaling.calls.marks import CallMarks, MarkedCall
from signaling.clock import Clock
from signaling.domain.effects import EventName, Notify
from signaling.domain.errors import ErrorCode, NotFound, Unavailable, error
from signaling.domain.features import Feature
from signaling.domain.session_options import SessionRecord
from signaling.domain.sip_calling import call_details, end_details
from signaling.domain.tokens import Admission
from signaling.egress.dialing import Dialer, check_address
from signaling.egress.house_keeping import keep_house
from signaling.egress.ordered_writes import Sleep
from signaling.egress.running_clients import Room, RunningClients, available
from signaling.metrics import Metrics
from signaling.sessions.directory import SessionDirectory

log = structlog.get_logger(__name__)

LOST = CallEnd("lost")
NO_ROOM = "This server has no room for another SIP call; try again later."
UNREACHABLE = "The name of the SIP server is not known."

ReportEvent = Callable[[SessionRecord, Notify], None]


@dataclass(frozen=True, slots=True)
class CallParts:
    """`egress` is None if this installation cannot call. `session_of`: the stored session of an
    id."""

    directory: SessionDirectory
    egress: SipEgress | None
    dialer: Dialer
    metrics: Metrics
    clock: Clock
    report_event: ReportEvent
    settings: SipSettings
    marks: CallMarks
    session_of: Callable[[str], Awaitable[SessionRecord | None]]
    sleep: Sleep = asyncio.sleep


class SipCalls:
    """Used on the event loop only."""

    def __init__(self, parts: CallParts) -> None:
        settings = parts.settings
        room = Room(settings.calls_max, settings.running_per_project, NO_ROOM)
        self._parts = parts
        self._running: RunningClients[SipCall] = RunningClients(Feature.SIP, room, parts.metrics)
        self._marked: set[str] = set()
        """The calls of this process that have a mark, or get one."""
        self._tasks: set[asyncio.Task[None]] = set()

    def check_available(self) -> None:
        """Errors: `feature_unavailable` if this server does not call."""
        self._egress()

    def _egress(self) -> SipEgress:
        return available(self._parts.egress, enabled=self._parts.settings.enabled)

    async def start(self, admission: Admission, wanted: WantedCall) -> SipCall:
        """The call, which nobody has answered yet.

        Errors: `feature_unavailable`, `permission_denied`, `no_capacity`, `address_refused`,
        `connect_failed`; those of a join and of `Publish`.
        """
        egress = self._egress()
        allowed = admission.capabilities
        if not allowed.subscribe or not allowed.publish:
            raise error(ErrorCode.PERMISSION_DENIED)
        name = str(uuid.uuid4())
        now_ms = int(self._parts.clock.unix_s() * 1000)
        report = partial(self._report, admission.session, name)
        call = SipCall(name, admission, wanted, now_ms, report, self._ended)
        with self._running.starting(call):
            asking.set(admission.session.project_id)
            await self._check_address(wanted)
            actor = self._parts.directory.open(admission.session, admission.quotas)
            with self._running.refusals():
                await call.open(actor, egress, self._parts.dialer, self._mark)
        return call

    async def _mark(self, call: MarkedCall) -> None:
        """A kill from now on is reported by the next start. Errors: `no_capacity` without a
        disk."""
        self._marked.add(call.info.id)
        try:
            await self._parts.marks.add(call)
        except OSError as cause:
            log.error("a call has no mark", reason=cause.strerror)  # noqa: TRY400
            raise Unavailable(ErrorCode.NO_CAPACITY, NO_ROOM) from cause

    def _ended(self, call: SipCall, failure: str | None) -> None:
        self._running.remove(call, failure)
        if call.id in self._marked:
            task = asyncio.create_task(self._unmark(call.id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _unmark(self, name: str) -> None:
        try:
            await self._parts.marks.remove(name)
        except OSError as cause:
            log.warning("the mark of a call stays", reason=cause.strerror)
        self._marked.discard(name)

    async def recover(self) -> None:
        """Reports the end of what a killed server left: its processes hung up by themselves.

        Errors: `storage_unavailable`, `OSError`."""
        for name, marked in (await self._parts.marks.all()).items():
            if name in self._marked:
                continue
            session = None if marked is None else await self._parts.session_of(marked.session)
            if marked is not None and session is not None:
                self._report(
                    session, name, "callUpdated", call_details(marked.info, state="HANGUP")
                )
                self._report(session, name, "callDestroyed", end_details(marked.info, LOST))
            await self._parts.marks.remove(name)

    async def keep_house(self) -> None:
        """Runs until it is cancelled."""
        chores = {"ending calls of an earlier run": self.recover}
        await keep_house(chores, self._parts.sleep)

    async def _check_address(self, wanted: WantedCall) -> None:
        """Before the join, so that nobody sees a client for it, and the caller sees a mistake."""
        host, port = wanted.target.host, wanted.target.port_or_default
        within_s = self._parts.settings.open_s
        await check_address(self._parts.dialer, host, port, within_s, UNREACHABLE)

    def press(self, session: str, digits: str, connection: str | None = None) -> None:
        """Plays tones to the calls of a session, or to one. Errors: `sip_leg_not_found`."""
        found = [
            call
            for call in self._running.all()
            if call.session == session and connection in (None, call.connection_or_none)
        ]
        if not found:
            raise NotFound(ErrorCode.SIP_LEG_NOT_FOUND)
        for call in found:
            call.press(digits)

    def running(self) -> list[SipCall]:
        return self._running.all()

    async def close(self) -> None:
        self._running.leave()
        if self._parts.egress is not None:
            await self._parts.egress.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    def _report(
        self, session: SessionRecord, name: str, event: EventName, details: dict[str, object]
    ) -> None:
        self._parts.report_event(session, Notify(event, name, call=details))
