"""Parses WHIP and WHEP requests and builds the headers of their answers. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sfu.core_api import MediaKind
from sfu.sdp.errors import SdpError
from sfu.sdp.negotiate import (
    OFFERED_SETUPS,
    RemoteTransport,
    check_extension_ids,
    choose,
    read_uplink_offer,
    remote_transport,
)
from sfu.sdp.parse import SessionDescription, parse
from signaling.domain.errors import ErrorCode, error
from signaling.protocol import messages as m

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
E2EE_HEADER = "Sealroute-E2EE"
KIDS_HEADER = "Sealroute-Kids"
MAX_NAME_CHARS = 1_000
_KID = re.compile(r"[0-9a-f]{16}")
_DIRECTIONS = {"whip": ("sendonly", "sendrecv"), "whep": ("recvonly", "sendrecv")}
_ICE_LINE = re.compile(r"a=ice-(ufrag|pwd):([A-Za-z0-9+/]{4,256})")
_FRAGMENT_LINE = re.compile(r"[a-z]=[^\x00\r\n]*")
Role = Literal["whip", "whep"]
Kind = Literal["audio", "video"]


@dataclass(frozen=True, slots=True)
class Offered:
    """An offer whose content the media plane will not refuse. `flowing` has mid and kind of the
    tracks to publish or play, `ice` the client's ufrag and pwd."""

    text: str = field(repr=False)
    flowing: tuple[tuple[str, Kind], ...]
    ice: tuple[str, str] = field(repr=False)


def bearer_of(headers: Mapping[str, str]) -> str | None:
    """The client token of the request (RFC 6750 section 2.1)."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def offered(text: str, role: Role) -> Offered:
    """The checked offer. Every reason to refuse an offer is found here, before the client joins.

    Errors: `sdp_invalid`, `sdp_too_large`, `setup_invalid`, `fingerprint_unsupported`,
    `ssrc_conflict`, `codec_unsupported`; `track_unknown` if no m-line has the role's direction.
    """
    try:
        description = parse(text)
        flowing = _flowing(description, role)
        if not flowing:
            text = f"No m-line of the offer is {_DIRECTIONS[role][0]}."
            raise error(ErrorCode.TRACK_UNKNOWN, text)
        remote = _CHECKS[role](description, flowing)
    except SdpError as refused:
        raise error(refused.code, refused.message) from None
    return Offered(text, tuple(flowing), (remote.ice_ufrag, remote.ice_pwd))


def _published(description: SessionDescription, flowing: list[tuple[str, Kind]]) -> RemoteTransport:
    uplink = read_uplink_offer(description)
    for mid, kind in flowing:
        choose(uplink, mid, MediaKind(kind))
    return uplink.remote


def _played(description: SessionDescription, _: list[tuple[str, Kind]]) -> RemoteTransport:
    """Checks the offer of a player. Its codecs can be checked only against the stream."""
    check_extension_ids(description)
    return remote_transport(description, OFFERED_SETUPS)


_CHECKS = {"whip": _published, "whep": _played}


def _flowing(description: SessionDescription, role: Role) -> list[tuple[str, Kind]]:
    """mid and kind of the first m-line of each kind with the direction of the role."""
    found: dict[Kind, str] = {}
    for media in description.media:
        usable = not media.rejected and media.direction in _DIRECTIONS[role]
        if usable and media.mid is not None:
            if media.kind == "audio":
                found.setdefault("audio", media.mid)
            elif media.kind == "video":
                found.setdefault("video", media.mid)
    return [(mid, kind) for kind, mid in found.items()]


def tracks_of(offer: Offered, kids: Mapping[str, tuple[bytes, ...]]) -> tuple[m.TrackOffer, ...]:
    """The tracks that a WHIP client publishes: at most one of each kind."""
    return tuple(
        m.TrackOffer(mid=mid, kind=kind, kids=kids.get(mid, ())) for mid, kind in offer.flowing
    )


def formats_of(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The formats of end-to-end encryption that the client declares (`Sealroute-E2EE: e2ee/2`)."""
    words = headers.get(E2EE_HEADER, "").split(",")[:8]
    return tuple(word.strip()[:16] for word in words if word.strip())


def kids_of(headers: Mapping[str, str]) -> dict[str, tuple[bytes, ...]]:
    """`Sealroute-Kids: 0=0102030405060708, 1=…`: mid and key id in hexadecimal, up to 16 of them.

    Errors: `invalid_parameter`.
    """
    kids: dict[str, tuple[bytes, ...]] = {}
    items = [item.strip() for item in headers.get(KIDS_HEADER, "").split(",")]
    for item in [item for item in items if item][:16]:
        mid, equals, text = item.partition("=")
        if not equals or not 1 <= len(mid) <= 16 or _KID.fullmatch(text.lower()) is None:
            raise error(ErrorCode.INVALID_PARAMETER, f"{KIDS_HEADER} is not valid.")
        kids[mid] = (*kids.get(mid, ()), bytes.fromhex(text))
    return kids


def ice_links(servers: tuple[m.IceServer, ...]) -> list[str]:
    """`Link` header values, one for each URL (RFC 9725 section 4.6)."""
    links = []
    for server in servers:
        for url in server.urls:
            link = f'<{url}>; rel="ice-server"'
            if server.username is not None and server.credential is not None:
                link += (
                    f'; username="{server.username}"; credential="{server.credential}"'
                    '; credential-type="password"'
                )
            links.append(link)
    return links


def ice_of(text: str) -> tuple[str, str] | None:
    """ufrag and pwd of an SDP or SDP fragment (RFC 8840 section 9); None if they are missing.

    Errors: `sdp_invalid` for text that is not SDP, `sdp_too_large`.
    """
    if len(text) > 16_384:
        raise error(ErrorCode.SDP_TOO_LARGE)
    found: dict[str, str] = {}
    for line in text.replace("\r\n", "\n").split("\n"):
        if line and _FRAGMENT_LINE.fullmatch(line) is None:
            raise error(ErrorCode.SDP_INVALID)
        if ice := _ICE_LINE.fullmatch(line):
            found.setdefault(ice[1], ice[2])
    return (found["ufrag"], found["pwd"]) if len(found) == 2 else None
