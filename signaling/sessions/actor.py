"""The owner of a Session while clients are in it: commands in, effects run in order.

A command is applied and its effects are run without anything awaited in between, so every
command sees the state whole; that is why there is neither a lock nor a queue. What has to wait
(a client's offer) runs beside it, in order for each Connection, and comes back as a command.
"""

import asyncio
import secrets
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from sfu.core_api import Codec, LayerWish, MediaKind
from sfu.ids import ConnectionId, StreamId, SubscriberId, short
from sfu.media_plane import (
    ClientMedia,
    DownlinkOffer,
    MediaError,
    SessionDump,
    SessionMedia,
    TrackOffer,
)
from signaling.clock import Clock
from signaling.domain import commands as c
from signaling.domain import effects as e
from signaling.domain.errors import ErrorCode, error
from signaling.domain.intake import RESUMES_AT_ONCE, RESUMES_PER_S
from signaling.domain.session import handle
from signaling.domain.session_options import SessionRecord
from signaling.domain.session_state import Limits, SessionState
from signaling.ice_servers import IceServers
from signaling.protocol import messages as m
from signaling.sessions.client_slot import ClientSlot, JoiningClient, Timer, named_by, resume_token
from signaling.sessions.media_listener import MediaListener
from signaling.sessions.message_sink import EncodedMessage, MessageSink

log = structlog.get_logger(__name__)

LARGE_SESSION = 100
"""Members beyond which news of connections wait for company: each would be a write to everybody."""
BATCH_S_PER_MEMBER, MAX_BATCH_S = 0.000_1, 0.5
_BATCHED = (m.ConnectionCreated, m.ConnectionDestroyed)
_Answered = (
    e.PublishMedia | e.SubscribeMedia | e.DeclareKidsMedia | e.AnswerDownlink | e.RestartIceMedia
)
"""Effects that a client waits for: what media refuses of them is an answer."""

Tell = Callable[[SessionRecord, e.Notify], None]
Schedule = Callable[[float, Callable[[], None]], Timer]


@dataclass(frozen=True, slots=True)
class DirectoryContext:
    """What every actor needs. `schedule(delay_s, callback)` is the loop's `call_later`; `tell`
    passes on what applications want to know, and has it safe when it returns."""

    clock: Clock
    limits: Limits
    schedule: Schedule
    tell: Tell
    ice_servers: IceServers


