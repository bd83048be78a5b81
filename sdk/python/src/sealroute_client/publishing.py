"""What one Session sends: its Publishers and the uplink that carries them."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sealroute_client import events
from sealroute_client.codec import Message
from sealroute_client.e2ee.secret import KeyIds
from sealroute_client.early import Early
from sealroute_client.errors import (
    InvalidParameter,
    NotConnected,
    RequestTimeout,
    SealrouteError,
    UnexpectedServerResponse,
)
from sealroute_client.initials import shortened
from sealroute_client.losses import LostMeanwhile
from sealroute_client.media.sources import Source
from sealroute_client.peers import PeerConnections
from sealroute_client.publisher import PublishedTrack, Publisher
from sealroute_client.rules import E2EE_FORMAT
from sealroute_client.uplink import VIDEO_CODECS, Uplink

if TYPE_CHECKING:
    from sealroute_client.session import Session


class Publishing:
    """Owns the Publishers by stream id, those that wait for a stream, and the uplink."""

    def __init__(self, session: "Session", peers: PeerConnections) -> None:
        self._session = session
        self._peers = peers
        self.publishers: dict[str, Publisher] = {}
        self.uplink: Uplink | None = None
        self._waiting: list[Publisher] = []
        self._losses = 0
        """Of uplinks: what was under way over one begins again over the next."""
        self._named: set[str] = set()
        """Every id of a stream of this client: none comes to mean another one."""
        self.early: Early[Publisher] = Early(session.complain)

    async def publish(
        self, source: Source, video_codec: str, name: str, *, initials: str, captions: bool
    ) -> Publisher:
        """Errors: ServerError, NotConnected, EncryptionError, InvalidParameter,
        UnexpectedServerResponse."""
        if video_codec not in VIDEO_CODECS:
            raise InvalidParameter("The video codec is vp8 or h264")
        publisher = Publisher(self._session, source, [])
        publisher.video_codec, publisher.name = video_codec, name
        publisher.initials, publisher.captions = initials, captions
        if self._session.relay is not None:
            await self._publish_relayed(publisher)
            return publisher
        try:
            await self._negotiate_until_kept(publisher)
        except BaseException:
            await publisher.stop()
            raise
        return publisher

    async def _negotiate_until_kept(self, publisher: Publisher) -> None:
        """Errors: those of `negotiate`, and TransportLostTooOften."""
        while True:
            try:
                await self.negotiate(publisher)
            except LostMeanwhile:
                await self._session.recovery.made_good("uplink")
            else:
                return

    async def negotiate(self, publisher: Publisher) -> None:
        """Gives a Publisher a stream over the uplink; again, when the one before was lost.
        Errors: ServerError, NotConnected, EncryptionError; LostMeanwhile where the uplink is lost
        before the stream is one of this client's: later the recovery publishes it again."""
        losses, stream_id = self._losses, publisher.stream_id
        try:
            await self._negotiate(publisher, losses)
        except Exception as error:
            if losses == self._losses:
                raise
            if publisher.stream_id == stream_id:
                raise LostMeanwhile from error

    async def _negotiate(self, publisher: Publisher, losses: int) -> None:
        encryption = self._session.encryption_in_use()
        if self.uplink is None:
            is_encrypted = not self._session.trust.may_send_clear
            self.uplink = Uplink(self._peers, is_encrypted=is_encrypted)
        uplink = self.uplink

        async def prepare(offer: str, tracks: list[PublishedTrack]) -> str:
            publisher.key_ids = KeyIds()
            for track in tracks:
                if encryption is not None:
                    track.pending = encryption.pending(publisher)
            rows = [
                {"mid": track.mid, "kind": track.kind, "kids": track.declared_kids}
                for track in tracks
            ]
            with self.early.awaiting():
                answer = await self._request(offer, rows, publisher)
                stream_id = self._named_by(answer)
                self._check(answer, uplink, offer, tracks, losses)
                publisher.take_tracks(tracks)
                publisher.start(stream_id)
                self._register(publisher)
            if encryption is not None:
                encryption.activate(publisher)
            return str(answer["answer"])

        try:
            await uplink.publish(publisher.source, publisher.video_codec, prepare)
        except BaseException as error:
            self._withdraw(publisher)
            is_useless = self.uplink is uplink and not self.publishers
            if isinstance(error, UnexpectedServerResponse) and is_useless:
                # It carries nothing, and what it was told last may be half applied.
                await asyncio.shield(self.close_uplink())
            raise
        for track in publisher.tracks:
            track.on_exhausted = self._renewal(publisher, track)

    def _check(
        self,
        answer: Message,
        uplink: Uplink,
        offer: str,
        tracks: list[PublishedTrack],
        losses: int,
    ) -> None:
        """Errors: LostMeanwhile, UnexpectedServerResponse; the stream is given back then."""
        try:
            if losses != self._losses:
                raise LostMeanwhile  # noqa: TRY301 - given back as what is refused
            uplink.check(offer, str(answer["answer"]), tracks)
        except (LostMeanwhile, UnexpectedServerResponse):
            self._session.spawn(self._give_back(str(answer["streamId"])))
            raise

    def _named_by(self, answer: Message) -> str:
        """Errors: UnexpectedServerResponse where another stream has, or had, that id: keys, and
        what others remember of a stream, go by it."""
        stream_id = str(answer["streamId"])
        known = self._session.streams.get(stream_id)
        own_id = self._session.connection_id
        is_other = known is not None and known.get("connectionId") != own_id
        if is_other or stream_id in self._named:
            raise UnexpectedServerResponse("The server gave two streams one id")
        self._named.add(stream_id)
        return stream_id

    def _withdraw(self, publisher: Publisher) -> None:
        """Others may know of its stream already, and would wait for media that does not come."""
        if self.publishers.pop(publisher.stream_id, None) is not None:
            self._session.spawn(self._give_back(publisher.stream_id))

    async def _give_back(self, stream_id: str) -> None:
        """A stream that the server has made and that nothing will be sent for."""
        with contextlib.suppress(SealrouteError):
            await self._session.signaling.request("unpublish", streamId=stream_id)

    async def _publish_relayed(self, publisher: Publisher) -> None:
        """Nothing is sent before somebody subscribes: each Subscriber is a peer of its own."""
        source = publisher.source
        media = [track for track in (source.audio, source.video) if track is not None]
        rows: list[dict[str, Any]] = [{"mid": t.kind, "kind": t.kind} for t in media]
        with self.early.awaiting():
            answer = await self._request(None, rows, publisher)
            publisher.start(self._named_by(answer))
            self._register(publisher)
        if self._session.relay is not None:
            self._session.relay.on_published(publisher)

    def _register(self, publisher: Publisher) -> None:
        self.publishers[publisher.stream_id] = publisher
        self.early.take(publisher.stream_id, publisher)

    def mute_by_force(self, stream_id: str) -> None:
        """A moderator mutes the audio of one own stream."""
        self.when_known(stream_id, _mute)

    def when_known(self, stream_id: str, act: Callable[[Publisher], None]) -> None:
        """Now, or when the answer that is due names the own stream; else never."""
        publisher = self.publishers.get(stream_id)
        if publisher is not None:
            act(publisher)
        else:
            self.early.keep(stream_id, act)

    async def _request(
        self, offer: str | None, tracks: list[dict[str, Any]], publisher: Publisher
    ) -> Message:
        source = publisher.source
        size = {"width": source.width, "height": source.height} if source.width else None
        return await self._session.signaling.request(
            "publish",
            offer=offer,
            tracks=tracks,
            name=publisher.name or None,
            initials=shortened(publisher.initials) or None,
            videoType="custom" if source.video is not None else None,
            hasAudio=publisher.has_audio,
            hasVideo=publisher.has_video,
            videoDimensions=size,
            frameRate=source.frame_rate,
            hasCaptions=True if publisher.captions else None,
            e2eeFormat=None if self._session.trust.may_send_clear else E2EE_FORMAT,
        )

    def _renewal(self, publisher: Publisher, track: PublishedTrack) -> Callable[[], None]:
        """Called in an encoder thread when the counter of the track's key has ended."""
        loop = asyncio.get_running_loop()

        def on_loop() -> None:
            encryption = self._session.encryption
            if encryption is not None and not self._session.is_leaving:
                encryption.renew(publisher, track)

        def on_exhausted() -> None:
            loop.call_soon_threadsafe(on_loop)

        return on_exhausted

    # --- ends --------------------------------------------------------------------------

    async def unpublish(self, publisher: Publisher) -> None:
        if publisher in self._waiting:
            self._waiting.remove(publisher)
            await publisher.stop()
            return
        if self.publishers.pop(publisher.stream_id, None) is None:
            return
        await self.end(publisher)
        await self._session.signaling.request("unpublish", streamId=publisher.stream_id)

    async def end(self, publisher: Publisher) -> None:
        await publisher.stop()
        if self._session.relay is not None:
            self._session.relay.drop_stream(publisher)
        if self.uplink is not None:
            self.uplink.retire(publisher.tracks)

    async def stop(self) -> None:
        for publisher in [*self.publishers.values(), *self._waiting]:
            await publisher.stop()

    # --- again -------------------------------------------------------------------------

    def lose(self) -> None:
        """The uplink is lost, and with it every stream; the Publishers wait for others."""
        self._losses += 1
        self._waiting += self.publishers.values()
        self.publishers.clear()

    async def take_up_again(self) -> None:
        """Publishes what lost its stream, over a fresh uplink. What fails for want of a connection
        goes on waiting, and is tried again with the next one."""
        while self._waiting:
            publisher = self._waiting.pop(0)
            if publisher.is_ended.is_set():
                await publisher.stop()
                continue
            try:
                if self._session.relay is not None:
                    await self._publish_relayed(publisher)
                else:
                    await self.negotiate(publisher)
            except (NotConnected, RequestTimeout):
                self._waiting.insert(0, publisher)
                return
            except SealrouteError as error:
                await self._give_up(publisher, error)
                self._session.emit(events.ErrorOccurred(error=error))

    async def give_up(self, error: SealrouteError) -> bool:
        """What lost its stream ends. False: there is nothing."""
        lost, self._waiting = self._waiting, []
        for publisher in lost:
            await self._give_up(publisher, error)
        return bool(lost)

    async def _give_up(self, publisher: Publisher, error: SealrouteError) -> None:
        await publisher.stop()
        publisher.emit(events.StreamDestroyed(stream_id=publisher.stream_id, reason=error.code))

    async def close_uplink(self) -> None:
        uplink, self.uplink = self.uplink, None
        if uplink is not None:
            await uplink.close()


def _mute(publisher: Publisher) -> None:
    publisher.mute_locally("audio", muted=True)
    publisher.emit(events.MuteForced(stream_id=publisher.stream_id))
