"""VP9 and AV1 for aiortc, which has neither: to receive, not to send.

aiortc joins what it makes of each packet. A frame of these codecs is made of all packets of its
timestamp at once, so here they are joined with their lengths before them. Peer connections of other
users of the library see no change: the codecs are there while `with_layered_codecs` says so.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import av
from aiortc import codecs, rtcpeerconnection, rtcrtpreceiver
from aiortc.mediastreams import VIDEO_TIME_BASE
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpCodecParameters

from sealroute_client.e2ee.bitstream import FormatError
from sealroute_client.media import layered

_LENGTH_BYTES: Final = 2
_FIRST_NUMBER: Final = 113
"""Of payload types; those of the offer count."""
_DECODERS: Final = {"vp9": ("vp9", {}), "av1": ("libdav1d", {"max_frame_delay": "1"})}
_are_wanted: ContextVar[bool] = ContextVar("layered_codecs", default=False)


@contextmanager
def with_layered_codecs() -> Iterator[None]:
    """For what is negotiated within."""
    install()
    token = _are_wanted.set(True)
    try:
        yield
    finally:
        _are_wanted.reset(token)


def payloads(data: bytes) -> list[bytes]:
    """Those that `_keep_payload` kept. Errors: FormatError."""
    found, at = [], 0
    while at < len(data):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data):
            raise FormatError("packets are cut short")
        found.append(data[start:at])
    return found


def install() -> None:
    """Idempotent."""
    if isinstance(codecs.CODECS, _Codecs):
        return
    known = _Codecs(codecs.CODECS)
    codecs.CODECS = known
    rtcpeerconnection.CODECS = known  # type: ignore[attr-defined]
    depayload, get_decoder = rtcrtpreceiver.depayload, rtcrtpreceiver.get_decoder  # type: ignore[attr-defined]

    def keep_payload(codec: RTCRtpCodecParameters, payload: bytes) -> bytes:
        if codec.name.lower() in layered.CODECS:
            return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload
        return bytes(depayload(codec, payload))

    def decoder_of(codec: RTCRtpCodecParameters) -> Any:
        name = codec.name.lower()
        return _Decoder(name) if name in layered.CODECS else get_decoder(codec)

    rtcrtpreceiver.depayload = keep_payload  # type: ignore[attr-defined]
    rtcrtpreceiver.get_decoder = decoder_of  # type: ignore[attr-defined]


class _Codecs(dict[str, list[RTCRtpCodecParameters]]):
    """aiortc's table, with more of video where it is wanted."""

    def __getitem__(self, kind: str) -> list[RTCRtpCodecParameters]:
        known = super().__getitem__(kind)
        return [*known, *_LAYERED] if kind == "video" and _are_wanted.get() else known


def _parameters() -> Iterator[RTCRtpCodecParameters]:
    feedback = [
        RTCRtcpFeedback("nack"),
        RTCRtcpFeedback("nack", "pli"),
        RTCRtcpFeedback("goog-remb"),
    ]
    for number, name in enumerate(("VP9", "AV1")):
        one = _FIRST_NUMBER + 2 * number
        yield RTCRtpCodecParameters(f"video/{name}", 90_000, None, one, feedback)
        yield RTCRtpCodecParameters("video/rtx", 90_000, None, one + 1, parameters={"apt": one})


_LAYERED: Final = tuple(_parameters())


class _Decoder:
    """As aiortc's own are."""

    def __init__(self, name: str) -> None:
        decoder, options = _DECODERS[name]
        self._codec: Any = av.CodecContext.create(decoder, "r")
        self._codec.options = options
        self._codec.thread_count = 1

    def decode(self, frame: Any) -> list[Any]:
        packet = av.Packet(frame.data)
        packet.pts = frame.timestamp
        packet.time_base = VIDEO_TIME_BASE
        return list(self._codec.decode(packet))