class SessionActor:
    """One Session with clients in it. `on_empty` is called when the last one has left."""

    def __init__(
        self,
        record: SessionRecord,
        media: SessionMedia,
        context: DirectoryContext,
        on_empty: Callable[[], None],
    ) -> None:
        self.state = SessionState(record, context.limits)
        self._media = media
        self._context = context
        self._on_empty = on_empty
        self._slots: dict[ConnectionId, ClientSlot] = {}
        self._batch_timer: Timer | None = None
        self._log = log.bind(session=short(record.session_id[-12:]))

    # --- clients come and go ----------------------------------------------------------------

    def join(
        self,
        hello: m.Hello,
        admission: JoiningClient,
        sink: MessageSink,
        *,
        quietly: bool = False,
    ) -> ConnectionId:
        """Takes a client in; its `Welcome` is the first thing sent. `quietly`: others hear of it
        once it publishes or plays. Errors: those of `Join`."""
        connection = ConnectionId(str(uuid.uuid4()))
        try:
            media = self._media.open_client(connection, MediaListener(self, connection))
            self._slots[connection] = slot = ClientSlot(
                media, resume_token(connection), sink, hello.id
            )
            self.apply(
                c.Join(
                    connection=connection,
                    request=hello.id,
                    capabilities=admission.capabilities,
                    data=admission.data,
                    codecs=hello.codecs,
                    e2ee_formats=hello.e2ee.formats if hello.e2ee else (),
                    resume=slot.resume,
                    now_unix_ms=self._unix_ms(),
                    layout_classes=admission.layout_classes,
                    token=admission.token,
                    ice_servers=self._ice_servers(connection),
                    quietly=quietly,
                )
            )
        except BaseException:
            self._drop_slot(connection)
            if not self._slots:
                self._on_empty()  # made for a client that is refused, it would stay for ever
            raise
        self._log.info("joined", connection=short(connection))
        return connection

    def resume(self, hello: m.Hello, sink: MessageSink) -> ConnectionId | None:
        """Takes up the Connection that `hello.resume` names; None when there is none.

        Errors: `overloaded` for one that is taken up again and again; it stays as it is.
        """
        wanted = hello.resume or ""
        connection = named_by(wanted)
        slot = self._slots.get(connection)
        if slot is None or not secrets.compare_digest(slot.resume.encode(), wanted.encode()):
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
            # The client noticed the loss before we did.
            slot.sink.close("networkDisconnected")
        missed = slot.move(sink, hello.received)
        slot.resume = resume_token(connection)
        ice_servers = self._ice_servers(connection)
        self.apply(c.Resume(connection, hello.id, slot.resume, ice_servers, slot.last_request))
        for outgoing in missed:
            slot.deliver(outgoing)
        for told in slot.demands.values():
            if StreamId(told.stream_id) in self.state.streams:
                self.send(connection, told)
        if slot.offer is not None and not slot.offer_is_known:
            self._send_offer(connection, slot.offer)
        self._log.info("resumed", connection=short(connection))

    def detach(self, connection: ConnectionId, sink: MessageSink) -> None:
        """The WebSocket is gone. The Connection lives on for the grace time."""
        slot = self._slots.get(connection)
        if slot is None or slot.sink is not sink:
            return
        slot.sink = None
        slot.batch.clear()
        grace_s = self.state.limits.grace_ms / 1000
        leave = partial(self._expire, connection)
        slot.grace = self._context.schedule(grace_s, leave)

    def expel(self, connection: ConnectionId) -> None:
        """The Connection ends at once, whatever it still has open."""
        self.apply(c.Leave(connection, "forceDisconnected"))

    def _expire(self, connection: ConnectionId) -> None:
        self.apply(c.Leave(connection, "networkDisconnected"))

    def handle_request(self, connection: ConnectionId, request: m.Request) -> None:
        """A client's request. Errors: `DomainError`, to be answered with the request's id."""
        if (slot := self._slots.get(connection)) is not None:
            slot.take(request)
        self.apply(c.FromClient(connection, request, str(uuid.uuid4()), self._unix_ms()))

    def is_at(self, connection: ConnectionId, sink: MessageSink) -> bool:
        """Whether that is the Connection's WebSocket; one that it has left says nothing more."""
        return connection in self._slots and self._slots[connection].sink is sink

    def answer(self, connection: ConnectionId, sink: MessageSink, outgoing: EncodedMessage) -> None:
        """What the gate answers by itself: in its turn with what else goes there."""
        if self.is_at(connection, sink):
            self._slots[connection].deliver(outgoing)
        else:
            sink.send(outgoing)

    def play(self, connection: ConnectionId, stream: str, offer: str) -> str:
        """The answer to a player's own offer for one stream. Errors: `DomainError`."""
        name = StreamId(stream)
        subscriber = SubscriberId(str(uuid.uuid4()))
        self.apply(c.Play(connection, subscriber, name))
        try:
            answer = self._slots[connection].media.play(subscriber, name, offer)
        except MediaError as refused:
            self.apply(
                c.MediaRefused(connection, 0, "subscribe", refused.code, subscriber=subscriber)
            )
            raise error(refused.code, refused.message) from None
        self.apply(c.Announce(connection))
        return answer

    def end(self, reason: str) -> None:
        """Says goodbye to every client and ends all media (server shutdown)."""
        for connection, slot in list(self._slots.items()):
            if slot.sink is not None:
                slot.sink.close(reason)
            self._notify_end(connection)
            self._drop_slot(connection)
        self._media.close()

    def _notify_end(self, connection: ConnectionId) -> None:
        """The application learns what ends with a server that goes; clients were told already."""
        now_ms = int(self._context.clock.monotonic_s() * 1000)
        for effect in handle(self.state, c.Leave(connection, "networkDisconnected"), now_ms):
            if isinstance(effect, e.Notify):
                self._run_notify(effect)

    # --- commands and effects ---------------------------------------------------------------

    def apply(self, command: c.Command) -> None:
        """Applies one command and runs its effects. Errors: `DomainError`; nothing changed then."""
        now_ms = int(self._context.clock.monotonic_s() * 1000)
        self._run(handle(self.state, command, now_ms))
        if not self.state.connections and not self._slots:
            self._on_empty()

    def _run(self, effects: Iterable[e.Effect]) -> None:
        """What media refuses takes the rest of its request along. An effect that no request
        waits for (its transport is just ending) takes nothing along."""
        for effect in effects:
            try:
                _RUNNERS[type(effect)](self, effect)
            except MediaError as refused:
                if isinstance(effect, _Answered):
                    self._refuse(effect, refused)
                    return
                self._log.info("media refused an effect", code=refused.code)

    def _refuse(self, effect: _Answered, refused: MediaError) -> None:
        """The client gets the reason, and what the request made is undone."""
        request = effect.request
        command = c.MediaRefused(
            connection=effect.connection,
            request=request if isinstance(request, int) else request.id,
            tag=_REFUSED_TAGS[type(effect)],
            code=refused.code,
            stream=effect.stream if isinstance(effect, e.PublishMedia) else None,
            subscriber=effect.subscriber if isinstance(effect, e.SubscribeMedia) else None,
        )
        self.apply(command)

    def send(self, connection: ConnectionId, message: m.Message) -> None:
        """To one client, or into its backlog while it has no WebSocket."""
        self._deliver(connection, EncodedMessage(message))

    def _deliver(self, connection: ConnectionId, outgoing: EncodedMessage) -> None:
        slot = self._slots.get(connection)
        if slot is not None:
            slot.deliver(outgoing)

    def keep_offer(self, connection: ConnectionId, offer: DownlinkOffer) -> None:
        """An offer is kept until it is answered: a client that comes back gets it again."""
        slot = self._slots.get(connection)
        if slot is not None:
            slot.offer, slot.offer_sent_as = offer, None
            self._send_offer(connection, offer)

    def keep_demand(self, connection: ConnectionId, told: m.VideoDemandChanged) -> None:
        """A client that comes back learns again what of its videos is watched."""
        slot = self._slots.get(connection)
        if slot is None:
            return
        present = {k: v for k, v in slot.demands.items() if StreamId(k[0]) in self.state.streams}
        slot.demands = {**present, (told.stream_id, told.mid): told}
        self.send(connection, told)

    def _send_offer(self, connection: ConnectionId, offer: DownlinkOffer) -> None:
        tracks = tuple(
            m.DownlinkTrack(
                mid=track.mid,
                kind=track.kind.value,
                codec=track.codec.value,
                subscriber_id=track.subscriber,
                stream_id=track.stream,
            )
            for track in offer.tracks
        )
        self.send(connection, m.DownlinkOffer(number=offer.number, sdp=offer.sdp, tracks=tracks))

    # --- one method per effect --------------------------------------------------------------

    def _run_send(self, effect: e.Send) -> None:
        self.send(effect.connection, effect.message)

    def _run_broadcast(self, effect: e.Broadcast) -> None:
        outgoing = EncodedMessage(effect.message)
        if isinstance(effect.message, _BATCHED) and len(self._slots) > LARGE_SESSION:
            self._batch(outgoing, effect.but)
            return
        for connection in effect.to if effect.to is not None else list(self.state.connections):
            if connection != effect.but:
                self._deliver(connection, outgoing)

    def _batch(self, outgoing: EncodedMessage, but: ConnectionId | None) -> None:
        """For all members: with what else comes in the next moment, in one write to each."""
        for connection, slot in self._slots.items():
            if connection != but:
                slot.deliver_batched(outgoing)
        if self._batch_timer is None:
            wait_s = min(len(self._slots) * BATCH_S_PER_MEMBER, MAX_BATCH_S)
            self._batch_timer = self._context.schedule(wait_s, self._flush_batches)

    def _flush_batches(self) -> None:
        self._batch_timer = None
        for slot in list(self._slots.values()):
            slot.flush_batch()

    def _run_close_connection(self, effect: e.CloseConnection) -> None:
        slot = self._slots.get(effect.connection)
        if slot is not None and slot.sink is not None:
            slot.sink.close(effect.reason)
        self._drop_slot(effect.connection)
        self._log.info("left", connection=short(effect.connection), reason=effect.reason)

    def _run_publish(self, effect: e.PublishMedia) -> None:
        slot = self._slots[effect.connection]
        task = asyncio.get_running_loop().create_task(
            self._publish(slot, effect, before=slot.publishing)
        )
        slot.publishing = task

    async def _publish(
        self, slot: ClientSlot, effect: e.PublishMedia, before: asyncio.Task[None] | None
    ) -> None:
        """Offers of one client are negotiated one after the other."""
        if before is not None:
            await asyncio.wait({before})
        tracks = [
            TrackOffer(track.mid, MediaKind(track.kind), track.kids)
            for track in effect.request.tracks
        ]
        try:
            answer = await slot.media.publish(effect.stream, effect.request.offer, tracks)
        except MediaError as refused:
            self._refuse(effect, refused)
            return
        except Exception:  # noqa: BLE001 - logged with its trace; the client must not wait for ever
            self._log.exception("publishing failed", connection=short(effect.connection))
            self._refuse(effect, MediaError(ErrorCode.INTERNAL.value, "publishing failed"))
            return
        if effect.stream not in self.state.streams:
            # It was unpublished, or its client left, while the offer was negotiated.
            slot.media.unpublish(effect.stream)
            self._refuse(effect, MediaError(ErrorCode.STREAM_NOT_FOUND.value, "unpublished"))
            return
        self.apply(
            c.MediaPublished(
                connection=effect.connection,
                stream=effect.stream,
                request=effect.request.id,
                answer=answer.sdp,
                tracks=tuple(
                    m.TrackInfo(mid=track.mid, kind=track.kind.value, codec=track.codec.value)
                    for track in answer.tracks
                ),
            )
        )

    def _run_unpublish(self, effect: e.UnpublishMedia) -> None:
        if (media := self._media_of(effect.connection)) is not None:
            media.unpublish(effect.stream)

    def _run_declare_kids(self, effect: e.DeclareKidsMedia) -> None:
        if (media := self._media_of(effect.connection)) is not None:
            media.declare_kids(effect.stream, effect.mid, effect.kids)
            where = (effect.connection, effect.stream, effect.mid)
            self.apply(c.KidsDeclared(*where, effect.kids, effect.request))

    def _run_forward_stream(self, effect: e.ForwardStream) -> None:
        if (media := self._media_of(effect.connection)) is not None:
            media.set_stream_forwarding(effect.stream, MediaKind(effect.kind), effect.forwarding)

    def _run_subscribe(self, effect: e.SubscribeMedia) -> None:
        """Both kinds get an m-line, so that one may be wanted later; the unwanted is held back."""
        media = self._slots[effect.connection].media
        codecs = frozenset(Codec(codec) for codec in effect.codecs)
        stream = StreamId(effect.request.stream_id)
        media.subscribe(effect.subscriber, stream, frozenset(MediaKind), codecs)
        for kind, wanted in (
            (MediaKind.AUDIO, effect.request.audio),
            (MediaKind.VIDEO, effect.request.video),
        ):
            if not wanted:
                media.set_subscriber_forwarding(effect.subscriber, kind, forwarding=False)

    def _run_unsubscribe(self, effect: e.UnsubscribeMedia) -> None:
        if (media := self._media_of(effect.connection)) is not None:
            media.unsubscribe(effect.subscriber)

    def _run_forward_subscriber(self, effect: e.ForwardSubscriber) -> None:
        if (media := self._media_of(effect.connection)) is not None:
            media.set_subscriber_forwarding(
                effect.subscriber, MediaKind(effect.kind), effect.forwarding
            )

    def _run_prefer_layers(self, effect: e.PreferLayers) -> None:
        size = effect.resolution
        wish = LayerWish(
            max_width_px=size.width if size else None,
            max_height_px=size.height if size else None,
            max_frame_rate=effect.frame_rate,
        )
        if (media := self._media_of(effect.connection)) is not None:
            media.set_layer_wish(effect.subscriber, wish)

    def _run_request_key_frame(self, effect: e.RequestKeyFrame) -> None:
        if (media := self._media_of(effect.connection)) is not None:
            media.request_key_frame(effect.stream)

    def _run_answer_downlink(self, effect: e.AnswerDownlink) -> None:
        slot = self._slots[effect.connection]
        slot.media.answer_downlink(effect.number, effect.sdp)
        # Only now: an offer whose answer is refused waits for a better one.
        if slot.offer is not None and slot.offer.number == effect.number:
            slot.offer = None

    def _run_restart_ice(self, effect: e.RestartIceMedia) -> None:
        media, request = self._slots[effect.connection].media, effect.request
        if request.direction == "uplink":
            answer = media.restart_uplink(request.offer)
            self.send(effect.connection, m.IceRestarted(re=request.id, answer=answer))
        else:
            media.restart_downlink()
            self.send(effect.connection, m.Ok(re=request.id))

    def _run_notify(self, effect: e.Notify) -> None:
        self._log.info(effect.event, subject=short(effect.subject), reason=effect.reason)
        self._context.tell(self.state.record, effect)

    async def dump_media(self) -> SessionDump:
        """Everything known of the session's media, for diagnosis."""
        return await self._media.dump()

    # --- small things -----------------------------------------------------------------------

    def _media_of(self, connection: ConnectionId) -> ClientMedia | None:
        slot = self._slots.get(connection)
        return slot.media if slot is not None else None

    def _drop_slot(self, connection: ConnectionId) -> None:
        slot = self._slots.pop(connection, None)
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
    e.PublishMedia: SessionActor._run_publish,  # noqa: SLF001
    e.UnpublishMedia: SessionActor._run_unpublish,  # noqa: SLF001
    e.DeclareKidsMedia: SessionActor._run_declare_kids,  # noqa: SLF001
    e.ForwardStream: SessionActor._run_forward_stream,  # noqa: SLF001
    e.SubscribeMedia: SessionActor._run_subscribe,  # noqa: SLF001
    e.UnsubscribeMedia: SessionActor._run_unsubscribe,  # noqa: SLF001
    e.ForwardSubscriber: SessionActor._run_forward_subscriber,  # noqa: SLF001
    e.PreferLayers: SessionActor._run_prefer_layers,  # noqa: SLF001
    e.RequestKeyFrame: SessionActor._run_request_key_frame,  # noqa: SLF001
    e.AnswerDownlink: SessionActor._run_answer_downlink,  # noqa: SLF001
    e.RestartIceMedia: SessionActor._run_restart_ice,  # noqa: SLF001
    e.Notify: SessionActor._run_notify,  # noqa: SLF001
}
_REFUSED_TAGS: dict[type, str] = {
    e.PublishMedia: "publish",
    e.SubscribeMedia: "subscribe",
    e.DeclareKidsMedia: "declareKids",
    e.AnswerDownlink: "downlinkAnswer",
    e.RestartIceMedia: "restartIce",
}
