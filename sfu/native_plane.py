"""The media plane over the media core: sessions, and the routing of events."""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

from sfu import core_api
from sfu.client_media import NativeClientMedia
from sfu.client_records import PublishedStream
from sfu.core_api import Event, WorkerSettings
from sfu.dtls_identity import LateIdentity
from sfu.ids import (
    ConnectionId,
    PublisherHandle,
    RouterHandle,
    SessionId,
    StreamId,
    SubscriberHandle,
    TransportHandle,
)
from sfu.media_plane import ClientMediaListener, MediaError, SessionDump, TapListener
from sfu.media_router import MediaRouter, NativeMediaRouter
from sfu.peer_transport import MediaPlaneSettings, PlaneContext, Scheduler
from sfu.placement import BusyMeter, WorkerLoad, place
from sfu.plane_counters import PlaneCounter
from sfu.session_parts import SessionPart, joined
from sfu.tap import NativeTap

log = logging.getLogger(__name__)


class NativeSessionMedia:
    """One Session's media. `e2ee` decides which part of its payloads the core may ever read. It
    begins as one part, on one core, and gets others as it grows."""

    def __init__(self, plane: "NativeMediaPlane", session: SessionId, *, e2ee: bool) -> None:
        self.session = session
        self.e2ee = e2ee
        self.max_publish_bps: int | None = None
        self.streams: dict[StreamId, PublishedStream] = {}
        self.clients: dict[ConnectionId, NativeClientMedia] = {}
        self.taps: dict[TransportHandle, NativeTap] = {}
        self.parts: list[SessionPart] = []
        self._plane = plane
        self._closed = False
        self._add_part(plane.context_of_new_session())

    @property
    def handle(self) -> RouterHandle:
        return self.parts[0].handle

    def open_client(
        self, connection: ConnectionId, listener: ClientMediaListener
    ) -> NativeClientMedia:
        if self._closed:
            raise MediaError("transport_closed", "the session's media is closed")
        if connection in self.clients:
            raise ValueError("the connection has its media already")
        part = self._part_of_next_client()
        client = NativeClientMedia(part, connection, listener)
        self.clients[connection] = part.clients[connection] = client
        return client

    def _part_of_next_client(self) -> SessionPart:
        context = self._plane.context_of_client(
            lambda: {part.context.worker: part.sinks for part in self.parts}
        )
        found = (part for part in self.parts if part.context is context)
        return next(found, None) or self._add_part(context)

    def _add_part(self, context: PlaneContext) -> SessionPart:
        part = SessionPart(self, context)
        self.parts.append(part)
        return part

    def open_tap(self, listener: TapListener) -> NativeTap:
        if self._closed:
            raise MediaError("transport_closed", "the session's media is closed")
        if self.e2ee:
            raise MediaError(
                "clear_media_required", "an end-to-end encrypted session has no clear media"
            )
        tap = NativeTap(self.parts[0], listener)
        self.taps[tap.handle] = tap
        return tap

    def forget_tap(self, handle: TransportHandle) -> None:
        self.taps.pop(handle, None)

    def forget_client(self, connection: ConnectionId) -> None:
        """A part that no client is left in ends: streams cross to it no more."""
        self.clients.pop(connection, None)
        for part in self.parts[:]:
            if part.clients.pop(connection, None) and not part.clients and not part.leads:
                self._drop_part(part)

    def _drop_part(self, part: SessionPart) -> None:
        self.parts.remove(part)
        part.close()

    def core_ended(self, context: PlaneContext) -> None:
        """What its part there carried has ended, as if everybody's network had. The clients go on
        in another part."""
        part = next((one for one in self.parts if one.context is context), None)
        if part is None:
            return
        if part.leads:
            for tap in list(self.taps.values()):
                tap.tap_lost("core_ended")
        for client in list(part.clients.values()):
            client.core_ended()
        if len(self.parts) == 1:
            if not self._plane.has_living:
                return
            self._add_part(self._plane.context_of_new_session())
        moved = dict(part.clients)
        self._drop_part(part)
        for connection, client in moved.items():
            to = self._part_of_next_client()
            client.move(to)
            to.clients[connection] = client

    async def dump(self) -> SessionDump:
        """A snapshot of the session from this side and from its cores."""
        parts = () if self._closed else tuple(self.parts)
        workers = tuple(part.context.worker for part in self.parts)
        snapshots = [await part.snapshot() for part in parts]
        return SessionDump(
            session=self.session,
            e2ee=self.e2ee,
            streams=tuple(sorted(self.streams)),
            connections={name: client.dump() for name, client in self.clients.items()},
            taps=tuple(tap.dump() for tap in self.taps.values()),
            worker=workers[0],
            workers=workers,
            core=joined((one for one in snapshots if one is not None), parts),
        )

    def close(self) -> None:
        """Ends all clients' media, then the session in the cores. Idempotent."""
        if self._closed:
            return
        for client in list(self.clients.values()):
            client.close()
        for tap in list(self.taps.values()):
            tap.tap_lost("session_closed")
        self._closed = True
        for part in self.parts:
            part.close()
        self._plane.sessions.pop(self.session, None)


