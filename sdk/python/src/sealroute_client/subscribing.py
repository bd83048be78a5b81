"""What one Session receives: its Subscribers and the downlink that carries them."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sealroute_client import events
from sealroute_client.codec import Message
from sealroute_client.downlink import Downlink, Line
from sealroute_client.early import Early
from sealroute_client.emitter import Event
from sealroute_client.errors import (
    DecryptionInternalError,
    InvalidParameter,
    NotConnected,
    RequestTimeout,
    SealrouteError,
)
from sealroute_client.losses import LostMeanwhile
from sealroute_client.peers import PeerConnections
from sealroute_client.subscriber import NO_CAPTIONS, Subscriber

if TYPE_CHECKING:
    from sealroute_client.session import Session

logger = logging.getLogger(__name__)


class Subscribing:
    """Owns the Subscribers by the server's id, the downlink, and which m-line is whose."""

    def __init__(self, session: "Session", peers: PeerConnections) -> None:
        self._session = session
        self._peers = peers
        self.subscribers: dict[str, Subscriber] = {}
        self.downlink: Downlink | None = None
        self.offers: asyncio.Queue[Message] = asyncio.Queue()
        self._waiting: list[Subscriber] = []
        self._losses = 0
        """Of downlinks: what was asked for meanwhile is asked for again."""
        self.early: Early[Subscriber] = Early(session.complain)
        """By subscriber id, and by stream id what ends with the stream."""

    async def subscribe(self, stream: str | dict[str, Any], **wanted: bool) -> Subscriber:
        stream_id = stream if isinstance(stream, str) else str(stream["streamId"])
        known = self._session.streams.get(stream_id)
        encryption, openers = self._session.encryption_in_use(), None
        if encryption is not None:
            if wanted.get("captions"):
                raise InvalidParameter(NO_CAPTIONS)
            if known is None:
                # Its keys belong to its publisher's connection, which the directory names.
                raise InvalidParameter("No such stream in the session")
            openers = encryption.openers(str(known.get("connectionId", "")), stream_id)
        subscriber = Subscriber(
            known or {"streamId": stream_id},
            openers,
            self._report_state,
            self._session.signaling.request,
        )
        subscriber.wanted = dict(wanted)
        subscriber.on("*", self._on_event)
        while True:
            try:
                await self.request(subscriber)
            except LostMeanwhile:
                await self._session.recovery.made_good("downlink")
            else:
                return subscriber

    async def request(self, subscriber: Subscriber) -> None:
        """Asks for the Subscriber's stream; again, when the downlink was lost. Errors: ServerError,
        NotConnected; LostMeanwhile where it is lost before the answer is used."""
        losses = self._losses
        with self.early.awaiting():
            answer = await self._session.signaling.request(
                "subscribe", streamId=subscriber.stream_id, **subscriber.wanted
            )
            subscriber.subscriber_id = str(answer["subscriberId"])
            if losses != self._losses:
                self._session.spawn(self._give_back(subscriber.subscriber_id))
                raise LostMeanwhile
            if subscriber.subscriber_id in self.subscribers:
                raise DecryptionInternalError("The server gave two subscriptions one id")
            self.subscribers[subscriber.subscriber_id] = subscriber
            self.early.take(subscriber.subscriber_id, subscriber)
            self.early.take(subscriber.stream_id, subscriber)
        if subscriber.is_ended.is_set():
            # Unsubscribed meanwhile: who did it could not name it to the server.
            await self.unsubscribe(subscriber)

    def take_caption(self, caption: events.CaptionReceived) -> None:
        """To those that asked for it. Nobody else hears of it: the server was not asked."""
        for subscriber in self.subscribers.values():
            if subscriber.stream_id == caption.stream_id and subscriber.is_subscribed_to_captions:
                subscriber.emit(caption)

    def when_known(self, subscriber_id: str, act: Callable[[Subscriber], None]) -> None:
        """Now, or when the answer that is due names the Subscriber; else never."""
        subscriber = self.subscribers.get(subscriber_id)
        if subscriber is not None:
            act(subscriber)
        else:
            self.early.keep(subscriber_id, act)

    async def _give_back(self, subscriber_id: str) -> None:
        """A subscription that the server may know no more."""
        with contextlib.suppress(SealrouteError):
            await self._session.signaling.request("unsubscribe", subscriberId=subscriber_id)

    async def unsubscribe(self, subscriber: Subscriber) -> None:
        if subscriber in self._waiting:
            self._waiting.remove(subscriber)
        await subscriber.close()
        if self.subscribers.pop(subscriber.subscriber_id, None) is None:
            return
        if self._session.relay is not None:
            self._session.relay.drop(subscriber.subscriber_id)
        await self._session.signaling.request("unsubscribe", subscriberId=subscriber.subscriber_id)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, FOR_THE_SESSION):
            self._session.emit(event)

    def _report_state(self, subscriber: Subscriber, state: str) -> None:
        self._session.spawn(
            self._notify(
                "e2eeState",
                subscriberId=subscriber.subscriber_id,
                state=state,
                decrypted=subscriber.state.decrypted,
                failed=subscriber.state.failed,
            )
        )

    async def _notify(self, kind: str, **members: object) -> None:
        await self._session.signaling.request(kind, **members)

    # --- the downlink --------------------------------------------------------------------

    async def answer_offers(self) -> None:
        while True:
            message: dict[str, Any] = await self.offers.get()
            if self.downlink is None:
                self.downlink = Downlink(self._peers)
            try:
                carrying = {str(track["mid"]) for track in message["tracks"]}
                self.downlink.check(str(message["sdp"]), carrying)
            except SealrouteError as error:
                # Nothing of it was applied: what was agreed on before goes on.
                self._session.complain(error)
                continue
            try:
                answer, lines = await self.downlink.answer(str(message["sdp"]))
                self._bind(lines, message["tracks"])
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing of it is played
                await self._refuse_offer(error)
                continue
            try:
                await self._session.signaling.request(
                    "downlinkAnswer", offerId=message["offerId"], sdp=answer
                )
            except SealrouteError as error:
                # The server repeats or replaces the offer; keep answering.
                self._session.complain(error)

    async def _refuse_offer(self, error: Exception) -> None:
        """What is half applied is no ground to stand on: the downlink ends."""
        logger.warning("an offer of the server could not be used: %s", type(error).__name__)
        for subscriber in self.subscribers.values():
            subscriber.lose_tracks()
        await self.close_downlink()
        if not isinstance(error, SealrouteError):
            error = DecryptionInternalError("An offer of the server could not be used")
        self._session.complain(error)

    def _bind(self, lines: dict[str, Line], tracks: list[dict[str, Any]]) -> None:
        """Each m-line goes to the Subscriber that asked for its stream, or to nobody."""
        wanted: dict[str, tuple[Subscriber, str]] = {}
        for track in tracks:
            mid, kind = str(track["mid"]), str(track["kind"])
            subscriber = self.subscribers.get(str(track["subscriberId"]))
            if subscriber is None:
                continue
            fault = self._fault(subscriber, track, lines.get(mid), wanted)
            if fault:
                self._session.complain(DecryptionInternalError(fault))
            else:
                wanted[mid] = (subscriber, kind)
        for mid, line in lines.items():
            # First what is given away, so that no track has two owners at any time.
            if line.owner is not None and wanted.get(mid) != line.owner:
                subscriber, kind = line.owner
                subscriber.lose_track(kind, line.tap)
                line.owner = None
        for mid, owner in wanted.items():
            line = lines[mid]
            if line.owner is None:
                line.owner = owner
                owner[0].bind(owner[1], line.codec, line.tap, line.media)
            owner[0].on_codec(owner[1], line.codec)

    def _fault(
        self,
        subscriber: Subscriber,
        track: dict[str, Any],
        line: Line | None,
        wanted: dict[str, tuple[Subscriber, str]],
    ) -> str:
        if str(track["streamId"]) != subscriber.stream_id:
            return "The server offered one stream under the name of another"
        if line is None or line.kind != track["kind"]:
            return "The server named an m-line that its offer does not have"
        if str(track["mid"]) in wanted or (subscriber, line.kind) in wanted.values():
            return "The server offered one stream twice to one subscriber"
        return ""

    async def close_downlink(self) -> None:
        downlink, self.downlink = self.downlink, None
        if downlink is not None:
            await downlink.close()

    # --- ends, and again -------------------------------------------------------------------

    async def end(self, subscriber: Subscriber) -> None:
        if self._session.relay is not None:
            self._session.relay.drop(subscriber.subscriber_id)
        await subscriber.close()
        subscriber.emit(events.SubscriberDestroyed(stream_id=subscriber.stream_id))

    def end_stream(self, stream_id: str) -> None:
        """The stream is gone for everybody."""
        for subscriber in [s for s in self._waiting if s.stream_id == stream_id]:
            self._waiting.remove(subscriber)
            self._session.spawn(self.end(subscriber))
        for subscriber in [s for s in self.subscribers.values() if s.stream_id == stream_id]:
            self._end_one(subscriber)
        self.early.keep(stream_id, self._end_one)

    def _end_one(self, subscriber: Subscriber) -> None:
        if self.subscribers.pop(subscriber.subscriber_id, None) is not None:
            self._session.spawn(self.end(subscriber))

    async def lose_one(self, subscriber: Subscriber) -> None:
        """Relayed Sessions: its peer is lost."""
        if self.subscribers.pop(subscriber.subscriber_id, None) is not None:
            await self.end(subscriber)
            self._session.emit(events.TransportLost(direction="downlink"))
            await self._session.signaling.request(
                "unsubscribe", subscriberId=subscriber.subscriber_id
            )

    async def close(self) -> None:
        for subscriber in [*self.subscribers.values(), *self._waiting]:
            await subscriber.close()

    def lose(self) -> None:
        """The downlink is lost; its Subscribers wait for what comes over another."""
        self._losses += 1
        lost = list(self.subscribers.values())
        self.subscribers.clear()
        self._waiting += lost
        while not self.offers.empty():
            self.offers.get_nowait()
        for subscriber in lost:
            subscriber.lose_tracks()

    async def take_up_again(self) -> None:
        while self._waiting:
            subscriber = self._waiting.pop(0)
            if subscriber.is_ended.is_set():
                continue
            try:
                await self.request(subscriber)
            except (NotConnected, RequestTimeout):
                self._waiting.insert(0, subscriber)
                return
            except SealrouteError as error:
                logger.info("a subscription was not resumed: %s", error.code)
                await self.end(subscriber)

    async def give_up(self) -> bool:
        """What lost its media ends. False: there is nothing."""
        lost, self._waiting = self._waiting, []
        for subscriber in lost:
            await self.end(subscriber)
        return bool(lost)


FOR_THE_SESSION = (
    events.CaptionReceived,
    events.EncryptionSecretMismatch,
    events.EncryptionSecretMatch,
    events.EncryptionStateChanged,
    events.ErrorOccurred,
)
"""Events of Subscribers that the Session tells too."""
