"""The uplink: negotiates a client's offer with the formats that the core forwards (RFC 3264, RFC
8829, RFC 8843)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sfu.core_api import Codec, EncodingParameters, Extension, MediaKind
from sfu.rtp_parameters import (
    CODEC_OF_NAME,
    CODEC_RULES,
    EXTENSION_OF_URI,
    SAFE_FORMAT_VALUE,
    NegotiatedCodec,
    NegotiatedMedia,
)
from sfu.sdp.build import LocalTransport, MediaLines, Origin, build
from sfu.sdp.errors import SdpError, invalid
from sfu.sdp.parse import (
    DIGEST_SIZES,
    ExtensionMap,
    Fingerprint,
    FormatDescription,
    MediaSection,
    SessionDescription,
    TransportAttributes,
)

FEEDBACK = {
    MediaKind.AUDIO: frozenset({"transport-cc"}),
    MediaKind.VIDEO: frozenset({"nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"}),
}
RTP_PROTOCOLS = frozenset({"UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "RTP/SAVPF"})
OFFERED_SETUPS = frozenset({"actpass", "active", "passive"})
"""Browsers offer actpass. Some encoders insist on passive (RFC 8842 section 5.2); then we start."""
SENDING = frozenset({"sendrecv", "sendonly"})
RECEIVING = frozenset({"sendrecv", "recvonly"})
MAX_ENCODINGS = 4
"""Three simulcast encodings and one to spare; further rids are not answered."""
_MIRRORED = {"sendonly": "recvonly", "recvonly": "sendonly"}


@dataclass(frozen=True, slots=True)
class RemoteTransport:
    """The client's side of a transport, from the m-line of its bundle."""

    ice_ufrag: str
    ice_pwd: str = field(repr=False)
    fingerprints: tuple[Fingerprint, ...]
    setup: str


@dataclass(frozen=True, slots=True)
class UplinkOffer:
    """A checked offer, with the usable part of each m-line, by mid."""

    description: SessionDescription
    remote: RemoteTransport
    candidates: Mapping[str, NegotiatedMedia] = field(default_factory=dict)


def remote_transport(description: SessionDescription, setups: frozenset[str]) -> RemoteTransport:
    """The client's ICE and DTLS attributes; `setups` are the roles that it may take.

    Raises `SdpError`: sdp_invalid (no ICE, m-lines that differ), setup_invalid,
    fingerprint_unsupported.
    """
    tagged = _tagged(description)
    ufrag = tagged.transport.ice_ufrag or description.transport.ice_ufrag
    pwd = tagged.transport.ice_pwd or description.transport.ice_pwd
    if ufrag is None or pwd is None:
        raise invalid("there are no ICE credentials")
    setup = tagged.transport.setup or description.transport.setup
    if setup not in setups:
        raise SdpError("setup_invalid", "the DTLS role is missing or not one the client may take")
    fingerprints = _fingerprints(tagged.transport) or _fingerprints(description.transport)
    if not fingerprints:
        raise SdpError("fingerprint_unsupported", "there is no sha-256, -384 or -512 fingerprint")
    for media in description.media:
        own = _fingerprints(media.transport)
        if not media.rejected and own and own != fingerprints:
            raise invalid("m-lines of one bundle have different fingerprints")
    return RemoteTransport(ufrag, pwd, fingerprints, setup)


def _tagged(description: SessionDescription) -> MediaSection:
    """The m-line whose transport the bundle uses: the first of the group that is not rejected."""
    by_mid = {media.mid: media for media in description.media}
    for mid in description.bundle:
        if mid in by_mid and not by_mid[mid].rejected:
            return by_mid[mid]
    raise invalid("there is no BUNDLE group")


def _fingerprints(transport: TransportAttributes) -> tuple[Fingerprint, ...]:
    """The fingerprints of the strongest algorithm (RFC 8122 section 5)."""
    if not transport.fingerprints:
        return ()
    strongest = max(DIGEST_SIZES[f.algorithm] for f in transport.fingerprints)
    return tuple(f for f in transport.fingerprints if DIGEST_SIZES[f.algorithm] == strongest)


def read_uplink_offer(description: SessionDescription) -> UplinkOffer:
    """Checks a client's offer and negotiates each m-line separately.

    Raises `SdpError` as `remote_transport` does, ssrc_conflict, and sdp_invalid if an extension
    id has two meanings.
    """
    remote = remote_transport(description, OFFERED_SETUPS)
    bundle = frozenset(description.bundle)
    check_extension_ids(description)
    candidates = {}
    for media in description.media:
        if media.mid is not None and forwardable(media, bundle):
            negotiated = _negotiate(media, media.mid)
            if negotiated is not None:
                candidates[media.mid] = negotiated
    _check_ssrcs(candidates)
    return UplinkOffer(description, remote, candidates)


