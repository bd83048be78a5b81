"""Writes our descriptions as text. The caller has negotiated; nothing is decided here."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from sfu.core_api import Extension
from sfu.rtp_parameters import CODEC_RULES, EXTENSION_URIS, NegotiatedCodec
from sfu.sdp.parse import Fingerprint


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """Our side of one transport. `addresses` are advertised in this order of preference.
    `answered_setup` is the DTLS role in our answers."""

    ice_ufrag: str
    ice_pwd: str = field(repr=False)
    fingerprint: Fingerprint
    addresses: tuple[str, ...]
    port: int
    tcp: bool = False
    answered_setup: str = "passive"


@dataclass(frozen=True, slots=True)
class Origin:
    """The o-line: one number for the transport's lifetime, a version per description."""

    session_number: int
    version: int


@dataclass(frozen=True, slots=True)
class MediaLines:
    """An m-line of the server. `codec` None: rejected with port 0, repeating `formats`."""

    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str | None
    direction: str = "inactive"
    codec: NegotiatedCodec | None = None
    extensions: Sequence[tuple[int, str | None, Extension]] = ()
    extmap_allow_mixed: bool = False
    rids: tuple[str, ...] = ()
    msid: str | None = None
    cname: str | None = None
    ssrc: int | None = None
    rtx_ssrc: int | None = None
    max_bps: int | None = None


def build(
    origin: Origin, transport: LocalTransport, setup: str, media: Sequence[MediaLines]
) -> str:
    """A description with CRLF line ends, BUNDLE of all accepted m-lines, ICE-lite."""
    bundled = [m.mid for m in media if m.codec is not None and m.mid is not None]
    lines = [
        "v=0",
        f"o=- {origin.session_number} {origin.version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        *([f"a=group:BUNDLE {' '.join(bundled)}"] if bundled else []),
        "a=msid-semantic: WMS *",
    ]
    if media and all(m.extmap_allow_mixed for m in media if m.codec is not None):
        lines.append("a=extmap-allow-mixed")
    tagged = bundled[0] if bundled else None
    for section in media:
        lines.extend(_section(section, transport, setup, tagged=section.mid == tagged))
    return "\r\n".join(lines) + "\r\n"


def _section(
    media: MediaLines, transport: LocalTransport, setup: str, *, tagged: bool
) -> Iterator[str]:
    codec = media.codec
    if codec is None:
        yield f"m={media.kind} 0 {media.protocol} {' '.join(media.formats)}"
        yield "c=IN IP4 0.0.0.0"
        if media.mid is not None:
            yield f"a=mid:{media.mid}"
        yield "a=inactive"
        return
    payload_types = [codec.payload_type]
    if codec.rtx_payload_type is not None:
        payload_types.append(codec.rtx_payload_type)
    yield f"m={media.kind} 9 {media.protocol} {' '.join(map(str, payload_types))}"
    yield "c=IN IP4 0.0.0.0"
    if media.max_bps is not None:
        yield f"b=AS:{max(1, media.max_bps // 1_000)}"
        yield f"b=TIAS:{media.max_bps}"
    yield f"a=mid:{media.mid}"
    yield from _transport(transport, setup)
    if tagged:
        yield from _candidates(transport)
        yield "a=end-of-candidates"
    yield f"a={media.direction}"
    if media.msid is not None:
        yield f"a=msid:{media.msid}"
    yield "a=rtcp-mux"
    yield "a=rtcp-rsize"
    if media.extmap_allow_mixed:
        yield "a=extmap-allow-mixed"
    for number, direction, extension in media.extensions:
        suffix = f"/{direction}" if direction else ""
        yield f"a=extmap:{number}{suffix} {EXTENSION_URIS[extension]}"
    yield from _codec(codec)
    yield from _rids(media.rids)
    yield from _ssrcs(media)


def _transport(transport: LocalTransport, setup: str) -> Iterator[str]:
    digest = transport.fingerprint.digest.hex(":").upper()
    yield f"a=ice-ufrag:{transport.ice_ufrag}"
    yield f"a=ice-pwd:{transport.ice_pwd}"
    yield f"a=fingerprint:{transport.fingerprint.algorithm} {digest}"
    yield f"a=setup:{setup}"


@lru_cache(64)
def _normal(address: str) -> str:
    """How SDP writes it. A server has few addresses, and writes them for each client."""
    return str(ipaddress.ip_address(address))


def _candidates(transport: LocalTransport) -> Iterator[str]:
    """Host candidates, component 1. Priorities fall in the given order (RFC 8445 5.1.2.1), and
    TCP follows all UDP (RFC 6544 4.2: direction preference 4 for passive)."""
    addresses = [_normal(address) for address in transport.addresses]
    port = transport.port
    for index, ip in enumerate(addresses):
        priority = (126 << 24) | ((65_535 - index) << 8) | 255
        yield f"a=candidate:{index + 1} 1 udp {priority} {ip} {port} typ host"
    if not transport.tcp:
        return
    for index, ip in enumerate(addresses):
        priority = (90 << 24) | (4 << 21) | ((8_191 - index) << 8) | 255
        foundation = len(addresses) + index + 1
        yield f"a=candidate:{foundation} 1 tcp {priority} {ip} {port} typ host tcptype passive"


def _codec(codec: NegotiatedCodec) -> Iterator[str]:
    rule = CODEC_RULES[codec.codec]
    number = codec.payload_type
    channels = f"/{rule.channels}" if rule.channels else ""
    yield f"a=rtpmap:{number} {rule.encoding_name}/{rule.clock_rate_hz}{channels}"
    for feedback in sorted(codec.feedback):
        yield f"a=rtcp-fb:{number} {feedback}"
    if codec.parameters:
        yield f"a=fmtp:{number} {_format_parameters(codec.parameters)}"
    if codec.rtx_payload_type is not None:
        yield f"a=rtpmap:{codec.rtx_payload_type} rtx/{rule.clock_rate_hz}"
        yield f"a=fmtp:{codec.rtx_payload_type} apt={number}"


def _format_parameters(parameters: Mapping[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in sorted(parameters.items()))


def _rids(rids: tuple[str, ...]) -> Iterator[str]:
    for rid in rids:
        yield f"a=rid:{rid} recv"
    if rids:
        yield f"a=simulcast:recv {';'.join(rids)}"


def _ssrcs(media: MediaLines) -> Iterator[str]:
    if media.ssrc is None or media.cname is None:
        return
    if media.rtx_ssrc is not None:
        yield f"a=ssrc-group:FID {media.ssrc} {media.rtx_ssrc}"
    yield f"a=ssrc:{media.ssrc} cname:{media.cname}"
    if media.rtx_ssrc is not None:
        yield f"a=ssrc:{media.rtx_ssrc} cname:{media.cname}"
