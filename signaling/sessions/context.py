"""What every session actor shares with the directory."""

from collections.abc import Callable
from dataclasses import dataclass

from signaling.clock import Clock
from signaling.domain.effects import Notify
from signaling.domain.session_options import SessionRecord
from signaling.domain.session_state import Limits
from signaling.ice_servers import IceServers
from signaling.sessions.client_slot import Timer

ReportEvent = Callable[[SessionRecord, Notify], None]
Schedule = Callable[[float, Callable[[], None]], Timer]


@dataclass(frozen=True, slots=True)
class SessionContext:
    """`schedule(delay_s, callback)` is the loop's `call_later`. `report_event` reports an event to
    the application's callbacks; the event is durable when it returns."""

    clock: Clock
    limits: Limits
    schedule: Schedule
    report_event: ReportEvent
    ice_servers: IceServers