def forwardable(media: MediaSection, bundle: frozenset[str]) -> bool:
    return (
        not media.rejected
        and media.kind in FEEDBACK
        and media.protocol in RTP_PROTOCOLS
        and media.rtcp_mux
        and media.mid in bundle
    )


def check_extension_ids(description: SessionDescription) -> None:
    meanings: dict[int, str] = {}
    for media in description.media:
        for extension in media.extensions:
            if extension.uri not in EXTENSION_OF_URI or media.rejected:
                continue
            if meanings.setdefault(extension.id, extension.uri) != extension.uri:
                raise invalid("a header extension id has two meanings in one bundle")


def _check_ssrcs(candidates: Mapping[str, NegotiatedMedia]) -> None:
    seen: set[int] = set()
    for media in candidates.values():
        for encoding in media.encodings:
            for ssrc in (encoding.ssrc, encoding.rtx_ssrc):
                if ssrc is not None and ssrc in seen:
                    raise SdpError("ssrc_conflict", "two m-lines have the same SSRC")
                if ssrc is not None:
                    seen.add(ssrc)


def _negotiate(media: MediaSection, mid: str) -> NegotiatedMedia | None:
    kind = MediaKind(media.kind)
    codec = first_forwarded(media, kind)
    if codec is None:
        return None
    extensions = {
        EXTENSION_OF_URI[extension.uri]: extension.id for extension in _usable_extensions(media)
    }
    return NegotiatedMedia(mid, kind, codec, _encodings(media), extensions)


def _usable_extensions(media: MediaSection) -> list[ExtensionMap]:
    """Known extensions that the client may send. Ids 0, 15 and above 255 cannot be used (RFC
    8285)."""
    chosen: dict[str, ExtensionMap] = {}
    for extension in media.extensions:
        usable_id = 1 <= extension.id <= 255 and extension.id != 15
        sends = extension.direction in (None, "sendonly", "sendrecv")
        if extension.uri in EXTENSION_OF_URI and usable_id and sends:
            chosen.setdefault(extension.uri, extension)
    return list(chosen.values())


def first_forwarded(media: MediaSection, kind: MediaKind) -> NegotiatedCodec | None:
    """The first codec of the m-line that can be forwarded. If it is described several times, a
    complete description precedes one that leaves something open."""
    open_ended: tuple[Codec, int] | None = None
    for word in media.formats:
        payload_type = payload_type_of(word)
        description = media.descriptions.get(payload_type)
        if description is None:
            continue
        codec = CODEC_OF_NAME.get(description.encoding_name)
        if codec is None or not _matches(description, kind):
            continue
        if CODEC_RULES[codec].open_ended(description.parameters):
            open_ended = open_ended or (codec, payload_type)
        elif open_ended is None or codec is open_ended[0]:
            return _negotiated_codec(media, kind, codec, payload_type)
    return None if open_ended is None else _negotiated_codec(media, kind, *open_ended)


def _negotiated_codec(
    media: MediaSection, kind: MediaKind, codec: Codec, payload_type: int
) -> NegotiatedCodec:
    description = media.descriptions[payload_type]
    return NegotiatedCodec(
        codec,
        payload_type,
        rtx_of(media, payload_type),
        {
            name: value
            for name, value in description.parameters.items()
            if name in CODEC_RULES[codec].answered and SAFE_FORMAT_VALUE.fullmatch(value)
        },
        media.feedback_of(payload_type) & FEEDBACK[kind],
    )


def payload_type_of(word: str) -> int:
    if word.isascii() and word.isdecimal() and len(word) <= 3 and int(word) <= 127:
        return int(word)
    return -1


def _matches(description: FormatDescription, kind: MediaKind) -> bool:
    rule = CODEC_RULES[CODEC_OF_NAME[description.encoding_name]]
    return (
        rule.kind is kind
        and rule.describes(description.clock_rate_hz, description.channels)
        and rule.usable(description.parameters)
    )


def rtx_of(media: MediaSection, payload_type: int) -> int | None:
    for word in media.formats:
        number = payload_type_of(word)
        description = media.descriptions.get(number)
        if (
            description is not None
            and description.encoding_name == "rtx"
            and description.parameters.get("apt") == str(payload_type)
        ):
            return number
    return None