class NativeMediaPlane:
    """Implements `MediaPlane` over one or several cores, each a thread with its own port, joined
    with each other. A session is on one of them unless it is large. `open` creates the cores on
    the running loop."""

    def __init__(
        self,
        routers: Sequence[MediaRouter],
        settings: MediaPlaneSettings,
        scheduler: Scheduler | None = None,
    ) -> None:
        scheduler, identity = scheduler or asyncio.get_running_loop(), LateIdentity()
        ports = [settings.port and settings.port + worker for worker in range(len(routers))]
        self.contexts = tuple(
            PlaneContext(router, scheduler, replace(settings, port=port), identity, worker=worker)
            for worker, (router, port) in enumerate(zip(routers, ports, strict=True))
        )
        self.sessions: dict[SessionId, NativeSessionMedia] = {}
        self._ended: set[int] = set()
        self._scheduler = scheduler
        self._rules = settings.split
        self._meters = [BusyMeter() for _ in routers]
        for context in self.contexts:
            context.router.listen(partial(self._on_events, context))

    @classmethod
    def open(
        cls, worker: WorkerSettings, settings: MediaPlaneSettings, workers: int = 1
    ) -> "NativeMediaPlane":
        """A plane with `workers` cores on `worker`'s address: the first uses its port, each
        further one the next port; all use free ports if it is 0. Raises `OSError` that names the
        port."""
        routers: list[NativeMediaRouter] = []
        handles = count(1)
        try:
            for index in range(workers):
                one = replace(worker, port=worker.port and worker.port + index)
                routers.append(_opened(one, handles))
                for number, other in enumerate(routers[:index]):
                    routers[index].link(index, other, number)
        except BaseException:
            for router in routers:
                router.close()
            raise
        return cls(routers, settings)

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of the cores, UDP and TCP."""
        return tuple(context.router.local_port for context in self.contexts)

    def context_of_new_session(self) -> PlaneContext:
        """The core with the fewest transports, among equals the one with the fewest sessions; an
        ended one only if all have ended."""

        def load(context: PlaneContext) -> tuple[bool, int, int, int]:
            ended = context.worker in self._ended
            return ended, len(context.transports), len(context.sessions), context.worker

        return min(self.contexts, key=load)

    @property
    def has_living(self) -> bool:
        return len(self._ended) < len(self.contexts)

    def context_of_client(self, count_sinks: Callable[[], Mapping[int, int]]) -> PlaneContext:
        """The core of a session's next client. `count_sinks`: the streams that the session sends
        from each of its workers, by a look at all its clients. With one core nothing is measured
        or counted."""
        if len(self.contexts) == 1:
            return self.contexts[0]
        sinks = count_sinks()
        own = [worker for worker in sinks if worker not in self._ended] or list(sinks)
        loads = {
            context.worker: WorkerLoad(
                context.worker, self._busy(context), sinks.get(context.worker, 0)
            )
            for context in self.contexts
            if context.worker in own or context.worker not in self._ended
        }
        others = [load for worker, load in loads.items() if worker not in own]
        chosen = place([loads[worker] for worker in own], others, self._rules)
        self._meters[chosen].promise()
        return self.contexts[chosen]

    def _busy(self, context: PlaneContext) -> float:
        meter = self._meters[context.worker]
        return meter.measure(
            self._scheduler.time(), lambda: context.router.counters().get("cpu_us", 0)
        )

    def open_session(
        self, session: SessionId, *, e2ee: bool, max_publish_bps: int | None = None
    ) -> NativeSessionMedia:
        if session in self.sessions:
            raise ValueError("the session is open already")
        opened = NativeSessionMedia(self, session, e2ee=e2ee)
        opened.max_publish_bps = max_publish_bps
        self.sessions[session] = opened
        return opened

    def counters(self) -> dict[str, int]:
        """The totals of the cores (`core_api.COUNTERS`, `drop.<reason>`) and `PlaneCounter`."""
        totals: Counter[str] = Counter()
        for context in self.contexts:
            totals.update(context.router.counters())
            totals.update(context.totals)
        return dict(totals)

    async def close(self) -> None:
        for session in list(self.sessions.values()):
            session.close()
        for context in self.contexts:
            context.router.close()

    def _on_events(self, context: PlaneContext, batch: Sequence[Event]) -> None:
        for event in batch:
            try:
                if isinstance(event, core_api.CommandFailed) and event.command == "worker":
                    self._end_core(context)
                _EVENT_HANDLERS[type(event)](context, event)
            except Exception:
                # one client's trouble must not cost the others their events
                log.exception("an event of the media core could not be handled")

    def _end_core(self, context: PlaneContext) -> None:
        self._ended.add(context.worker)
        for session in list(self.sessions.values()):
            session.core_ended(context)


def _opened(worker: WorkerSettings, handles: Iterator[int]) -> NativeMediaRouter:
    try:
        return NativeMediaRouter(worker, asyncio.get_running_loop(), handles)
    except OSError as cause:
        kinds = "UDP and TCP" if worker.tcp else "UDP"
        reason = os.strerror(cause.errno) if cause.errno else str(cause)
        raise OSError(
            cause.errno,
            f"the media port {worker.host}:{worker.port} ({kinds}) cannot be used: {reason}. Stop "
            "what uses it, or choose another with --media-port",
        ) from cause


def _on_ice_validated(context: PlaneContext, event: core_api.IceValidated) -> None:
    if transport := context.transports.get(event.transport):
        transport.handle_ice_validated()


def _on_dtls_datagram(context: PlaneContext, event: core_api.DtlsDatagram) -> None:
    if transport := context.transports.get(event.transport):
        transport.handle_dtls(event.datagram)


def _on_consent_expired(context: PlaneContext, event: core_api.ConsentExpired) -> None:
    if transport := context.transports.get(event.transport):
        transport.handle_consent_expired()


def _on_tap_closed(context: PlaneContext, event: core_api.TapClosed) -> None:
    if tap := context.taps.get(event.transport):
        tap.tap_lost(event.reason)


def _on_dominant_speaker(context: PlaneContext, event: core_api.DominantSpeaker) -> None:
    published = context.publishers.get(event.publisher)
    if published is not None:
        published.speaks()


def _on_not_encrypted(context: PlaneContext, event: core_api.NotEncrypted) -> None:
    published = context.publishers.get(event.publisher)
    if published is not None:
        published.not_encrypted(event.mid, event.packets)


def _on_stream_state(context: PlaneContext, event: core_api.StreamStateChanged) -> None:
    subscription = context.subscribers.get(event.subscriber)
    if subscription is not None:
        subscription.stream_state(event.state)


def _on_subscribed_layers(context: PlaneContext, event: core_api.SubscribedLayersChanged) -> None:
    published = context.publishers.get(event.publisher)
    if published is not None:
        published.subscribed_layers(event.mid, event.subscribed)


def _on_command_failed(context: PlaneContext, event: core_api.CommandFailed) -> None:
    """A failed creation is ended here too: nothing stays half alive. Commands about ended
    objects are only counted."""
    context.totals[PlaneCounter.COMMANDS_FAILED.of(event.command)] += 1
    log.warning("command %s of %d failed: %s", event.command, event.handle, event.reason)
    transport = context.transports.get(TransportHandle(event.handle))
    published = context.publishers.get(PublisherHandle(event.handle))
    subscription = context.subscribers.get(SubscriberHandle(event.handle))
    tap = context.taps.get(TransportHandle(event.handle))
    if event.command in ("open_transport", "set_srtp_keys") and transport is not None:
        transport.handle_command_failed()
    elif event.command == "publish" and published is not None:
        published.publish_failed()
    elif event.command == "subscribe" and subscription is not None:
        subscription.subscribe_failed()
    elif event.command == "open_tap" and tap is not None:
        tap.tap_failed(event.reason)
    elif event.command == "write_tap" and tap is not None:
        tap.tap_lost(event.reason)


_EVENT_HANDLERS: dict[type[Event], Callable[[PlaneContext, Any], None]] = {
    core_api.IceValidated: _on_ice_validated,
    core_api.DtlsDatagram: _on_dtls_datagram,
    core_api.ConsentExpired: _on_consent_expired,
    core_api.TapClosed: _on_tap_closed,
    core_api.DominantSpeaker: _on_dominant_speaker,
    core_api.NotEncrypted: _on_not_encrypted,
    core_api.StreamStateChanged: _on_stream_state,
    core_api.SubscribedLayersChanged: _on_subscribed_layers,
    core_api.CommandFailed: _on_command_failed,
}
