"""A node's media core as Python sees it: commands down, batches of events up, never a packet."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from sfu import commands, events
from sfu.commands import Command
from sfu.events import Event
from sfu.ids import RouterHandle

EventListener = Callable[[Sequence[Event]], None]


class MediaRouter(Protocol):
    @property
    def local_port(self) -> int: ...
    def next_handle(self) -> int:
        """A number never given before: handles of all kinds come from one sequence."""

    def submit(self, command: Command) -> None:
        """Queues a command. `ValueError`: malformed. `RuntimeError`: the core has ended."""

    def listen(self, listener: EventListener) -> None:
        """Who is told of events, on the event loop, never from within `submit`."""

    def counters(self) -> dict[str, int]: ...
    async def dump(self, router: RouterHandle) -> dict[str, Any] | None: ...
    def close(self) -> None:
        """Ends the core. Idempotent."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """`host` '::' takes IPv4 too; port 0 lets the system choose. `tcp`: connections to the same
    port carry media where the network passes no datagrams. `loudest_voices`: sessions with more
    than `voices_of_large_session` audio sources forward only so many; 0 forwards all.
    `start_downlink_kbps`: what a transport is taken to carry before its peer has reported anything.
    `max_downlink_kbps`: the most that a transport is sent."""

    host: str = "0.0.0.0"  # noqa: S104 - media of all clients arrives here
    port: int = 0
    tcp: bool = True
    consent_timeout_ms: int = 30_000
    event_ring_size: int = 4_096
    receive_buffer_bytes: int = 4_194_304
    key_frame_interval_ms: int = 500
    loudest_voices: int = 0
    voices_of_large_session: int = 0
    start_downlink_kbps: int = 800
    max_downlink_kbps: int = 100_000


METHOD_OF_COMMAND: dict[type[Command], str] = {
    commands.OpenRouter: "open_router",
    commands.CloseRouter: "close_router",
    commands.OpenTransport: "open_transport",
    commands.RestartIce: "restart_ice",
    commands.SetPeerCredentials: "set_peer_credentials",
    commands.SetSrtpKeys: "set_srtp_keys",
    commands.SendDtls: "send_dtls",
    commands.CloseTransport: "close_transport",
    commands.Publish: "publish",
    commands.DeclareKids: "declare_kids",
    commands.SetSourceForwarding: "set_source_forwarding",
    commands.RequestKeyFrame: "request_key_frame",
    commands.Unpublish: "unpublish",
    commands.Subscribe: "subscribe",
    commands.SetSinkForwarding: "set_sink_forwarding",
    commands.SetLayerWish: "set_layer_wish",
    commands.Unsubscribe: "unsubscribe",
}

EVENT_OF_NAME: dict[str, type[Event]] = {
    "ice_validated": events.IceValidated,
    "dtls_datagram": events.DtlsDatagram,
    "consent_expired": events.ConsentExpired,
    "source_active": events.SourceActive,
    "dominant_speaker": events.DominantSpeaker,
    "not_encrypted": events.NotEncrypted,
    "video_supply_changed": events.VideoSupplyChanged,
    "video_demand_changed": events.VideoDemandChanged,
    "command_failed": events.CommandFailed,
}


class NativeMediaRouter:
    """The compiled core. Made on the event loop that is to be told of its events."""

    def __init__(self, settings: WorkerSettings, loop: asyncio.AbstractEventLoop) -> None:
        # here, so that what needs only the contract also runs where the core is not built
        from sfu import _native  # noqa: PLC0415

        self._worker = _native.Worker(
            settings.host,
            settings.port,
            tcp=settings.tcp,
            consent_timeout_ms=settings.consent_timeout_ms,
            event_ring_size=settings.event_ring_size,
            receive_buffer_bytes=settings.receive_buffer_bytes,
            key_frame_interval_ms=settings.key_frame_interval_ms,
            loudest_voices=settings.loudest_voices,
            voices_of_large_session=settings.voices_of_large_session,
            start_downlink_kbps=settings.start_downlink_kbps,
            max_downlink_kbps=settings.max_downlink_kbps,
        )
        self._loop = loop
        self._handles = count(1)
        self._listener: EventListener | None = None
        self._methods = {
            command: getattr(self._worker, name) for command, name in METHOD_OF_COMMAND.items()
        }
        self._closed = False
        self._fileno = self._worker.fileno()
        loop.add_reader(self._fileno, self._on_readable)

    @property
    def local_port(self) -> int:
        return self._worker.local_port

    def next_handle(self) -> int:
        return next(self._handles)

    def submit(self, command: Command) -> None:
        self._methods[type(command)](command)

    def listen(self, listener: EventListener) -> None:
        self._listener = listener

    def counters(self) -> dict[str, int]:
        return dict(self._worker.counters())

    async def dump(self, router: RouterHandle) -> dict[str, Any] | None:
        return await self._loop.run_in_executor(None, self._worker.dump, router)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._fileno)
            self._worker.close()

    def _on_readable(self) -> None:
        batch = [EVENT_OF_NAME[name](*fields) for name, *fields in self._worker.drain()]
        if batch and self._listener is not None:
            self._listener(batch)
