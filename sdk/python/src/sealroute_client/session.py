"""A Session as one Connection sees it: publish, subscribe, signals, events."""

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aiortc import MediaStreamTrack, RTCConfiguration, RTCIceServer

from sealroute_client.downlink import Downlink
from sealroute_client.e2ee import secret as secrets
from sealroute_client.e2ee.frames import FORMAT
from sealroute_client.e2ee.secret import KeyIds
from sealroute_client.e2ee.signals import SignalContent
from sealroute_client.encryption import SessionEncryption
from sealroute_client.errors import (
    EncryptionInternalError,
    EncryptionSecretMissing,
    InvalidParameter,
    NotConnected,
    SealrouteError,
)
from sealroute_client.events import Emitter
from sealroute_client.media import loopback, sources
from sealroute_client.media.inbound import InboundTap
from sealroute_client.media.sources import Source
from sealroute_client.peers import PeerConnections
from sealroute_client.publisher import PublishedTrack, Publisher
from sealroute_client.relay import PeerLinks
from sealroute_client.server_messages import ServerMessages
from sealroute_client.signaling import VERSION, Credentials, Message, Signaling
from sealroute_client.subscriber import Subscriber
from sealroute_client.uplink import VIDEO_CODECS, Uplink

CLIENT_CODECS: Final = ("opus", "vp8", "h264")


