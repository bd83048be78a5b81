"""Events that an object tells its listeners, by the names of the OpenTok SDKs."""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """`name` is that of the OpenTok SDKs. Each kind of event is a class with its own fields."""

    name: ClassVar[str] = ""

    @property
    def detail(self) -> dict[str, Any]:
        """The fields under their names on the wire (camelCase), as the command line prints them."""
        return {
            _camel_case(field.name): getattr(self, field.name) for field in dataclasses.fields(self)
        }


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


# --- of the Session ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StreamCreated(Event):
    """Another member's stream, or, to a Publisher, its own. `stream` as in `Session.streams`."""

    name = "streamCreated"
    stream: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StreamDestroyed(Event):
    name = "streamDestroyed"
    stream_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StreamPropertyChanged(Event):
    name = "streamPropertyChanged"
    stream_id: str
    changes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ConnectionCreated(Event):
    name = "connectionCreated"
    connection: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ConnectionDestroyed(Event):
    name = "connectionDestroyed"
    connection_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SignalReceived(Event):
    """`connection_id` is None for signals of the application's server (REST), which are clear."""

    name = "signal"
    connection_id: str | None
    type: str
    data: str
    encrypted: bool


@dataclass(frozen=True, slots=True)
class MuteForced(Event):
    """`stream_id` is None when it is for all streams."""

    name = "muteForced"
    stream_id: str | None
    active: bool = True


@dataclass(frozen=True, slots=True)
class NotEncrypted(Event):
    """The server dropped packets of an own stream that were not encrypted under a declared key."""

    name = "notEncrypted"
    stream_id: str
    mid: str | None = None
    packets: int | None = None


@dataclass(frozen=True, slots=True)
class ActiveSpeakerChanged(Event):
    name = "activeSpeakerChanged"
    stream_id: str


@dataclass(frozen=True, slots=True)
class SessionReconnecting(Event):
    name = "sessionReconnecting"


@dataclass(frozen=True, slots=True)
class SessionReconnected(Event):
    """`is_new_connection`: the server knew the connection no more, as after its restart."""

    name = "sessionReconnected"
    is_new_connection: bool = False


@dataclass(frozen=True, slots=True)
class TransportLost(Event):
    """`direction` is `uplink` or `downlink`; what it carried is taken up again."""

    name = "transportLost"
    direction: str


@dataclass(frozen=True, slots=True)
class Disconnected(Event):
    name = "disconnected"
    reason: str


@dataclass(frozen=True, slots=True)
class ErrorOccurred(Event):
    """What failed without a caller that could be told."""

    name = "error"
    error: Exception


# --- of encryption -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EncryptionSecretMismatch(Event):
    name = "encryptionSecretMismatch"
    stream_id: str


@dataclass(frozen=True, slots=True)
class EncryptionSecretMatch(Event):
    name = "encryptionSecretMatch"
    stream_id: str


@dataclass(frozen=True, slots=True)
class EncryptionStateChanged(Event):
    """`state`: `encrypted` once a frame of the stream was opened (or encrypted), `failing`."""

    name = "encryptionStateChanged"
    stream_id: str
    state: str


# --- of Publishers and Subscribers ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ended(Event):
    """The media file of a Publisher came to its end."""

    name = "ended"
    stream_id: str


@dataclass(frozen=True, slots=True)
class SubscriberConnected(Event):
    name = "connected"
    stream_id: str


@dataclass(frozen=True, slots=True)
class SubscriberDisconnected(Event):
    """The network was lost; `connected` comes again when the stream is back."""

    name = "disconnected"
    stream_id: str


@dataclass(frozen=True, slots=True)
class SubscriberDestroyed(Event):
    name = "destroyed"
    stream_id: str


@dataclass(frozen=True, slots=True)
class VideoDisableWarning(Event):
    name = "videoDisableWarning"
    stream_id: str


@dataclass(frozen=True, slots=True)
class VideoDisableWarningLifted(Event):
    name = "videoDisableWarningLifted"
    stream_id: str


@dataclass(frozen=True, slots=True)
class VideoDisabled(Event):
    name = "videoDisabled"
    stream_id: str
    reason: str = "quality"


@dataclass(frozen=True, slots=True)
class VideoEnabled(Event):
    name = "videoEnabled"
    stream_id: str
    reason: str = "quality"


Listener = Callable[[Any], Awaitable[None] | None]
SomeEvent = TypeVar("SomeEvent", bound=Event)


class Emitter:
    """Calls listeners on the event loop, in the order in which they were added."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = {}
        self._running: set[asyncio.Future[None]] = set()

    def on(
        self,
        event: str | type[SomeEvent],
        listener: Callable[[SomeEvent], Awaitable[None] | None] | Listener,
    ) -> None:
        """`event` is a name or a class; "*" hears everything."""
        self._listeners.setdefault(_name(event), []).append(listener)

    def off(self, event: str | type[Event], listener: Listener) -> None:
        if listener in self._listeners.get(_name(event), ()):
            self._listeners[_name(event)].remove(listener)

    def emit(self, event: Event) -> None:
        """A listener that fails ends nothing but itself."""
        for listener in [*self._listeners.get(event.name, ()), *self._listeners.get("*", ())]:
            try:
                result = listener(event)
            except Exception:
                logger.exception("An event listener failed")
                continue
            if result is not None:
                future = asyncio.ensure_future(result)
                self._running.add(future)
                future.add_done_callback(self._on_done)

    def _on_done(self, future: "asyncio.Future[None]") -> None:
        self._running.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            logger.error("An event listener failed", exc_info=error)


def _name(event: str | type[Event]) -> str:
    return event if isinstance(event, str) else event.name
