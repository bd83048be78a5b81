"""The seam between admission and Audio Connectors: what one is, and what it reports."""

import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from sfu.egress.jobs import PacketForm

Dial = Callable[[], Awaitable[socket.socket]]
"""A TCP connection to the application, at an address that may be reached. Errors: `OSError`."""
Rate = Literal[8_000, 16_000, 24_000]
HowOver = Literal["peer closed", "peer lost", "process lost"]


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """`audio_field`: empty for binary messages; else the member of JSON messages with the audio."""

    rate_hz: Rate
    bidirectional: bool
    audio_field: str = ""
    receive_audio_field: str = ""
    static_fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConnectorJob:
    """`dial` is asked again for each connection. `upgrade_headers` hold `headers` too."""

    dial: Dial
    host: str
    port: int
    resource: str
    secure: bool
    upgrade_headers: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    audio: AudioFormat


class ConnectorListener(Protocol):
    """Called from the event loop. After `on_over` nothing follows."""

    def on_spoken(self) -> None:
        """The peer sends audio, for the first time on this connection."""

    def on_open_again(self) -> None:
        """Another process listens, which knows nothing of the streams in the tap."""

    def on_over(self, how: HowOver) -> None: ...


class ConnectorRun(Protocol):
    async def opened(self) -> None:
        """Until the WebSocket is open. Errors: `EgressError` connect_failed; child_lost if it is
        this server that failed."""

    def speak(self, form: PacketForm) -> None:
        """The stream is published."""

    def leave(self) -> None:
        """Ends the connection, without another call of the listener. Idempotent."""


class ConnectorEgress(Protocol):
    def start(
        self, job: ConnectorJob, media: socket.socket, listener: ConnectorListener
    ) -> ConnectorRun:
        """`media`: the child's end of a tap, which stays the caller's. Errors: `EgressError`
        no_capacity."""

    def counters(self) -> Mapping[str, int]: ...
    async def close(self) -> None: ...