def _encodings(media: MediaSection) -> tuple[EncodingParameters, ...]:
    """By rid if the offer is simulcast, else by SSRC, else one that is found by its mid.

    The SSRCs that some browsers list beside rids are not used: nothing links them to the rids.
    """
    rids = [rid for rid in media.simulcast_send if rid in media.send_rids]
    if rids:
        return tuple(EncodingParameters(rid=rid) for rid in rids[:MAX_ENCODINGS])
    retransmits = {
        group[0]: group[1]
        for semantics, group in media.ssrc_groups
        if semantics == "FID" and len(group) == 2
    }
    simulcast = next((g for semantics, g in media.ssrc_groups if semantics == "SIM"), ())
    repeats = frozenset(retransmits.values())
    primary = simulcast or [s for s in media.ssrcs if s not in repeats][:1]
    if not primary:
        return (EncodingParameters(),)
    return tuple(
        EncodingParameters(ssrc=ssrc, rtx_ssrc=retransmits.get(ssrc))
        for ssrc in primary[:MAX_ENCODINGS]
    )


def choose(offer: UplinkOffer, mid: str, kind: MediaKind) -> NegotiatedMedia:
    """The format of a new track. Raises `SdpError`: track_unknown, codec_unsupported."""
    media = next((m for m in offer.description.media if m.mid == mid), None)
    if media is None or media.kind != kind.value or media.rejected:
        raise SdpError("track_unknown", "the offer has no such m-line")
    if media.direction not in SENDING:
        raise SdpError("track_unknown", "the m-line does not send")
    if not forwardable(media, frozenset(offer.description.bundle)):
        raise invalid("the m-line is not bundled, or has no rtcp-mux")
    negotiated = offer.candidates.get(mid)
    if negotiated is None:
        raise SdpError("codec_unsupported", "no codec of the m-line is forwarded")
    return negotiated


def check_kept(offer: UplinkOffer, live: Mapping[str, NegotiatedMedia]) -> None:
    """m-lines of continuing streams must still be present. Raises `SdpError`: sdp_invalid."""
    sections = {media.mid: media for media in offer.description.media}
    for mid, negotiated in live.items():
        media = sections.get(mid)
        if media is None or media.rejected or media.kind != negotiated.kind.value:
            raise invalid("an m-line of an earlier stream is missing")
        payload_type = str(negotiated.codec.payload_type)
        if payload_type not in media.formats:
            raise invalid("an m-line of an earlier stream lost its codec")


def build_uplink_answer(
    offer: UplinkOffer,
    live: Mapping[str, NegotiatedMedia],
    transport: LocalTransport,
    origin: Origin,
    *,
    max_bps: int | None = None,
) -> str:
    """Our answer: m-lines of `live` receive, other media is inactive, the rest is rejected.

    `max_bps` is requested on each video m-line (RFC 3890, and RFC 4566's AS for clients that
    know only that).
    """
    lines = [
        replace(
            _answer_lines(offer, media, live), max_bps=max_bps if media.kind == "video" else None
        )
        for media in offer.description.media
    ]
    return build(origin, transport, transport.answered_setup, lines)


def _answer_lines(
    offer: UplinkOffer, media: MediaSection, live: Mapping[str, NegotiatedMedia]
) -> MediaLines:
    negotiated = None
    if media.mid is not None:
        negotiated = live.get(media.mid) or offer.candidates.get(media.mid)
    if negotiated is None or media.rejected:
        return MediaLines(media.kind, media.protocol, media.formats, media.mid)
    receives = media.mid in live and media.direction in SENDING
    return MediaLines(
        kind=media.kind,
        protocol=media.protocol,
        formats=(),
        mid=media.mid,
        direction="recvonly" if receives else "inactive",
        codec=negotiated.codec,
        extensions=_answered_extensions(media, negotiated.extensions),
        extmap_allow_mixed=media.extmap_allow_mixed or offer.description.extmap_allow_mixed,
        rids=tuple(e.rid for e in negotiated.encodings if e.rid is not None),
    )


def _answered_extensions(
    media: MediaSection, negotiated: Mapping[Extension, int]
) -> list[tuple[int, str | None, Extension]]:
    return [
        (extension.id, _MIRRORED.get(extension.direction or ""), EXTENSION_OF_URI[extension.uri])
        for extension in _usable_extensions(media)
        if negotiated.get(EXTENSION_OF_URI[extension.uri]) == extension.id
    ]
