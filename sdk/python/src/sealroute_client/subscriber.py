"""One Stream that this client receives."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from aiortc.mediastreams import MediaStreamError

from sealroute_client import events
from sealroute_client.complaints import Complaints
from sealroute_client.e2ee.decryption import Decrypted, Decryptor
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.identity import Outcome
from sealroute_client.e2ee.state import DecryptionState, Notice
from sealroute_client.e2ee.trust import StreamTrustState
from sealroute_client.emitter import Emitter
from sealroute_client.errors import (
    DecryptionInternalError,
    DecryptionUnsupportedCodec,
    InvalidParameter,
    NotConnected,
    SealrouteError,
)
from sealroute_client.media import layered
from sealroute_client.media.inbound import GENERATION_SHIFT, EncodedFrame, InboundTap
from sealroute_client.media.recording import (
    CLOCK_HZ,
    Recording,
    RecordingError,
    Sample,
    is_key_frame,
    make_folder,
)

CODECS: Final = {
    "opus": CodecId.OPUS,
    "vp8": CodecId.VP8,
    "h264": CodecId.H264,
    "vp9": CodecId.VP9,
    "av1": CodecId.AV1,
}
MAX_UNREAD_FRAMES: Final = 90
"""Decoded frames that may wait for a slow reader; beyond it decoding pauses until a key frame."""
KEY_FRAME_INTERVAL_S: Final = 1.0
NO_CAPTIONS: Final = "An end-to-end encrypted session has no captions: the server cannot hear it"
Loss = Literal["network", "secret"]
"""`secret`: what came is encrypted under one that this client does not have."""
_LOSSES: Final[dict[Outcome, Loss]] = {Outcome.SECRET: "secret", Outcome.AUTH: "secret"}
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9-]")


@dataclass(slots=True)
class ReceivedTrack:
    kind: str
    codec: str
    tap: InboundTap
    media: Any
    decryptor: Decryptor | None
    frames: int = 0
    bytes: int = 0
    is_wanted: bool = False
    needs_key_frame: bool = True
    asked_s: float = float("-inf")
    last: tuple[int, float] | None = None
    """Recorded timestamp of the newest frame, and when it came."""
    generation: int = 0
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    replaced: asyncio.Event = field(default_factory=asyncio.Event)
    """By another of the same kind, or the subscriber has ended."""
    shift: int | None = 0
    """What takes timestamps to those of the track before. None: the first frame will say."""

    def recorded(self, timestamp: int, now_s: float) -> int:
        """The timestamp on a clock that goes on when the track is replaced by another."""
        if self.shift is None and self.last is not None:
            before, at_s = self.last
            self.shift = before + round((now_s - at_s) * CLOCK_HZ[self.kind]) - timestamp
        moved = timestamp + (self.shift or 0)
        self.last = (moved, now_s)
        return moved

    def ask_for_key_frame(self, now_s: float) -> None:
        if self.kind == "video" and now_s >= self.asked_s + KEY_FRAME_INTERVAL_S:
            self.asked_s = now_s
            self.tap.request_key_frame()


class Subscriber(Emitter):
    """Events: `connected`, `disconnected` (the network was lost; `connected` comes again when the
    stream is back), `encryptionSecretMismatch`, `encryptionSecretMatch`, `destroyed`, and
    for video that the link hardly carries or does not carry `videoDisableWarning`,
    `videoDisableWarningLifted`, `videoDisabled` and `videoEnabled` (`reason` is `quality`);
    `captionReceived` once it subscribed to captions."""

    def __init__(
        self,
        stream: dict[str, Any],
        openers: dict[str, Decryptor] | None,
        report: Callable[["Subscriber", str], None],
        ask: Callable[..., Awaitable[object]],
    ) -> None:
        super().__init__()
        self.stream = stream
        self.stream_id = str(stream["streamId"])
        self.subscriber_id = ""
        self.wanted: dict[str, object] = {"audio": True, "video": True}
        self.state = DecryptionState()
        self.tracks: dict[str, ReceivedTrack] = {}
        self.is_connected = asyncio.Event()
        self.is_ended = asyncio.Event()
        self.recording: Recording | None = None
        self._record_to: Path | None = None
        """Asked for before the tracks exist: the recording begins with the first frame."""
        self.on_encoded: Callable[[Sample], None] | None = None
        """Called with each frame after its decryption, as its encoder made it."""
        self.on_loss: Callable[[str, Loss], None] = lambda _kind, _loss: None
        """Called when frames of this kind are missing: video goes on with its next key frame."""
        self._openers = openers
        self._report = report
        self._ask = ask
        self._has_tracks = asyncio.Event()
        self._clock = time.monotonic
        self._complaints = Complaints()
        self._refused: set[str] = set()
        """Kinds whose codec cannot be decrypted, as reported to the application."""
        self.stream_state = "ok"
        """What the path carries of the video: `ok`, `limited`, or `paused` (none)."""
        self.trust = StreamTrustState(is_encrypted=openers is not None)

    def bind(self, kind: str, codec: str, tap: InboundTap, media: Any) -> None:
        """Takes an m-line of the downlink; the same again when the server repeats an offer."""
        known = self.tracks.get(kind)
        if known is not None and known.tap is tap and not known.lost.is_set():
            return
        decryptor = None
        if self._openers is not None:
            decryptor = self._openers[kind]
        track = ReceivedTrack(kind, codec, tap, media, decryptor)
        if known is not None:
            track.frames, track.bytes = known.frames, known.bytes
            track.is_wanted = known.is_wanted
            if known.last is not None:
                track.last, track.shift = known.last, None
        if known is not None:
            self._drop(known)
        track.generation = tap.give_to(
            lambda frame: self._take(track, frame), lambda: self._on_gap(track)
        )
        self.tracks[kind] = track
        if known is not None:
            known.replaced.set()
        self._has_tracks.set()

    async def set_preferred_resolution(self, size: tuple[int, int] | None) -> None:
        """Largest width and height to receive, in pixels; None: the best. Errors: ServerError."""
        names = ("width", "height")
        preferred = None if size is None else dict(zip(names, size, strict=True))
        await self._update(preferredResolution=preferred)

    async def set_preferred_frame_rate(self, rate: float | None) -> None:
        """Most frames per second to receive; None: all. Errors: ServerError."""
        await self._update(preferredFrameRate=rate)

    @property
    def is_subscribed_to_captions(self) -> bool:
        """Whether `captionReceived` comes while the application has captions."""
        return self.wanted.get("captions") is True

    async def subscribe_to_captions(self, on: bool) -> None:
        """Starts or stops `captionReceived`. Errors: ServerError; InvalidParameter in an encrypted
        session."""
        if on and self._openers is not None:
            raise InvalidParameter(NO_CAPTIONS)
        await self._update(captions=on)

    async def _update(self, **preferences: object) -> None:
        self.wanted |= preferences
        await self._ask("updateSubscriber", subscriberId=self.subscriber_id, **preferences)

    # --- frames ------------------------------------------------------------------------

    def _take(self, track: ReceivedTrack, frame: EncodedFrame) -> bytes | None:
        now_s = self._clock()
        plain = self._open(track, frame, now_s)
        if plain is None:
            return None
        track.frames += 1
        track.bytes += len(frame.data)
        self._begin_recording()
        if self.recording is not None or self.on_encoded is not None:
            at = track.recorded(frame.timestamp, now_s)
            self._give(
                track, Sample(track.kind, frame.codec, plain, at, now_s, track.tap.report), now_s
            )
        return plain if self._may_decode(track, frame.codec, plain, now_s) else None

    def _give(self, track: ReceivedTrack, sample: Sample, now_s: float) -> None:
        if self.on_encoded is not None:
            self.on_encoded(sample)
        if self.recording is not None:
            self.recording.put(sample)
            if self.recording.needs_key_frame:
                # The one that was asked for at the start can be lost on the way.
                track.ask_for_key_frame(now_s)

    def _open(self, track: ReceivedTrack, frame: EncodedFrame, now_s: float) -> bytes | None:
        codec = CODECS.get(frame.codec)
        if track.decryptor is not None and codec is None:
            self._refuse_codec(track.kind, frame.codec)
            return None
        try:
            layers = list(frame.layers or (frame.data,))
            for at, encrypted in enumerate(layers):
                if track.decryptor is None or codec is None:
                    break
                decrypted = track.decryptor.decrypt(codec, encrypted, now_s)
                plain = self._judge(track, decrypted, now_s)
                if plain is None:
                    return None
                layers[at] = plain
            return layered.join(frame.codec, layers) if frame.layers else layers[0]
        except Exception:  # noqa: BLE001 - a fault of the SDK is no mismatch, and no frame passes
            self._complain(DecryptionInternalError("A frame could not be processed"))
            return None

    def _judge(self, track: ReceivedTrack, decrypted: Decrypted, now_s: float) -> bytes | None:
        self._notify(self.state.on_frame(track.kind, decrypted.outcome, now_s))
        if decrypted.outcome not in (Outcome.OK, Outcome.REPLAY):
            self.on_loss(track.kind, _LOSSES.get(decrypted.outcome, "network"))
        if decrypted.outcome is Outcome.OK and not self.state.is_mismatched:
            self._on_trust(self.trust.on_encrypted())
        return decrypted.frame if decrypted.outcome is Outcome.OK else None

    def on_codec(self, kind: str, codec: str) -> None:
        """What an offer says that comes over an m-line of this stream."""
        if self._openers is not None and codec not in CODECS:
            self._refuse_codec(kind, codec)
        else:
            self._refused.discard(kind)

    def _refuse_codec(self, kind: str, codec: str) -> None:
        """Told once, and again when the server has offered another one meanwhile."""
        if kind not in self._refused:
            self._refused.add(kind)
            self._complain(
                DecryptionUnsupportedCodec(
                    f"The {kind} of a stream comes as {codec}, which is never encrypted; it is not "
                    "played"
                )
            )

    def _complain(self, error: SealrouteError) -> None:
        if self._complaints.take(str(error), self._clock()):
            self.emit(events.ErrorOccurred(error=error))

    def _on_gap(self, track: ReceivedTrack) -> None:
        """What was lost did not come again: the video goes on with its next key frame."""
        track.needs_key_frame = True
        self.on_loss(track.kind, "network")
        track.ask_for_key_frame(self._clock())

    def _may_decode(self, track: ReceivedTrack, codec: str, plain: bytes, now_s: float) -> bool:
        if not track.is_wanted:
            return False
        if track.media._queue.qsize() > MAX_UNREAD_FRAMES:  # noqa: SLF001
            track.needs_key_frame = True
            return False
        if track.kind == "video" and track.needs_key_frame:
            if not is_key_frame(codec, plain):
                track.ask_for_key_frame(now_s)
                return False
            track.needs_key_frame = False
        return True

    def _notify(self, notices: list[Notice]) -> None:
        for notice in notices:
            if notice is Notice.REPORT_MISMATCH:
                self._report(self, "mismatch")
            elif notice is Notice.REPORT_OK:
                self._report(self, "ok")
                self.request_key_frame()
            elif notice is Notice.MISMATCH:
                self._on_trust(self.trust.on_failing())
                self.emit(events.EncryptionSecretMismatch(stream_id=self.stream_id))
            else:
                self.emit(events.EncryptionSecretMatch(stream_id=self.stream_id))
                self.request_key_frame()

    def _on_trust(self, has_changed: bool) -> None:
        if has_changed:
            self.emit(
                events.EncryptionStateChanged(stream_id=self.stream_id, state=str(self.trust.state))
            )

    def on_secret_change(self) -> None:
        """Called by the Session: frames that failed may decrypt now."""
        self._notify(self.state.on_secret_change(self._clock()))

    def on_hint_announced(self) -> None:
        """The publisher may have moved to a secret we hold: asks for its video again."""
        self._notify(self.state.on_probe())

    def on_stream_state(self, state: str) -> None:
        """What the link carries of the video has changed."""
        before, self.stream_state = self.stream_state, state
        if before == state:
            return
        if before == "limited":
            self.emit(events.VideoDisableWarningLifted(self.stream_id))
        if state == "limited":
            self.emit(events.VideoDisableWarning(self.stream_id))
        if "paused" in (before, state):
            changed = events.VideoDisabled if state == "paused" else events.VideoEnabled
            self.emit(changed(self.stream_id))

    def request_key_frame(self) -> None:
        """Asks the publisher for a key frame; decoding resumes with it."""
        for track in self.tracks.values():
            track.needs_key_frame = track.needs_key_frame or track.kind == "video"
            if track.kind == "video":
                track.tap.request_key_frame()

    # --- what the application takes --------------------------------------------------------

    @property
    def video(self) -> AsyncIterator[Any]:
        """Decoded frames (`av.VideoFrame`) from now on; decoding starts with the first read."""
        return self._decoded("video")

    @property
    def audio(self) -> AsyncIterator[Any]:
        """Decoded audio (`av.AudioFrame`, 48 kHz, stereo) from now on."""
        return self._decoded("audio")

    async def _decoded(self, kind: str) -> AsyncIterator[Any]:
        track = None
        try:
            while not self.is_ended.is_set():
                await self._has_tracks.wait()
                if (replaced := self.tracks.get(kind)) is None:
                    return
                if replaced is not track:
                    track = replaced
                    track.needs_key_frame = True
                    track.is_wanted = True
                    track.ask_for_key_frame(self._clock())
                frame = await _next_frame(track)
                if frame is not None:
                    yield frame
                elif self.tracks.get(kind) is track and not self.is_ended.is_set():
                    # The transport or the m-line is lost; whether the stream is, the server will
                    # say.
                    await track.replaced.wait()
        finally:
            if track is not None:
                track.is_wanted = False

    def record(self, folder: str | Path) -> Path:
        """Starts a recording in `folder`, which is made if needed, and gives the path that the file
        will have once a frame has come. Before the tracks exist their codec is not known: the file
        is then Matroska (`.mkv`), which holds every codec.

        Errors: NotConnected when the subscription has ended, RecordingError for a bad folder and
        for a subscription that is recorded already.
        """
        if self.is_ended.is_set():
            raise NotConnected("The subscription has ended; subscribe again to record the stream")
        if self.recording is not None or self._record_to is not None:
            raise RecordingError("This subscription is recorded already; it ends with it")
        folder = Path(folder)
        make_folder(folder)
        video = self.tracks.get("video")
        is_webm = bool(self.tracks) and (video is None or video.codec != "h264")
        # The id comes from the server: never let it choose a folder.
        stem = _UNSAFE.sub("_", self.stream_id)[:64]
        path = self._record_to = _free_path(folder, stem, ".webm" if is_webm else ".mkv")
        if self.tracks:
            self._begin_recording()
            self.request_key_frame()
        return path

    def _begin_recording(self) -> None:
        """All tracks of the stream come at once, before the first frame of any."""
        path, self._record_to = self._record_to, None
        if path is not None:
            self.recording = Recording(path, frozenset(self.tracks))

    async def wait_for_tracks(self) -> None:
        """Returns when the tracks are negotiated; media may arrive later."""
        await self._has_tracks.wait()

    def lose_tracks(self) -> None:
        """The downlink was lost: readers and a recording wait for what comes over the next."""
        self._has_tracks.clear()
        self.is_connected.clear()
        for track in self.tracks.values():
            self._drop(track)
        self.emit(events.SubscriberDisconnected(stream_id=self.stream_id))

    def lose_track(self, kind: str, tap: InboundTap) -> None:
        """The m-line goes to another stream: not one frame of that is this one's."""
        track = self.tracks.get(kind)
        if track is not None and track.tap is tap:
            self._drop(track)

    def _drop(self, track: ReceivedTrack) -> None:
        track.tap.take_from(track.generation)
        track.lost.set()

    async def close(self) -> None:
        """Ends iterators and finishes a recording. Idempotent."""
        self.is_ended.set()
        self._has_tracks.set()
        for track in self.tracks.values():
            self._drop(track)
            track.replaced.set()
        if self.recording is not None:
            await asyncio.to_thread(self.recording.close)


async def _next_frame(track: ReceivedTrack) -> Any:
    """The next decoded frame of this track's own, or None when the track is lost."""
    lost = asyncio.ensure_future(track.lost.wait())
    received: asyncio.Future[Any] | None = None
    try:
        while not track.lost.is_set():
            received = asyncio.ensure_future(track.media.recv())
            await asyncio.wait((received, lost), return_when=asyncio.FIRST_COMPLETED)
            if not received.done():
                return None
            try:
                frame = received.result()
            except MediaStreamError:
                return None
            if frame.pts >> GENERATION_SHIFT == track.generation and not track.lost.is_set():
                frame.pts -= track.generation << GENERATION_SHIFT
                return frame
        return None
    finally:
        lost.cancel()
        if received is not None and not received.cancel() and not received.cancelled():
            received.exception()  # the end of a track that nobody reads any more


def _free_path(folder: Path, stem: str, suffix: str) -> Path:
    path = folder / f"{stem}{suffix}"
    number = 1
    while path.exists():
        path = folder / f"{stem}-{number}{suffix}"
        number += 1
    return path
