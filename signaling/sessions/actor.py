"""The owner of a Session while clients are in it. Theory of operation:

    request, media event, timer, REST call → command → handle(state) → effects
    effects → messages to client slots, calls of the media plane, events for callbacks

`apply` gives each command to the pure `domain.session.handle`, which changes the state and
returns effects, and then runs the effects in order. Nothing is awaited in between, so every
command sees a consistent state, without a lock or a queue. An effect may apply another command;
it runs before the next effect. If the media plane refuses an effect, the rest of its request is
dropped and `MediaRefused` undoes what the request made.

Only the negotiation of a publisher's offer takes time. It runs in a task, one at a time for each
Connection, and its result comes back as a command. The stream may have ended in the meantime.

A Connection outlives its WebSocket: its `ClientSlot` keeps media, unconfirmed messages and the
unanswered offer for the grace time. A resume replaces the WebSocket and sends a new snapshot
(`Welcome`), then what the client missed.

Left out on purpose: live state is not persisted, because media cannot survive the process and
clients join again. Events that the snapshot contains are not replayed. In large sessions joins
and leaves are not sent one by one but in batches, because each would cost a write per member.
"""

import uuid
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import structlog

from sfu.ids import ConnectionId, StreamId, SubscriberId, short
from sfu.media_plane import (
    DownlinkOffer,
    MediaError,
    SessionDump,
    SessionMedia,
    Tap,
    TapListener,
)
from signaling.domain import commands as c
from signaling.domain import effects as e
from signaling.domain.errors import ErrorCode, error
from signaling.domain.intake import RESUMES_AT_ONCE, RESUMES_PER_S
from signaling.domain.session import handle
from signaling.domain.session_options import SessionRecord
from signaling.domain.session_state import SessionState
from signaling.protocol import messages as m
from signaling.sessions.batch import Batch
from signaling.sessions.client_slot import (
    ClientSlot,
    JoiningClient,
    Timer,
    connection_of,
    resume_token,
)
from signaling.sessions.context import SessionContext
from signaling.sessions.media_effects import MediaEffects
from signaling.sessions.media_listener import MediaListener
from signaling.sessions.media_messages import (
    downlink_offer,
)
from signaling.sessions.message_sink import EncodedMessage, MessageSink
from signaling.sessions.watching import SessionWatcher, Watchers

log = structlog.get_logger(__name__)

LARGE_SESSION = 20
"""Above this many members, connection events are batched."""
BATCH_S_PER_MEMBER, MAX_BATCH_S = 0.002, 0.5
"""Between two batches. A batch costs a write to each member, of 10 to 30 us: so they take one
percent of a core, however many come and go."""
_BATCHED = (m.ConnectionCreated, m.ConnectionDestroyed)


