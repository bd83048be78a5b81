"""Descriptions of the clients of the media plane in memory, and the reader of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from sfu.core_api import Codec, MediaKind
from sfu.media_plane import DownlinkOffer, MediaError, TrackOffer

MAX_SDP_BYTES = 131_072
CODEC_OF_NAME = {codec.value: codec for codec in Codec}


def offer_for(tracks: Iterable[TrackOffer | tuple[str, MediaKind, Codec]]) -> str:
    """An uplink offer of a client, with one m-line per track."""
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    for track in tracks:
        if isinstance(track, TrackOffer):
            mid, kind = track.mid, track.kind
            codec = Codec.OPUS if kind is MediaKind.AUDIO else Codec.VP8
        else:
            mid, kind, codec = track
        lines += _media_lines(mid, kind, codec)
    return "\r\n".join(lines) + "\r\n"


def answer_for(offer: DownlinkOffer, *, rejected_mids: frozenset[str] = frozenset()) -> str:
    """A client's answer to a downlink offer of the fake plane."""
    lines = ["v=0", "o=- 2 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    for track in offer.tracks:
        media = _media_lines(track.mid, track.kind, track.codec)
        if track.mid in rejected_mids:
            media[0] = media[0].replace(" 9 ", " 0 ", 1)
        lines += media
    return "\r\n".join(lines) + "\r\n"


def _media_lines(mid: str, kind: MediaKind, codec: Codec) -> list[str]:
    clock = "48000/2" if codec is Codec.OPUS else "90000"
    return [
        f"m={kind.value} 9 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        f"a=rtpmap:96 {codec.value}/{clock}",
    ]


@dataclass
class OfferedMedia:
    kind: str
    accepted: bool
    codec: Codec | None = None


def read_media(sdp: str) -> dict[str, OfferedMedia]:
    if len(sdp) > MAX_SDP_BYTES:
        raise MediaError("sdp_too_large", "the SDP is longer than 128 KiB")
    if not sdp.startswith("v=0"):
        raise MediaError("sdp_invalid", "the SDP does not begin with v=0")
    media: dict[str, OfferedMedia] = {}
    current = OfferedMedia("", accepted=False)
    for line in sdp.splitlines():
        name, _, value = line.partition(":")
        if line.startswith("m="):
            words = line[2:].split()
            if len(words) < 4:
                raise MediaError("sdp_invalid", "an m-line is not complete")
            current = OfferedMedia(words[0], accepted=words[1] != "0")
        elif name == "a=mid":
            media[value.strip()] = current
        elif name == "a=rtpmap" and current.codec is None:
            encoding = value.partition(" ")[2].partition("/")[0].lower()
            current.codec = CODEC_OF_NAME.get(encoding)
    return media
