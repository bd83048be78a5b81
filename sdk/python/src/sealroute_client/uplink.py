"""The peer connection that carries what this client publishes; the client offers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiortc import MediaStreamTrack, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from sealroute_client.descriptions import AnswerRules
from sealroute_client.errors import (
    EncryptionUnsupportedCodec,
    InvalidParameter,
    UnexpectedServerResponse,
)
from sealroute_client.media.paths import MediaPath
from sealroute_client.media.sources import Source
from sealroute_client.peers import PeerConnection, PeerConnections
from sealroute_client.publisher import PublishedTrack

Negotiate = Callable[[str, list[PublishedTrack]], Awaitable[str]]
"""(offer, tracks) → answer"""
AUDIO_CODEC: Final = "audio/opus"
VIDEO_CODECS: Final = {"vp8": "video/vp8", "h264": "video/h264"}


class LentTrack(MediaStreamTrack):
    """A source's track for one sender: senders stop what they send when their transport ends,
    and the source goes on over the next one."""

    def __init__(self, source: MediaStreamTrack) -> None:
        super().__init__()
        self.kind = source.kind
        self._source = source

    async def recv(self) -> Any:
        if self.readyState != "live":
            raise MediaStreamError
        return await self._source.recv()


class Uplink:
    """One negotiation at a time; ended streams leave inactive m-lines behind."""

    def __init__(self, peers: PeerConnections, *, is_encrypted: bool) -> None:
        self._peer = peers.open()
        self._is_encrypted = is_encrypted
        self._lock = asyncio.Lock()
        self._rules = AnswerRules()

    def check(self, offer: str, answer: str, tracks: list[PublishedTrack]) -> None:
        """Before any of it is applied. Errors: UnexpectedServerResponse."""
        self._rules.check(offer, answer, {track.mid for track in tracks})

    async def publish(self, source: Source, codec: str, prepare: Negotiate) -> list[PublishedTrack]:
        """Adds the source's tracks. Errors: those of `prepare`; the tracks are then inactive."""
        if codec not in VIDEO_CODECS:
            raise InvalidParameter("The video codec is vp8 or h264")
        async with self._lock:
            tracks = [
                add_sender(self._peer, LentTrack(media), codec, is_encrypted=self._is_encrypted)
                for media in (source.audio, source.video)
                if media is not None
            ]
            try:
                await self._peer.setLocalDescription(await self._peer.createOffer())
                answer = await prepare(self._peer.localDescription.sdp, tracks)
                await self._apply(answer)
            except BaseException:
                self.retire(tracks)
                raise
        return tracks

    async def _apply(self, answer: str) -> None:
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except Exception as error:
            # aiortc raises whatever it met; the rules before it are known to be fewer than its own.
            raise UnexpectedServerResponse("The server's answer cannot be used") from error

    def retire(self, tracks: list[PublishedTrack]) -> None:
        for track in tracks:
            track.is_muted = True
            track.transceiver.direction = "inactive"

    @property
    def state(self) -> str:
        return str(self._peer.connectionState)

    async def path(self) -> MediaPath:
        return await self._peer.path()

    async def close(self) -> None:
        await self._peer.close()


def add_sender(
    peer: PeerConnection, media: Any, codec: str, *, is_encrypted: bool
) -> PublishedTrack:
    """An m-line for one track. Errors: EncryptionUnsupportedCodec, EncryptionInternalError."""
    transceiver = peer.addTransceiver(media, direction="sendonly")
    mime = AUDIO_CODEC if media.kind == "audio" else VIDEO_CODECS[codec]
    capabilities = RTCRtpSender.getCapabilities(media.kind).codecs
    chosen = [c for c in capabilities if c.mimeType.lower() in (mime, "video/rtx")]
    if not any(c.mimeType.lower() == mime for c in chosen):
        raise EncryptionUnsupportedCodec(f"{mime} is not available")
    transceiver.setCodecPreferences(chosen)
    track = PublishedTrack(media.kind, transceiver, is_encrypted)
    # Before any negotiation: no frame can leave without passing the encryptor.
    track.attach()
    return track
