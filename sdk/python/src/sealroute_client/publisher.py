"""One Stream that this client sends."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiortc import RTCRtpTransceiver

from sealroute_client import events
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.keys import Encryptor, PendingContext
from sealroute_client.e2ee.secret import KeyIds
from sealroute_client.e2ee.trust import StreamTrustState
from sealroute_client.emitter import Emitter
from sealroute_client.errors import NotConnected
from sealroute_client.media import outbound
from sealroute_client.media.sources import Source
from sealroute_client.rules import MAX_OLD_KIDS

if TYPE_CHECKING:
    from sealroute_client.session import Session


@dataclass(slots=True)
class SendCounts:
    frames: int = 0
    bytes: int = 0
    dropped: int = 0


@dataclass(slots=True)
class PublishedTrack:
    """One m-line that sends. On encrypted Sessions nothing passes before the key is set.
    `is_held_back`: its one receiver does not want it (relayed Sessions), or nobody watches."""

    kind: str
    transceiver: RTCRtpTransceiver
    is_encrypted: bool
    pending: PendingContext | None = None
    encryptor: Encryptor = field(default_factory=Encryptor)
    counts: SendCounts = field(default_factory=SendCounts)
    is_muted: bool = False
    is_held_back: bool = False
    old_kids: list[int] = field(default_factory=list)
    """Left, but declared still: packets under them are on the way."""
    on_exhausted: Callable[[], None] | None = None
    on_sent: Callable[[], None] = lambda: None
    """Called for each frame that goes out, on the event loop."""

    def attach(self) -> None:
        outbound.attach(
            self.transceiver.sender,
            self.encrypt,
            self._on_frame,
            outbound.Gate(lambda: self.is_held_back, self._may_send),
        )

    def encrypt(self, codec: CodecId, frame: bytes) -> bytes | None:
        if self.is_muted or self.is_held_back:
            return None
        wire = self.encryptor.encrypt(codec, frame) if self.is_encrypted else frame
        if wire is None:
            self.counts.dropped += 1
            if self.encryptor.is_exhausted and self.on_exhausted is not None:
                self.on_exhausted()
        return wire

    def _may_send(self) -> bool:
        """Asked when the encoder has given a frame: its key may be revoked meanwhile."""
        is_current = self.encryptor.may_send()
        return is_current and not self.is_muted and not self.is_held_back

    def _on_frame(self, size: int) -> None:
        self.counts.frames += 1
        self.counts.bytes += size
        self.on_sent()

    @property
    def mid(self) -> str:
        return str(self.transceiver.mid or "")

    @property
    def declared_kids(self) -> list[bytes]:
        kids = [*self.old_kids, *([] if self.encryptor.kid is None else [self.encryptor.kid])]
        declared = [kid.to_bytes(8, "big") for kid in kids[-MAX_OLD_KIDS - 1 :]]
        return declared + ([self.pending.kid_bytes] if self.pending else [])

    def switch(self, connection_id: str, stream_id: str, *, revoke: bool = False) -> None:
        """Moves to the chosen key id, between two frames, and asks for a key frame. `revoke`: no
        frame under the one before goes out any more."""
        if self.pending is not None:
            if self.encryptor.kid is not None:
                self.old_kids.append(self.encryptor.kid)
            base = self.pending.secret.stream_base(connection_id, stream_id)
            self.encryptor.use(self.pending.context(base), revoke=revoke)
            self.pending = None
        self.request_key_frame()

    def hold_back(self, held: bool) -> None:
        """Sends nothing while held; goes on with a key frame."""
        was_held, self.is_held_back = self.is_held_back, held
        if was_held and not held:
            self.request_key_frame()

    def request_key_frame(self) -> None:
        if self.kind == "video":
            outbound.request_key_frame(self.transceiver.sender)


class Publisher(Emitter):
    """Events: `ended` when a media file came to its end (the stream stays until `unpublish`),
    `streamCreated` with each stream that it gets, `streamDestroyed`, `encryptionStateChanged`,
    `notEncrypted`, `muteForced`."""

    def __init__(self, session: "Session", source: Source, tracks: list[PublishedTrack]) -> None:
        super().__init__()
        self._session = session
        self.source = source
        self.tracks = tracks
        self.stream_id = ""
        self.key_ids = KeyIds()
        self.trust = StreamTrustState(is_encrypted=False)
        self.video_codec = "vp8"
        self.name = ""
        self.initials = ""
        """Shown where there is no video; empty: those of the name."""
        self.captions = False
        """Whether what is said may be captioned, where the application starts captions."""
        self._muted: set[str] = set()
        self.is_ended = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None

    def start(self, stream_id: str) -> None:
        """The server gave the stream its id."""
        self.stream_id = stream_id
        for track in self.tracks:
            # A new stream is wanted whole.
            track.hold_back(False)
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())

    def take_tracks(self, tracks: list[PublishedTrack]) -> None:
        """The m-lines that send from now on; what is muted stays so."""
        self.trust = StreamTrustState(is_encrypted=any(track.is_encrypted for track in tracks))
        for track in tracks:
            track.is_muted = self.is_muted(track.kind)
            track.on_sent = self._on_sent
        self.tracks = tracks

    def _on_sent(self) -> None:
        if self.trust.on_encrypted():
            state = str(self.trust.state)
            self.emit(events.EncryptionStateChanged(stream_id=self.stream_id, state=state))
            self._session.emit(events.EncryptionStateChanged(stream_id=self.stream_id, state=state))

    async def _watch(self) -> None:
        await self.source.ended()
        self.is_ended.set()
        ended = events.Ended(stream_id=self.stream_id)
        self.emit(ended)
        self._session.emit(ended)

    def is_muted(self, kind: str) -> bool:
        """Whether `kind` (`audio` or `video`) is not sent."""
        return kind in self._muted

    @property
    def has_audio(self) -> bool:
        """Whether the source has audio and it is not muted."""
        return self.source.audio is not None and not self.is_muted("audio")

    @property
    def has_video(self) -> bool:
        """Whether the source has video and it is not muted."""
        return self.source.video is not None and not self.is_muted("video")

    def on_subscribed_layers(self, mid: str, subscribed: bool) -> None:
        """Called by the Session: without a subscriber an m-line encodes nothing."""
        for track in self.tracks:
            if track.kind == "video" and track.mid == mid:
                track.hold_back(not subscribed)

    async def publish_audio(self, on: bool) -> None:
        """Mutes or unmutes the audio for all. Errors: ServerError, NotConnected."""
        await self._set_sending("audio", on)

    async def publish_video(self, on: bool) -> None:
        """Stops or resumes the video for all. Errors: ServerError, NotConnected."""
        await self._set_sending("video", on)

    async def publish_captions(self, on: bool) -> None:
        """Whether what is said may be captioned, in clear sessions whose application starts
        captions. Errors: ServerError, NotConnected."""
        self.captions = on
        if not self.stream_id:
            raise NotConnected("The stream is not published")
        await self._session.signaling.request(
            "updateStream", streamId=self.stream_id, hasCaptions=on
        )

    async def _set_sending(self, kind: str, on: bool) -> None:
        self.mute_locally(kind, not on)
        if not self.stream_id:
            raise NotConnected("The stream is not published")
        member = "hasAudio" if kind == "audio" else "hasVideo"
        await self._session.signaling.request(
            "updateStream", streamId=self.stream_id, **{member: on}
        )

    def mute_locally(self, kind: str, muted: bool) -> None:
        """Stops or resumes `kind` without a message; video resumes with a key frame."""
        (self._muted.add if muted else self._muted.discard)(kind)
        for track in self.tracks:
            if track.kind == kind:
                track.is_muted = muted
                if not muted:
                    track.request_key_frame()

    def describe(self) -> dict[str, Any]:
        """Totals by kind; in relayed Sessions over all present peers."""
        totals: dict[str, Any] = {}
        for track in self.tracks:
            row = totals.setdefault(track.kind, {"frames": 0, "bytes": 0, "dropped": 0})
            row["frames"] += track.counts.frames
            row["bytes"] += track.counts.bytes
            row["dropped"] += track.counts.dropped
        return totals

    async def stop(self) -> None:
        """Ends the media of this stream. Idempotent."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
            self._watcher = None
        self._muted = {"audio", "video"}
        for track in self.tracks:
            # Muted first: nothing more is sent, whatever the encoder still holds.
            track.is_muted = True
            media = track.transceiver.sender.track
            if media is not None:
                media.stop()
        for own in (self.source.audio, self.source.video):
            if own is not None:
                own.stop()
        self.source.close()