class SessionActor:
    """One Session with clients in it. `on_empty` is called when the last client has left."""

    def __init__(
        self,
        record: SessionRecord,
        media: SessionMedia,
        context: SessionContext,
        on_empty: Callable[[], None],
    ) -> None:
        self.state = SessionState(record, context.limits)
        self._media = media
        self._context = context
        self._on_empty = on_empty
        self.slots: dict[ConnectionId, ClientSlot] = {}
        self._media_effects = MediaEffects(self)
        self._batch = Batch()
        self._batch_timer: Timer | None = None
        self._next_batch_s = 0.0
        self._watchers = Watchers()
        self._log = log.bind(session=short(record.session_id[-12:]))

    # --- joining, resuming, leaving ---------------------------------------------------------

    def join(
        self,
        hello: m.Hello,
        admission: JoiningClient,
        sink: MessageSink,
        *,
        quietly: bool = False,
    ) -> ConnectionId:
        """Lets a client join and sends `Welcome` first. `quietly`: other clients are notified only
        when it publishes or plays. Errors: those of `Join`."""
        connection = ConnectionId(str(uuid.uuid4()))
        try:
            media = self._media.open_client(connection, MediaListener(self, connection))
            resume = resume_token(connection)
            self.slots[connection] = slot = ClientSlot(
                connection, media, (resume,), sink, hello.id, self._batch
            )
            slot.skip_batch()
            self.apply(
                c.Join(
                    connection=connection,
                    request=hello.id,
                    capabilities=admission.capabilities,
                    data=admission.data,
                    codecs=hello.codecs,
                    e2ee_formats=hello.e2ee.formats if hello.e2ee else (),
                    resume=resume,
                    now_unix_ms=self._unix_ms(),
                    layout_classes=admission.layout_classes,
                    token=admission.token,
                    ice_servers=self._ice_servers(connection),
                    quietly=quietly,
                )
            )
        except BaseException:
            self._drop_slot(connection)
            if not self.slots:
                self._on_empty()  # otherwise an actor made for a refused client would never end
            raise
        self._log.info("joined", connection=short(connection))
        return connection

    def resume(self, hello: m.Hello, sink: MessageSink) -> ConnectionId | None:
        """Resumes the Connection that `hello.resume` names; None if it does not exist.

        Errors: `overloaded` for too many resumes; the Connection stays unchanged.
        """
        presented = hello.resume or ""
        connection = connection_of(presented)
        slot = self.slots.get(connection)
        if slot is None or not slot.is_resumed_by(presented, hello.id):
            return None
        now_ms = int(self._context.clock.monotonic_s() * 1000)
        if not slot.resumes.takes(now_ms, RESUMES_PER_S, RESUMES_AT_ONCE):
            raise error(ErrorCode.OVERLOADED)
        self._resume_on(connection, slot, hello, sink)
        return connection

    def _resume_on(
        self, connection: ConnectionId, slot: ClientSlot, hello: m.Hello, sink: MessageSink
    ) -> None:
        if slot.grace is not None:
            slot.grace.cancel()
            slot.grace = None
        if slot.sink is not None:
            # The client noticed the loss before the server did.
            slot.sink.close("networkDisconnected")
        token = resume_token(connection)
        missed = slot.move(sink, hello, token)
        ice_servers = self._ice_servers(connection)
        self.apply(c.Resume(connection, hello.id, token, ice_servers, slot.last_request))
        for outgoing in missed:
            slot.deliver(outgoing)
        for layers in slot.subscribed_layers.values():
            if StreamId(layers.stream_id) in self.state.streams:
                self.send(connection, layers)
        if slot.offer is not None and not slot.offer_is_known:
            self._send_offer(connection, slot.offer)
        self._log.info("resumed", connection=short(connection))

    def detach(self, connection: ConnectionId, sink: MessageSink) -> None:
        """The WebSocket was lost. The Connection stays for the grace time."""
        slot = self.slots.get(connection)
        if slot is None or slot.sink is not sink:
            return
        slot.sink = None
        slot.skip_batch()
        grace_s = self.state.limits.grace_ms / 1000
        leave = partial(self._expire, connection)
        slot.grace = self._context.schedule(grace_s, leave)

    def expel(self, connection: ConnectionId) -> None:
        """Ends the Connection at once, without a grace time."""
        self.apply(c.Leave(connection, "forceDisconnected"))

    def _expire(self, connection: ConnectionId) -> None:
        self.apply(c.Leave(connection, "networkDisconnected"))

    def handle_request(self, connection: ConnectionId, request: m.Request) -> None:
        """Handles a client's request. Errors: `DomainError`, to answer with the request's id."""
        if (slot := self.slots.get(connection)) is not None:
            slot.take(request)
        self.apply(c.FromClient(connection, request, str(uuid.uuid4()), self._unix_ms()))

    def is_at(self, connection: ConnectionId, sink: MessageSink) -> bool:
        """Whether `sink` is the Connection's current WebSocket; an earlier one is ignored."""
        return connection in self.slots and self.slots[connection].sink is sink

    def answer(self, connection: ConnectionId, sink: MessageSink, outgoing: EncodedMessage) -> None:
        """Sends an answer of the gate, in order with the Connection's other messages."""
        if self.is_at(connection, sink):
            self.slots[connection].deliver(outgoing)
        else:
            sink.send(outgoing)

    def play(self, connection: ConnectionId, stream: str, offer: str) -> str:
        """The answer to a player's offer for one stream. Errors: `DomainError`."""
        name = StreamId(stream)
        subscriber = SubscriberId(str(uuid.uuid4()))
        self.apply(c.Play(connection, subscriber, name))
        try:
            answer = self.slots[connection].media.play(subscriber, name, offer)
        except MediaError as refused:
            self.apply(
                c.MediaRefused(connection, 0, "subscribe", refused.code, subscriber=subscriber)
            )
            raise error(refused.code, refused.message) from None
        self.apply(c.Announce(connection))
        return answer

    def end(self, reason: str) -> None:
        """Disconnects every client and ends all media."""
        self._watchers.on_end()
        for connection, slot in list(self.slots.items()):
            if slot.sink is not None:
                slot.sink.close(reason)
            self._notify_end(connection)
            self._drop_slot(connection)
        self._media.close()

    def _notify_end(self, connection: ConnectionId) -> None:
        """Reports the ended connection and its streams to the application only."""
        now_ms = int(self._context.clock.monotonic_s() * 1000)
        for effect in handle(self.state, c.Leave(connection, "networkDisconnected"), now_ms):
            if isinstance(effect, e.Notify):
                self._run_notify(effect)

    # --- commands and effects ---------------------------------------------------------------

    def apply(self, command: c.Command) -> None:
        """Applies one command and runs its effects. Errors: `DomainError`, without any effect."""
        now_ms = int(self._context.clock.monotonic_s() * 1000)
        self._run(handle(self.state, command, now_ms))
        self._watchers.on_change()
        if not self.state.connections and not self.slots:
            self._on_empty()

    def _run(self, effects: Iterable[e.Effect]) -> None:
        """Runs effects in order. A refusal by the media plane drops the rest of a request that a
        client waits for; otherwise (the transport is ending) the next effect runs."""
        for effect in effects:
            runner = _RUNNERS.get(type(effect))
            if runner is not None:
                runner(self, effect)
            elif not self._media_effects.run(effect):
                return

    def send(self, connection: ConnectionId, message: m.Message) -> None:
        """Sends to one client, or adds to its backlog while it has no WebSocket."""
        self._deliver(connection, EncodedMessage(message))

    def _deliver(self, connection: ConnectionId, outgoing: EncodedMessage) -> None:
        slot = self.slots.get(connection)
        if slot is not None:
            slot.deliver(outgoing)

    def keep_offer(self, connection: ConnectionId, offer: DownlinkOffer) -> None:
        """Sends an offer and keeps it until it is answered, for a client that resumes."""
        slot = self.slots.get(connection)
        if slot is not None:
            slot.offer, slot.offer_sent_as = offer, None
            self._send_offer(connection, offer)

    def keep_layers(self, connection: ConnectionId, layers: m.SubscribedLayersChanged) -> None:
        """Sends the subscribed layers of a video, and keeps them for a client that resumes."""
        slot = self.slots.get(connection)
        if slot is None:
            return
        known, streams = slot.subscribed_layers, self.state.streams
        present = {key: one for key, one in known.items() if StreamId(key[0]) in streams}
        slot.subscribed_layers = {**present, (layers.stream_id, layers.mid): layers}
        self.send(connection, layers)

    def _send_offer(self, connection: ConnectionId, offer: DownlinkOffer) -> None:
        self.send(connection, downlink_offer(offer))

    # --- one method per effect --------------------------------------------------------------

    def _run_send(self, effect: e.Send) -> None:
        self.send(effect.connection, effect.message)

    def _run_broadcast(self, effect: e.Broadcast) -> None:
        outgoing = EncodedMessage(effect.message)
        if isinstance(effect.message, _BATCHED) and len(self.slots) > LARGE_SESSION:
            self._batch.add(outgoing, effect.but)
            self._flush_later()
            return
        for connection in effect.to if effect.to is not None else list(self.state.connections):
            if connection != effect.but:
                self._deliver(connection, outgoing)

    def _flush_later(self) -> None:
        """Events for all members are collected, and leave in one write to each. After a quiet time
        they leave in the next turn of the loop."""
        if self._batch_timer is None:
            wait_s = max(0.0, self._next_batch_s - self._context.clock.monotonic_s())
            self._batch_timer = self._context.schedule(wait_s, self._flush_batches)

    def _flush_batches(self) -> None:
        self._batch_timer = None
        slots = list(self.slots.values())
        pause_s = min(len(slots) * BATCH_S_PER_MEMBER, MAX_BATCH_S)
        self._next_batch_s = self._context.clock.monotonic_s() + pause_s
        for slot in slots:
            slot.flush_batch()
        self._batch.clear()
        for slot in slots:
            slot.skip_batch()

    def _run_close_connection(self, effect: e.CloseConnection) -> None:
        slot = self.slots.get(effect.connection)
        if slot is not None and slot.sink is not None:
            slot.sink.close(effect.reason)
        self._drop_slot(effect.connection)
        self._log.info("left", connection=short(effect.connection), reason=effect.reason)

    def _run_notify(self, effect: e.Notify) -> None:
        self._log.info(effect.event, subject=short(effect.subject), reason=effect.reason)
        self._context.report_event(self.state.record, effect)

    def open_tap(self, listener: TapListener) -> Tap:
        """Errors: `MediaError`."""
        return self._media.open_tap(listener)

    def watch(self, watcher: SessionWatcher) -> None:
        self._watchers.add(watcher)

    def unwatch(self, watcher: SessionWatcher) -> None:
        self._watchers.remove(watcher)
        if not self.state.connections and not self.slots:
            self._on_empty()

    @property
    def is_watched(self) -> bool:
        return bool(self._watchers)

    async def dump_media(self) -> SessionDump:
        """The state of the session's media, for diagnosis."""
        return await self._media.dump()

    # --- helpers ----------------------------------------------------------------------------

    def _drop_slot(self, connection: ConnectionId) -> None:
        slot = self.slots.pop(connection, None)
        if slot is None:
            return
        if slot.grace is not None:
            slot.grace.cancel()
        slot.media.close()

    def _ice_servers(self, connection: ConnectionId) -> tuple[m.IceServer, ...]:
        now_unix_s = int(self._context.clock.unix_s())
        return self._context.ice_servers.for_client(connection, now_unix_s)

    def _unix_ms(self) -> int:
        return int(self._context.clock.unix_s() * 1000)


_RUNNERS: dict[type, Callable[[SessionActor, Any], None]] = {
    e.Send: SessionActor._run_send,  # noqa: SLF001 - the table of the class's own methods
    e.Broadcast: SessionActor._run_broadcast,  # noqa: SLF001
    e.CloseConnection: SessionActor._run_close_connection,  # noqa: SLF001
    e.Notify: SessionActor._run_notify,  # noqa: SLF001
}
