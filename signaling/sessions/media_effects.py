"""Effects on the media plane. Each runs for the session that its command changed; what the plane
refuses comes back to the session as `MediaRefused`."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog

from sfu.core_api import Codec, MediaKind
from sfu.ids import ConnectionId, StreamId, short
from sfu.media_plane import ClientMedia, MediaError
from signaling.domain import commands as c
from signaling.domain import effects as e
from signaling.domain.errors import ErrorCode
from signaling.domain.session_state import SessionState
from signaling.protocol import messages as m
from signaling.sessions.client_slot import ClientSlot
from signaling.sessions.media_messages import offered_tracks, preferred_layers, published_tracks

log = structlog.get_logger(__name__)

Answered = (
    e.PublishMedia | e.SubscribeMedia | e.DeclareKidsMedia | e.AnswerDownlink | e.RestartIceMedia
)
"""Effects of requests that a client waits for; a refusal by the media plane is their answer."""


class EffectsSession(Protocol):
    """The session whose effects these are: it alone changes its state."""

    state: SessionState

    @property
    def slots(self) -> Mapping[ConnectionId, ClientSlot]: ...
    def apply(self, command: c.Command) -> None: ...
    def send(self, connection: ConnectionId, message: m.Message) -> None: ...


class MediaEffects:
    """Runs the effects of one session on the media of its clients."""

    def __init__(self, session: EffectsSession) -> None:
        self._session = session
        self._log = log.bind(session=short(session.state.record.session_id[-12:]))

    def run(self, effect: e.Effect) -> bool:
        """Runs an effect. False: the plane refused it, and the rest of the request is dropped."""
        try:
            _RUNNERS[type(effect)](self, effect)
        except MediaError as refused:
            if isinstance(effect, Answered):
                self.refuse(effect, refused)
                return False
            self._log.info("media refused an effect", code=refused.code)
        return True

    def refuse(self, effect: Answered, refused: MediaError) -> None:
        """Reports the refusal to the client and undoes what the request made."""
        request = effect.request
        command = c.MediaRefused(
            connection=effect.connection,
            request=request if isinstance(request, int) else request.id,
            tag=_REFUSED_TAGS[type(effect)],
            code=refused.code,
            stream=effect.stream if isinstance(effect, e.PublishMedia) else None,
            subscriber=effect.subscriber if isinstance(effect, e.SubscribeMedia) else None,
        )
        self._session.apply(command)

    def _run_publish(self, effect: e.PublishMedia) -> None:
        slot = self._session.slots[effect.connection]
        task = asyncio.get_running_loop().create_task(
            self._publish(slot, effect, before=slot.publishing)
        )
        slot.publishing = task

    async def _publish(
        self, slot: ClientSlot, effect: e.PublishMedia, before: asyncio.Task[None] | None
    ) -> None:
        """Negotiates an offer after the earlier offers of the same client."""
        if before is not None:
            await asyncio.wait({before})
        tracks = offered_tracks(effect.request)
        try:
            answer = await slot.media.publish(effect.stream, effect.request.offer, tracks)
        except MediaError as refused:
            self.refuse(effect, refused)
            return
        except Exception:  # noqa: BLE001 - logged with its trace; the client must not wait forever
            self._log.exception("publishing failed", connection=short(effect.connection))
            self.refuse(effect, MediaError(ErrorCode.INTERNAL.value, "publishing failed"))
            return
        if effect.stream not in self._session.state.streams:
            # The stream ended while its offer was negotiated.
            slot.media.unpublish(effect.stream)
            self.refuse(effect, MediaError(ErrorCode.STREAM_NOT_FOUND.value, "unpublished"))
            return
        self._session.apply(
            c.MediaPublished(
                connection=effect.connection,
                stream=effect.stream,
                request=effect.request.id,
                answer=answer.sdp,
                tracks=published_tracks(answer),
            )
        )

    def _run_unpublish(self, effect: e.UnpublishMedia) -> None:
        if (media := self._media_of(effect.connection)) is not None:
            media.unpublish(effect.stream)

    def _run_declare_kids(self, effect: e.DeclareKidsMedia) -> None:
        if (media := self._media_of(effect.connection)) is not None:
            media.declare_kids(effect.stream, effect.mid, effect.kids)
            where = (effect.connection, effect.stream, effect.mid)
            self._session.apply(c.KidsDeclared(*where, effect.kids, effect.request))

    def _run_forward_stream(self, effect: e.ForwardStream) -> None:
        if (media := self._media_of(effect.connection)) is not None:
            media.set_stream_forwarding(effect.stream, MediaKind(effect.kind), effect.forwarding)

    def _run_subscribe(self, effect: e.SubscribeMedia) -> None:
        """Negotiates an m-line for both kinds, so that the client can enable either later; a kind
        that it does not want is paused."""
        media = self._session.slots[effect.connection].media
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
        if (media := self._media_of(effect.connection)) is not None:
            media.set_preferred_layers(effect.subscriber, preferred_layers(effect))

    def _run_answer_downlink(self, effect: e.AnswerDownlink) -> None:
        slot = self._session.slots[effect.connection]
        slot.media.answer_downlink(effect.number, effect.sdp)
        # Only after success: an offer whose answer was refused still waits for a valid one.
        if slot.offer is not None and slot.offer.number == effect.number:
            slot.offer = None

    def _run_restart_ice(self, effect: e.RestartIceMedia) -> None:
        media, request = self._session.slots[effect.connection].media, effect.request
        if request.direction == "uplink":
            answer = media.restart_uplink(request.offer)
            self._session.send(effect.connection, m.IceRestarted(re=request.id, answer=answer))
        else:
            media.restart_downlink()
            self._session.send(effect.connection, m.Ok(re=request.id))

    def _media_of(self, connection: ConnectionId) -> ClientMedia | None:
        slot = self._session.slots.get(connection)
        return slot.media if slot is not None else None


_RUNNERS: dict[type, Callable[[MediaEffects, Any], None]] = {
    e.PublishMedia: MediaEffects._run_publish,  # noqa: SLF001 - the table of the class's own methods
    e.UnpublishMedia: MediaEffects._run_unpublish,  # noqa: SLF001
    e.DeclareKidsMedia: MediaEffects._run_declare_kids,  # noqa: SLF001
    e.ForwardStream: MediaEffects._run_forward_stream,  # noqa: SLF001
    e.SubscribeMedia: MediaEffects._run_subscribe,  # noqa: SLF001
    e.UnsubscribeMedia: MediaEffects._run_unsubscribe,  # noqa: SLF001
    e.ForwardSubscriber: MediaEffects._run_forward_subscriber,  # noqa: SLF001
    e.PreferLayers: MediaEffects._run_prefer_layers,  # noqa: SLF001
    e.AnswerDownlink: MediaEffects._run_answer_downlink,  # noqa: SLF001
    e.RestartIceMedia: MediaEffects._run_restart_ice,  # noqa: SLF001
}
_REFUSED_TAGS: dict[type, str] = {
    e.PublishMedia: "publish",
    e.SubscribeMedia: "subscribe",
    e.DeclareKidsMedia: "declareKids",
    e.AnswerDownlink: "downlinkAnswer",
    e.RestartIceMedia: "restartIce",
}
