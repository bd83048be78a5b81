"""Offers and answers about the audio of a call (RFC 3264, RFC 4566, RFC 4568); pure."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

MAX_SDP_BYTES = 16_384
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
_DIRECTIONS: dict[str, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "sendonly",
    "recvonly": "recvonly",
    "inactive": "inactive",
}
_MIRRORED: dict[Direction, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
_NUMBER = re.compile(r"\d{1,5}", re.ASCII)
_PLAIN, _SECURE = "RTP/AVP", "RTP/SAVP"


class SdpError(ValueError):
    """No description of a call that is understood here."""


@dataclass(frozen=True, slots=True)
class Codec:
    """`payload_type`: as we offer it. `rate_hz`: of RTP timestamps."""

    name: Literal["opus", "G722", "PCMU", "PCMA"]
    payload_type: int
    rate_hz: int
    channels: int = 1

    @property
    def described(self) -> str:
        channels = f"/{self.channels}" if self.channels > 1 else ""
        return f"{self.name}/{self.rate_hz}{channels}"


OPUS = Codec("opus", 96, 48_000, 2)
G722 = Codec("G722", 9, 8_000)
"""Of 16 kHz; its clock is a mistake that was kept (RFC 3551 section 4.5.2)."""
PCMU = Codec("PCMU", 0, 8_000)
PCMA = Codec("PCMA", 8, 8_000)
CODECS = (OPUS, G722, PCMU, PCMA)
EVENTS = {48_000: 101, 8_000: 102}
"""Payload types of telephone events as we offer them, by their clock (RFC 4733)."""


@dataclass(frozen=True, slots=True)
class Suite:
    name: str
    key_bytes: int


SUITES = (Suite("AES_CM_128_HMAC_SHA1_80", 30), Suite("AEAD_AES_128_GCM", 28))
"""With which SRTP is offered, the one that all know first."""


@dataclass(frozen=True, slots=True)
class Key:
    """Of one direction: the master key and its salt."""

    suite: Suite
    material: bytes
    tag: str = "1"

    def __repr__(self) -> str:
        return f"Key({self.suite.name})"


@dataclass(frozen=True, slots=True)
class Remote:
    """The audio as the other end describes it. `codec`, `events`: payload types to send with.
    `sends`, `hears`: what it does. `all_events`: payload types of telephone events of any clock:
    some telephones send those of 8 kHz beside Opus. `rtcp_port`: of its reports (RFC 3605)."""

    host: str
    port: int
    codec: Codec
    events: int | None
    sends: bool
    hears: bool
    key: Key | None = None
    all_events: frozenset[int] = frozenset()
    rtcp_port: int = 0

    @property
    def is_held(self) -> bool:
        return not self.hears


@dataclass(frozen=True, slots=True)
class Local:
    """This end. `keys`: one for each suite, those of SRTP; none for plain RTP."""

    host: str
    port: int
    number: int
    keys: tuple[Key, ...] = ()

    def offer(self, version: int, codecs: Sequence[Codec] = CODECS) -> bytes:
        events = {rate: kind for rate, kind in EVENTS.items() if _has_clock(codecs, rate)}
        return self._describe(version, codecs, events, "sendrecv", self.keys)

    def answer(self, version: int, remote: Remote, direction: Direction) -> bytes:
        """With the payload types of the other end."""
        events = {} if remote.events is None else {remote.codec.rate_hz: remote.events}
        keys = tuple(key for key in self.keys if remote.key and key.suite == remote.key.suite)
        if remote.key is not None:
            keys = tuple(replace(key, tag=remote.key.tag) for key in keys)
        return self._describe(version, [remote.codec], events, direction, keys)

    def _describe(
        self,
        version: int,
        codecs: Sequence[Codec],
        events: dict[int, int],
        direction: Direction,
        keys: tuple[Key, ...],
    ) -> bytes:
        family = "IP6" if ":" in self.host else "IP4"
        kinds = [*(codec.payload_type for codec in codecs), *events.values()]
        lines = [
            "v=0",
            f"o=- {self.number} {version} IN {family} {self.host}",
            "s=-",
            f"c=IN {family} {self.host}",
            "t=0 0",
            f"m=audio {self.port} {_SECURE if keys else _PLAIN} {' '.join(map(str, kinds))}",
        ]
        lines += [f"a=rtpmap:{codec.payload_type} {codec.described}" for codec in codecs]
        for rate_hz, kind in events.items():
            lines += [f"a=rtpmap:{kind} telephone-event/{rate_hz}", f"a=fmtp:{kind} 0-15"]
        lines += [_crypto(key) for key in keys]
        lines += ["a=ptime:20", f"a={direction}"]
        return "".join(f"{line}\r\n" for line in lines).encode()


def _has_clock(codecs: Sequence[Codec], rate_hz: int) -> bool:
    return any(codec.rate_hz == rate_hz for codec in codecs)


def _crypto(key: Key) -> str:
    return f"a=crypto:{key.tag} {key.suite.name} inline:{base64.b64encode(key.material).decode()}"


def direction_to(remote: Remote) -> Direction:
    """What we answer to what the other end does."""
    theirs: Direction = (
        ("sendrecv" if remote.hears else "sendonly")
        if remote.sends
        else ("recvonly" if remote.hears else "inactive")
    )
    return _MIRRORED[theirs]


def read(body: bytes, *, secure: bool, wanted: Codec | None = None) -> Remote:
    """The other end's offer or answer. `wanted`: the codec in use, taken again if it is there.

    Errors: `SdpError`.
    """
    session, media = _sections(body)
    first, lines = media[0], [*session, *media[1:]]
    words = first.split()
    if len(words) < 4 or words[0] != "audio" or not _NUMBER.fullmatch(words[1]):
        raise SdpError("no audio")
    port = int(words[1])
    if not 0 < port < 65_536:
        raise SdpError("audio is refused")
    if words[2] != (_SECURE if secure else _PLAIN):
        raise SdpError("another transport")
    host = _host(session, media[1:])
    attributes = [line[2:] for line in lines if line.startswith("a=")]
    kinds = [int(word) for word in words[3:] if _NUMBER.fullmatch(word)]
    names = _names(attributes)
    codec, events = _codec(kinds, names, wanted)
    all_events = frozenset(
        kind for kind in kinds if names.get(kind, "").startswith("telephone-event/")
    )
    sends, hears = _directions(media[1:], session, host)
    key = _key(attributes) if secure else None
    if secure and key is None:
        raise SdpError("no key")
    rtcp_port = _rtcp_port(attributes, port)
    return Remote(host, port, codec, events, sends, hears, key, all_events, rtcp_port)


def _rtcp_port(attributes: list[str], port: int) -> int:
    """The next one, unless another one is named."""
    for attribute in attributes:
        found = re.fullmatch(r"rtcp:(\d{1,5})(\s.*)?", attribute, re.ASCII)
        if found and 0 < int(found[1]) < 65_536:
            return int(found[1])
    return port + 1 if port < 65_535 else 0


def _sections(body: bytes) -> tuple[list[str], list[str]]:
    """The lines before any media, and those of the first audio, its first without `m=`."""
    if len(body) > MAX_SDP_BYTES:
        raise SdpError("too long")
    lines = [line.strip() for line in body.decode("utf-8", "replace").splitlines()]
    begins = [at for at, line in enumerate(lines) if line.startswith("m=")]
    audio = next((at for at in begins if lines[at].startswith("m=audio ")), None)
    if audio is None:
        raise SdpError("no audio")
    end = next((at for at in begins if at > audio), len(lines))
    return lines[: begins[0]], [lines[audio][2:], *lines[audio + 1 : end]]


def _host(session: list[str], media: list[str]) -> str:
    for lines in (media, session):
        for line in lines:
            words = line.split()
            if line.startswith("c=IN ") and len(words) >= 3:
                return words[2].split("/")[0][:253]
    raise SdpError("no address")


def _directions(media: list[str], session: list[str], host: str) -> tuple[bool, bool]:
    direction: Direction = "sendrecv"
    for lines in (session, media):
        for line in lines:
            direction = _DIRECTIONS.get(line[2:], direction) if line[:2] == "a=" else direction
    if host in ("0.0.0.0", "::"):  # noqa: S104 - hold as it was before RFC 3264
        return False, False
    return direction in ("sendrecv", "sendonly"), direction in ("sendrecv", "recvonly")


def _names(attributes: list[str]) -> dict[int, str]:
    """What payload types are, in lower case."""
    names = {0: "pcmu/8000", 8: "pcma/8000", 9: "g722/8000"}
    for attribute in attributes:
        found = re.fullmatch(r"rtpmap:(\d{1,3})\s+(\S{1,64})", attribute, re.ASCII)
        if found:
            names[int(found[1])] = found[2].lower()
    return names


def _codec(
    kinds: list[int], names: dict[int, str], wanted: Codec | None
) -> tuple[Codec, int | None]:
    usable = [
        replace(codec, payload_type=kind)
        for kind in kinds
        if 0 <= kind < 128
        for codec in CODECS
        if names.get(kind, "").removesuffix("/1") == codec.described.lower()
    ]
    if not usable:
        raise SdpError("no common codec")
    same = [one for one in usable if wanted is not None and one.name == wanted.name]
    codec = (same or usable)[0]
    event = f"telephone-event/{codec.rate_hz}"
    events = [kind for kind in kinds if names.get(kind) == event and 0 <= kind < 128]
    return codec, events[0] if events else None


def _key(attributes: list[str]) -> Key | None:
    for attribute in attributes:
        found = re.fullmatch(
            r"crypto:(\d{1,9})\s+(\S{1,64})\s+inline:([A-Za-z0-9+/=]{1,128})(\|\S{0,64})?(.*)",
            attribute,
            re.ASCII,
        )
        suite = next((one for one in SUITES if found and one.name == found[2]), None)
        if found is None or suite is None or found[5].strip():
            continue  # other session parameters change what is sent
        if ":" in (found[4] or ""):
            continue  # a master key index in each packet
        try:
            material = base64.b64decode(found[3], validate=True)
        except binascii.Error:
            continue
        if len(material) == suite.key_bytes:
            return Key(suite, material, found[1])
    return None
