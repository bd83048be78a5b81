"""A player's own offer for one stream (WHEP): it asks to receive, and we answer with the tracks of
the stream.

Unlike on a downlink that the server offers, payload types, extension ids and mids are the
player's. The stream is not transcoded: a player without any of its codecs is refused.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sfu.core_api import Codec, DownTrackParameters, Extension, MediaKind
from sfu.rtp_parameters import (
    CODEC_RULES,
    EXTENSION_OF_URI,
    NegotiatedCodec,
    NegotiatedMedia,
    stream_format,
)
from sfu.sdp.build import LocalTransport, MediaLines, Origin, build
from sfu.sdp.errors import SdpError
from sfu.sdp.negotiate import (
    OFFERED_SETUPS,
    RECEIVING,
    RemoteTransport,
    check_extension_ids,
    first_forwarded,
    forwardable,
    payload_type_of,
    remote_transport,
    rtx_of,
)
from sfu.sdp.parse import FormatDescription, MediaSection, SessionDescription
from sfu.sdp.slots import FEEDBACK

_SIGNALED_BY_PROFILE = {
    Codec.H264: "profile-level-id",
    Codec.VP9: "profile-id",
    Codec.AV1: "profile",
}
_PROFILE_CHARS = {Codec.H264: 4}
"""Of H.264 the profile and its constraints count; the level that follows does not."""
_DEFAULT_PROFILES = {Codec.H264: "420010", Codec.VP9: "0", Codec.AV1: "0"}


@dataclass(frozen=True, slots=True)
class PlayerLine:
    """One m-line of the offer and the published one that fills it."""

    media: MediaSection
    source: NegotiatedMedia
    codec: NegotiatedCodec
    extensions: Mapping[Extension, int]
    ssrc: int
    rtx_ssrc: int | None


@dataclass(frozen=True, slots=True)
class PlayerPlan:
    """The plan for a player. `lines` has at most one m-line of each kind."""

    description: SessionDescription
    remote: RemoteTransport
    lines: tuple[PlayerLine, ...]

    @property
    def down_tracks(self) -> tuple[DownTrackParameters, ...]:
        return tuple(
            DownTrackParameters(
                mid=line.media.mid or "",
                up_track_mid=line.source.mid,
                ssrc=line.ssrc,
                rtx_ssrc=line.rtx_ssrc,
                payload_type=line.codec.payload_type,
                rtx_payload_type=line.codec.rtx_payload_type,
                extensions=dict(line.extensions),
                nack="nack" in line.codec.feedback,
            )
            for line in self.lines
        )

    def answer(self, transport: LocalTransport, origin: Origin, stream: str) -> str:
        filled = {id(line.media): line for line in self.lines}
        return build(
            origin,
            transport,
            transport.answered_setup,
            [
                _answer_lines(self.description, media, filled.get(id(media)), stream)
                for media in self.description.media
            ],
        )


def plan_playing(
    description: SessionDescription,
    published: Iterable[NegotiatedMedia],
    new_ssrc: Callable[[], int],
) -> PlayerPlan:
    """Fills a player's m-lines. Errors (`SdpError`): those of `remote_transport`, sdp_invalid if
    an extension id has two meanings, codec_unsupported if nothing of the stream fits."""
    remote = remote_transport(description, OFFERED_SETUPS)
    check_extension_ids(description)
    free = [m for m in description.media if _receives(m, frozenset(description.bundle))]
    lines = []
    for source in published:
        line = next((found for m in free if (found := _fill(m, source, new_ssrc))), None)
        if line is not None:
            free.remove(line.media)
            lines.append(line)
    if not lines:
        raise SdpError("codec_unsupported", "the player opens no codec of the stream")
    return PlayerPlan(description, remote, tuple(lines))


def _receives(media: MediaSection, bundle: frozenset[str]) -> bool:
    return forwardable(media, bundle) and media.direction in RECEIVING


def _fill(
    media: MediaSection, source: NegotiatedMedia, new_ssrc: Callable[[], int]
) -> PlayerLine | None:
    if media.kind != source.kind.value:
        return None
    wanted = stream_format(source)
    for word in media.formats:
        number = payload_type_of(word)
        description = media.descriptions.get(number)
        if description is None or not _opens(description, source):
            continue
        rtx = rtx_of(media, number) if wanted.retransmission else None
        codec = NegotiatedCodec(
            source.codec.codec,
            number,
            rtx,
            dict(wanted.parameters),
            media.feedback_of(number) & FEEDBACK[source.kind],
        )
        extensions = {
            extension: number
            for extension, number in _received_extensions(media).items()
            if extension in wanted.extensions
        }
        rtx_ssrc = None if rtx is None else _another(new_ssrc, 0)
        return PlayerLine(
            media, source, codec, extensions, _another(new_ssrc, rtx_ssrc or 0), rtx_ssrc
        )
    return None


def _another(new_ssrc: Callable[[], int], taken: int) -> int:
    while (ssrc := new_ssrc()) in (0, taken):
        pass
    return ssrc


def _opens(description: FormatDescription, source: NegotiatedMedia) -> bool:
    codec = source.codec.codec
    rule = CODEC_RULES[codec]
    if (
        description.encoding_name != rule.encoding_name.lower()
        or not rule.describes(description.clock_rate_hz, description.channels)
        or not rule.usable(description.parameters)
    ):
        return False
    name = _SIGNALED_BY_PROFILE.get(codec)
    if name is None or name not in description.parameters:
        return True  # a player that names no profile decodes any
    length, default = _PROFILE_CHARS.get(codec), _DEFAULT_PROFILES[codec]
    offered = description.parameters[name][:length]
    return offered.lower() == source.codec.parameters.get(name, default)[:length].lower()


def _received_extensions(media: MediaSection) -> dict[Extension, int]:
    """The extensions that the player may receive, within the one-byte form (RFC 8285 section
    4.2)."""
    found: dict[Extension, int] = {}
    for extension in media.extensions:
        receives = extension.direction in (None, "recvonly", "sendrecv")
        if extension.uri in EXTENSION_OF_URI and 1 <= extension.id <= 14 and receives:
            found.setdefault(EXTENSION_OF_URI[extension.uri], extension.id)
    return found


def _answer_lines(
    description: SessionDescription, media: MediaSection, line: PlayerLine | None, stream: str
) -> MediaLines:
    if line is None:
        return _unfilled(description, media)
    directions = {
        EXTENSION_OF_URI[extension.uri]: "sendonly" if extension.direction == "recvonly" else None
        for extension in media.extensions
        if extension.uri in EXTENSION_OF_URI
    }
    return MediaLines(
        kind=media.kind,
        protocol=media.protocol,
        formats=(),
        mid=media.mid,
        direction="sendonly",
        codec=line.codec,
        extensions=[(number, directions[e], e) for e, number in line.extensions.items()],
        extmap_allow_mixed=media.extmap_allow_mixed or description.extmap_allow_mixed,
        msid=f"{stream} {stream}-{media.kind}",
        cname=stream,
        ssrc=line.ssrc,
        rtx_ssrc=line.rtx_ssrc,
    )


def _unfilled(description: SessionDescription, media: MediaSection) -> MediaLines:
    """Inactive and in the bundle if we know a codec of it: players give up on a rejected m-line
    (GStreamer's looks for our candidates in the first one)."""
    codec = None
    if forwardable(media, frozenset(description.bundle)):
        codec = first_forwarded(media, MediaKind(media.kind))
    formats = media.formats if codec is None else ()
    return MediaLines(media.kind, media.protocol, formats, media.mid, codec=codec)