class Session(Emitter):
    """One client in one Session.

    Events: `streamCreated`, `streamDestroyed`, `streamPropertyChanged`, `connectionCreated`,
    `connectionDestroyed`, `signal`, `muteForced`, `notEncrypted`, `encryptionSecretMismatch`,
    `encryptionSecretMatch`, `sessionReconnecting`, `sessionReconnected`, `disconnected`.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        session_id: str,
        token: str,
        encryption_secret: str | None = None,
    ) -> None:
        super().__init__()
        loopback.install()
        self.connection_id = ""
        self.is_sealed = False
        self.capabilities: dict[str, Any] = {}
        self.connections: dict[str, dict[str, Any]] = {}
        self.streams: dict[str, dict[str, Any]] = {}
        self.publishers: dict[str, Publisher] = {}
        self.subscribers: dict[str, Subscriber] = {}
        self.encryption: SessionEncryption | None = None
        self._credentials = Credentials(url, api_key, session_id, token)
        self._secret = encryption_secret
        hello: Message = {
            "apiKey": api_key,
            "sessionId": session_id,
            "token": token,
            "sdk": {"name": "sealroute-client", "version": VERSION},
            "e2ee": {"formats": [FORMAT], "signals": True},
            "codecs": list(CLIENT_CODECS),
        }
        self.signaling = Signaling(self._credentials, hello)
        self._messages = ServerMessages(self)
        self._peers = PeerConnections(RTCConfiguration(iceServers=[]))
        self.relay: PeerLinks | None = None
        self._uplink: Uplink | None = None
        self._downlink: Downlink | None = None
        self.offers: asyncio.Queue[Message] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_joined = False
        self._ending: asyncio.Task[None] | None = None
        self._is_over = asyncio.Event()

    # --- joining and leaving -----------------------------------------------------------

    async def connect(self) -> None:
        """Joins. Errors: InvalidEncryptionSecret before any network use, EncryptionSecretMissing,
        ConnectFailed, ServerError."""
        derived = None
        if self._secret is not None:
            derived = await secrets.derive(self._secret, self._credentials.session_id)
        self._secret = None
        loopback.loopback_wanted.set(_is_loopback(self._credentials.url))
        self.signaling.on_message = self._messages.handle
        self.signaling.on_lost = lambda: self.emit("sessionReconnecting")
        self.signaling.on_resumed = self._on_resumed
        self.signaling.on_closed = self._on_closed
        welcome: dict[str, Any] = await self.signaling.connect()
        try:
            self._enter(welcome, derived)
            if self.encryption is not None:
                await self.encryption.announce()
        except BaseException:
            await self.disconnect()
            raise
        self._has_joined = True
        self.spawn(self._answer_offers())
        self._messages.take_snapshot(welcome)

    def _enter(self, welcome: dict[str, Any], secret: secrets.SessionSecret | None) -> None:
        self.connection_id = str(welcome["connection"]["connectionId"])
        self.is_sealed = bool(welcome["session"].get("e2ee", False))
        self.capabilities = dict(welcome.get("capabilities", {}))
        configuration = RTCConfiguration(
            iceServers=[
                RTCIceServer(row["urls"], row.get("username"), row.get("credential"))
                for row in welcome.get("iceServers", ())
            ]
        )
        self._peers = PeerConnections(configuration)
        if welcome["session"].get("mediaMode") == "relayed":
            self.relay = PeerLinks(self, self._peers)
        if self.is_sealed and secret is None:
            raise EncryptionSecretMissing(
                "Tried to connect an e2ee session but the encryption secret was not set"
            )
        if not self.is_sealed and secret is not None:
            # Who sets a secret wants no clear media, whatever the server says.
            raise EncryptionInternalError(
                "An encryption secret was set, but the server says the session is not encrypted"
            )
        if secret is not None:
            self.encryption = SessionEncryption(
                secret, self.signaling.request, self.publishers.values, self.spawn
            )
            self._join_encryption(welcome)

    def _join_encryption(self, welcome: dict[str, Any]) -> None:
        if self.encryption is not None:
            present = [str(row["connectionId"]) for row in welcome.get("connections", ())]
            self.encryption.join(self.connection_id, dict(welcome.get("hints", {})), present)

    async def disconnect(self) -> None:
        """Leaves and frees everything. Idempotent; waits for an end that has begun already."""
        await asyncio.shield(self._begin_end("clientDisconnected"))

    async def wait_closed(self) -> None:
        """Returns when the Connection is over, for whatever reason."""
        await self._is_over.wait()

    def _begin_end(self, reason: str) -> "asyncio.Task[None]":
        """The first reason counts. Of a task of its own: who asks may be cancelled or ended by it,
        and two who close a peer connection at once break each other's wait."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(reason, asyncio.current_task()))
        return self._ending

    async def _end(self, reason: str, asker: "asyncio.Task[Any] | None") -> None:
        try:
            tasks = [task for task in self._tasks if task is not asker]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for publisher in list(self.publishers.values()):
                await publisher.stop()
            await self.signaling.close()
            for subscriber in list(self.subscribers.values()):
                await subscriber.close()
            if self.relay is not None:
                self.relay.forget()
            await self._peers.close()
            self._uplink = self._downlink = None
        finally:
            self._is_over.set()
            if self._has_joined:
                self.emit("disconnected", reason=reason)

    def _on_closed(self, reason: str) -> None:
        self._begin_end(reason)

    @property
    def _is_leaving(self) -> bool:
        return self._ending is not None

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, SealrouteError):
            if not self._is_leaving:
                self.emit("error", error=error)
        else:
            logging.getLogger(__name__).error("A task of the session failed", exc_info=error)

    # --- publishing --------------------------------------------------------------------

    async def publish(  # noqa: PLR0913 - the options of a Publisher, all by name
        self,
        media: str | Path | None = None,
        *,
        audio: bool | MediaStreamTrack = True,
        video: bool | MediaStreamTrack = True,
        video_codec: str = "vp8",
        name: str = "",
        loop: bool = False,
        is_device: bool = False,
    ) -> Publisher:
        """Publishes a file or device (`media`), own aiortc tracks, or generated test media.

        Errors: MediaSourceError, ServerError, NotConnected, EncryptionError.
        """
        source = await sources.open_source(media, audio, video, loop=loop, is_device=is_device)
        try:
            return await self.publish_source(source, video_codec=video_codec, name=name)
        except BaseException:
            source.close()
            for track in (source.audio, source.video):
                if track is not None:
                    track.stop()
            raise

    async def publish_source(
        self, source: Source, *, video_codec: str = "vp8", name: str = ""
    ) -> Publisher:
        self._require_connected()
        if self.relay is not None:
            return await self._publish_relayed(source, video_codec, name)
        publisher = Publisher(self, source, [])
        publisher.video_codec, publisher.name = video_codec, name
        try:
            await self.negotiate(publisher)
        except BaseException:
            await publisher.stop()
            raise
        return publisher

    async def negotiate(self, publisher: Publisher) -> None:
        """Gives a Publisher a stream over the uplink; again, when the one before was lost.
        Errors: ServerError, NotConnected, EncryptionError."""
        if self._uplink is None:
            self._uplink = Uplink(self._peers, is_sealed=self.is_sealed)

        async def prepare(offer: str, tracks: list[PublishedTrack]) -> str:
            publisher.key_ids = KeyIds()
            for track in tracks:
                if self.encryption is not None:
                    track.pending = self.encryption.pending(publisher)
            rows = [
                {"mid": track.mid, "kind": track.kind, "kids": track.declared_kids}
                for track in tracks
            ]
            answer = await self._request_publish(offer, rows, publisher)
            publisher.take_tracks(tracks)
            publisher.start(str(answer["streamId"]))
            self.publishers[publisher.stream_id] = publisher
            if self.encryption is not None:
                self.encryption.activate(publisher)
            return str(answer["answer"])

        try:
            await self._uplink.publish(publisher.source, publisher.video_codec, prepare)
        except BaseException:
            self.publishers.pop(publisher.stream_id, None)
            raise
        for track in publisher.tracks:
            track.on_exhausted = self._renewal(publisher, track)

    async def _publish_relayed(self, source: Source, video_codec: str, name: str) -> Publisher:
        """Nothing is sent before somebody subscribes: each Subscriber is a peer of its own."""
        if video_codec not in VIDEO_CODECS:
            raise InvalidParameter("The video codec is vp8 or h264")
        media = [track for track in (source.audio, source.video) if track is not None]
        rows: list[dict[str, Any]] = [{"mid": t.kind, "kind": t.kind} for t in media]
        publisher = Publisher(self, source, [])
        publisher.video_codec, publisher.name = video_codec, name
        answer = await self._request_publish(None, rows, publisher)
        publisher.start(str(answer["streamId"]))
        self.publishers[publisher.stream_id] = publisher
        return publisher

    async def _request_publish(
        self, offer: str | None, tracks: list[dict[str, Any]], publisher: Publisher
    ) -> Message:
        source = publisher.source
        size = {"width": source.width, "height": source.height} if source.width else None
        return await self.signaling.request(
            "publish",
            offer=offer,
            tracks=tracks,
            name=publisher.name or None,
            videoType="custom" if source.video is not None else None,
            hasAudio=publisher.has_audio,
            hasVideo=publisher.has_video,
            videoDimensions=size,
            frameRate=source.frame_rate,
            e2eeFormat=FORMAT if self.is_sealed else None,
        )

    def _renewal(self, publisher: Publisher, track: PublishedTrack) -> Callable[[], None]:
        """Called in an encoder thread when the counter of the track's key has ended."""
        loop = asyncio.get_running_loop()

        def on_loop() -> None:
            if self.encryption is not None and not self._is_leaving:
                self.encryption.renew(publisher, track)

        def on_exhausted() -> None:
            loop.call_soon_threadsafe(on_loop)

        return on_exhausted

    async def unpublish(self, publisher: Publisher) -> None:
        if self.publishers.pop(publisher.stream_id, None) is None:
            return
        await self.end_publisher(publisher)
        await self.signaling.request("unpublish", streamId=publisher.stream_id)

    async def end_publisher(self, publisher: Publisher) -> None:
        await publisher.stop()
        if self.relay is not None:
            self.relay.drop_stream(publisher)
        if self._uplink is not None:
            self._uplink.retire(publisher.tracks)

    # --- subscribing -------------------------------------------------------------------

    async def subscribe(
        self, stream: str | dict[str, Any], *, audio: bool = True, video: bool = True
    ) -> Subscriber:
        """`stream` is an entry of `streams` or its id. Errors: ServerError, NotConnected."""
        self._require_connected()
        stream_id = stream if isinstance(stream, str) else str(stream["streamId"])
        known = self.streams.get(stream_id, {"streamId": stream_id})
        openers = None
        if self.encryption is not None:
            openers = self.encryption.openers(str(known["connectionId"]), stream_id)
        subscriber = Subscriber(known, openers, self._report_state, self.signaling.request)
        subscriber.wanted = {"audio": audio, "video": video}
        subscriber.on("*", lambda event: self._on_subscriber_event(event.name, event.detail))
        await self.request_subscription(subscriber)
        return subscriber

    async def request_subscription(self, subscriber: Subscriber) -> None:
        """Asks for the Subscriber's stream; again, when the downlink was lost."""
        answer = await self.signaling.request(
            "subscribe", streamId=subscriber.stream_id, **subscriber.wanted
        )
        subscriber.subscriber_id = str(answer["subscriberId"])
        self.subscribers[subscriber.subscriber_id] = subscriber

    async def unsubscribe(self, subscriber: Subscriber) -> None:
        if self.subscribers.pop(subscriber.subscriber_id, None) is None:
            return
        if self.relay is not None:
            self.relay.drop(subscriber.subscriber_id)
        await subscriber.close()
        await self.signaling.request("unsubscribe", subscriberId=subscriber.subscriber_id)

    def _on_subscriber_event(self, name: str, detail: dict[str, object]) -> None:
        if name in ("encryptionSecretMismatch", "encryptionSecretMatch", "error"):
            self.emit(name, **detail)

    def _report_state(self, subscriber: Subscriber, state: str) -> None:
        self.spawn(
            self._tell(
                "e2eeState",
                subscriberId=subscriber.subscriber_id,
                state=state,
                opened=subscriber.state.opened,
                failed=subscriber.state.failed,
            )
        )

    async def _tell(self, kind: str, **members: object) -> None:
        await self.signaling.request(kind, **members)

    async def _answer_offers(self) -> None:
        while True:
            message: dict[str, Any] = await self.offers.get()
            if self._downlink is None:
                self._downlink = Downlink(self._peers)
            answer = await self._downlink.answer(message["sdp"], message["tracks"], self._bind)
            try:
                await self.signaling.request("downlinkAnswer", number=message["number"], sdp=answer)
            except SealrouteError as error:
                # The server repeats or replaces the offer; keep answering.
                self.emit("error", error=error)

    def _bind(self, track: dict[str, Any], tap: InboundTap, media: Any) -> None:
        subscriber = self.subscribers.get(str(track["subscriberId"]))
        if subscriber is None:
            tap.take = None
        else:
            subscriber.bind(str(track["kind"]), str(track["codec"]), tap, media)

    # --- encryption --------------------------------------------------------------------

    async def set_encryption_secret(self, secret: str, *, immediate: bool = False) -> None:
        """Returns when frames under the new secret can be opened; senders follow when all
        others are ready, or after 5 s. `immediate` shuts out who has only the old secret.

        Errors: InvalidEncryptionSecret, NotConnected.
        """
        secrets.normalise(secret)
        if not self.connection_id:
            self._secret = secret
            return
        derived = await secrets.derive(secret, self._credentials.session_id)
        if self.encryption is None:
            raise InvalidParameter("The session is not encrypted end to end")
        if self.encryption.change(derived, immediate=immediate):
            for subscriber in self.subscribers.values():
                subscriber.on_secret_change()

    # --- signals and moderation --------------------------------------------------------

    async def signal(self, data: str, *, type: str = "", to: str | None = None) -> None:  # noqa: A002
        """To all, the sender too, or to one Connection. Sealed on sealed Sessions."""
        if self.encryption is not None:
            sealed = self.encryption.seal_signal(SignalContent(to or "", type, data))
            await self.signaling.request("signal", to=to, sealed=sealed)
        else:
            await self.signaling.request("signal", to=to, type=type or None, data=data)

    async def force_mute(self, stream_id: str) -> None:
        await self.signaling.request("forceMuteStream", streamId=stream_id)

    async def force_disconnect(self, connection_id: str) -> None:
        await self.signaling.request("forceDisconnect", connectionId=connection_id)

    async def lose_subscriber(self, subscriber: Subscriber) -> None:
        """Relayed Sessions: its peer is lost."""
        if self.subscribers.pop(subscriber.subscriber_id, None) is not None:
            await self.end_subscriber(subscriber)
            self.emit("transportLost", direction="downlink")
            await self.signaling.request("unsubscribe", subscriberId=subscriber.subscriber_id)

    async def end_subscriber(self, subscriber: Subscriber) -> None:
        if self.relay is not None:
            self.relay.drop(subscriber.subscriber_id)
        await subscriber.close()
        subscriber.emit("destroyed", streamId=subscriber.stream_id)

    async def close_link(self, direction: str) -> None:
        """Ends a transport that was lost; the next negotiation makes another."""
        if direction == "uplink":
            uplink, self._uplink = self._uplink, None
            if uplink is not None:
                await uplink.close()
        else:
            downlink, self._downlink = self._downlink, None
            if downlink is not None:
                await downlink.close()

    def _on_resumed(self, welcome: dict[str, Any]) -> None:
        if str(welcome["connection"]["connectionId"]) != self.connection_id:
            self._on_closed("networkDisconnected")
            return
        self._join_encryption(welcome)
        if self.encryption is not None:
            self.spawn(self.encryption.tell_again())
        self._messages.take_snapshot(welcome)
        self.emit("sessionReconnected")

    # --- figures -----------------------------------------------------------------------

    async def stats(self) -> dict[str, Any]:
        """Totals since the start: frames and bytes sent, received, opened, failed, lost."""
        links = [link for link in (self._downlink, self.relay) if link is not None]
        lost = sum([await link.packets_lost() for link in links])
        return {
            "sent": {i: p.describe() for i, p in self.publishers.items()},
            "received": {
                s.stream_id: {
                    k: {"frames": t.frames, "bytes": t.bytes} for k, t in s.tracks.items()
                }
                for s in self.subscribers.values()
            },
            "decrypted": sum(s.state.opened for s in self.subscribers.values()),
            "failed": sum(s.state.failed for s in self.subscribers.values()),
            "packetsLost": lost,
        }

    def _require_connected(self) -> None:
        if not self.connection_id or self._is_leaving:
            raise NotConnected("The session is not connected")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
