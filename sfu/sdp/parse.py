"""Parses text into a `SessionDescription`: limits first, then one pass over the lines.

Lenient where real browsers are careless (attributes of payload types that the m-line no longer
has, unknown attributes), strict in everything that decides where media goes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from sfu.sdp.errors import SdpError, invalid

MAX_BYTES = 131_072
"""A Chromium offer with 16 simulcast video m-lines has about 80 KiB."""
MAX_LINES = 5_120
MAX_LINE_CHARACTERS = 2_048
MAX_MEDIA = 64
"""For offers. Answers are limited to the m-lines of their offer."""
MAX_ATTRIBUTES_PER_MEDIA = 1_024
MAX_ENTRIES = 8_192
"""For a whole description: each attribute is one entry, and so is each member of an attribute's
list. Memory and time follow entries, not bytes: a parameter of two bytes costs as much as a long
one."""
ENTRIES_OF_FORMAT = 4
"""The cost in entries of a payload type's first description: its tables."""
MAX_CANDIDATES = 256
MAX_RIDS = 8

MID = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]{1,16}")
RID = re.compile(r"[A-Za-z0-9_-]{1,16}")
DIRECTIONS = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})
DIGEST_SIZES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A certificate's digest (RFC 8122). `algorithm` is one of `DIGEST_SIZES`."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class ExtensionMap:
    id: int
    direction: str | None
    uri: str


@dataclass(slots=True)
class FormatDescription:
    """One payload type: its rtpmap, fmtp and rtcp-fb lines. Feedback for all payload types
    (`a=rtcp-fb:*`) belongs to the m-line: `MediaSection.feedback_of`."""

    encoding_name: str = ""
    clock_rate_hz: int = 0
    channels: int | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    feedback: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class TransportAttributes:
    """ICE and DTLS attributes, of the session or of an m-line. `fingerprints_seen` includes
    those of unknown algorithms."""

    ice_ufrag: str | None = None
    ice_pwd: str | None = None
    setup: str | None = None
    fingerprints: list[Fingerprint] = field(default_factory=list)
    fingerprints_seen: int = 0


@dataclass(slots=True)
class MediaSection:
    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    mid: str | None = None
    direction: str = "sendrecv"
    rtcp_mux: bool = False
    bundle_only: bool = False
    extmap_allow_mixed: bool = False
    transport: TransportAttributes = field(default_factory=TransportAttributes)
    descriptions: dict[int, FormatDescription] = field(default_factory=dict)
    common_feedback: dict[str, None] = field(default_factory=dict)
    extensions: list[ExtensionMap] = field(default_factory=list)
    ssrcs: dict[int, None] = field(default_factory=dict)
    ssrc_groups: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    send_rids: list[str] = field(default_factory=list)
    simulcast_send: tuple[str, ...] = ()
    attributes: int = 0

    @property
    def rejected(self) -> bool:
        """Port 0 means rejected (RFC 3264 section 6), unless the m-line only waits for its
        bundle."""
        return self.port == 0 and not self.bundle_only

    def feedback_of(self, payload_type: int) -> frozenset[str]:
        """The feedback of the payload type's own lines and of those for all payload types."""
        description = self.descriptions.get(payload_type)
        own = description.feedback if description is not None else {}
        return frozenset(own) | self.common_feedback.keys()


@dataclass(slots=True)
class SessionDescription:
    media: list[MediaSection] = field(default_factory=list)
    bundle: tuple[str, ...] = ()
    extmap_allow_mixed: bool = False
    transport: TransportAttributes = field(default_factory=TransportAttributes)


def parse(text: str, *, max_media: int = MAX_MEDIA) -> SessionDescription:
    """Parses a description of at most `MAX_BYTES` with at most `max_media` m-lines.

    Raises `SdpError` with sdp_too_large or sdp_invalid; work is linear in the text.
    """
    _check_size(text, max_media)
    # Line by line: a list of all lines would cost several times the text.
    lines = (found[0].rstrip("\r") for found in _LINE.finditer(text))
    if next(lines, "") != "v=0":
        raise invalid("the description does not begin with v=0")
    session = SessionDescription()
    media: MediaSection | None = None
    entries = _Entries()
    for line in lines:
        if not line:
            continue
        if len(line) > MAX_LINE_CHARACTERS or len(line) < 2 or line[1] != "=":
            raise invalid("a line is malformed")
        if line.startswith("m="):
            media = _media_line(line)
            entries.add(1 + len(media.formats))
            session.media.append(media)
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            value = value.strip()
            entries.count(name, value)
            _attribute(session, media, name, value, entries)
    _check_mids(session)
    return session


class _Entries:
    """The entries of a description so far. Raises `SdpError` when they exceed the limit, before
    the excess attribute is read."""

    __slots__ = ("_candidates", "_total")

    def __init__(self) -> None:
        self._total = 0
        self._candidates = 0

    def add(self, count: int) -> None:
        self._total += count
        if self._total > MAX_ENTRIES:
            raise SdpError("sdp_too_large", "the description has too many attributes")

    def count(self, name: str, value: str) -> None:
        members = value.count(_LISTS[name]) if name in _LISTS else 0
        self.add(_COSTS.get(name, 1) + members)
        self._candidates += name == "candidate"
        if self._candidates > MAX_CANDIDATES:
            raise SdpError("sdp_too_large", "there are too many candidates")


_LINE = re.compile(r"[^\n]+")
_LISTS = {"fmtp": ";", "ssrc-group": " ", "group": " ", "simulcast": ";", "rid": " "}
"""Attributes whose value is a list, and the separator of its members."""
_COSTS = {"extmap": 3}
"""Attributes that take several times as long to parse as others."""


def _check_size(text: str, max_media: int) -> None:
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise SdpError("sdp_too_large", "the description is longer than 128 KiB")
    if text.count("\n") > MAX_LINES:
        raise SdpError("sdp_too_large", "the description has too many lines")
    if text.count("\nm=") > max_media:
        raise SdpError("sdp_too_large", "the description has too many m-lines")
    if "\0" in text or "\r" in text.replace("\r\n", "\n"):
        raise invalid("the description has control characters")


def _media_line(line: str) -> MediaSection:
    words = line[2:].split(" ")
    if len(words) < 4 or "" in words:
        raise invalid("an m-line is malformed")
    kind, port, protocol = words[:3]
    if len(words) > 3 + 128:
        raise SdpError("sdp_too_large", "an m-line has too many formats")
    return MediaSection(kind, _number(port.partition("/")[0], 65_535), protocol, tuple(words[3:]))


def _number(word: str, maximum: int) -> int:
    # `isdecimal` alone accepts digits of other scripts
    if not (word.isascii() and word.isdecimal() and len(word) <= 10) or int(word) > maximum:
        raise invalid("a number is malformed or out of range")
    return int(word)


def _attribute(
    session: SessionDescription,
    media: MediaSection | None,
    name: str,
    value: str,
    entries: _Entries,
) -> None:
    transport = session.transport if media is None else media.transport
    if name in _TRANSPORT_READERS:
        _TRANSPORT_READERS[name](transport, value)
    elif media is None:
        if name in _SESSION_READERS:
            _SESSION_READERS[name](session, value)
    else:
        media.attributes += 1
        if media.attributes > MAX_ATTRIBUTES_PER_MEDIA:
            raise SdpError("sdp_too_large", "an m-line has too many attributes")
        if name in DIRECTIONS:
            media.direction = name
        elif name in _MEDIA_READERS:
            described = len(media.descriptions)
            _MEDIA_READERS[name](media, value)
            if len(media.descriptions) != described:
                entries.add(ENTRIES_OF_FORMAT)


def _check_mids(session: SessionDescription) -> None:
    mids = [media.mid for media in session.media if media.mid is not None]
    if len(set(mids)) != len(mids):
        raise invalid("two m-lines have the same mid")


# --- transport attributes ----------------------------------------------------------------

# ice-char of RFC 8839 section 5.4: with others, characters and the core's bytes would differ.
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/]*")


def _read_ufrag(transport: TransportAttributes, value: str) -> None:
    if not 4 <= len(value) <= 256 or not _ICE_CHARS.fullmatch(value):
        raise invalid("an ICE ufrag is malformed")
    transport.ice_ufrag = value


def _read_pwd(transport: TransportAttributes, value: str) -> None:
    if not 22 <= len(value) <= 256 or not _ICE_CHARS.fullmatch(value):
        raise invalid("an ICE password is malformed")
    transport.ice_pwd = value


def _read_setup(transport: TransportAttributes, value: str) -> None:
    transport.setup = value


def _read_fingerprint(transport: TransportAttributes, value: str) -> None:
    transport.fingerprints_seen += 1
    if transport.fingerprints_seen > 8:
        raise SdpError("sdp_too_large", "there are too many fingerprints")
    algorithm, _, digits = value.partition(" ")
    size = DIGEST_SIZES.get(algorithm.lower())
    if size is None:
        return
    try:
        digest = bytes.fromhex(digits.strip().replace(":", ""))
    except ValueError:
        raise invalid("a fingerprint is malformed") from None
    if len(digest) != size:
        raise invalid("a fingerprint is malformed")
    transport.fingerprints.append(Fingerprint(algorithm.lower(), digest))


_TRANSPORT_READERS: dict[str, Callable[[TransportAttributes, str], None]] = {
    "ice-ufrag": _read_ufrag,
    "ice-pwd": _read_pwd,
    "setup": _read_setup,
    "fingerprint": _read_fingerprint,
}


# --- session attributes ------------------------------------------------------------------


def _read_group(session: SessionDescription, value: str) -> None:
    semantics, *mids = value.split()
    if semantics == "BUNDLE":
        if session.bundle:
            raise invalid("there are two BUNDLE groups")
        session.bundle = tuple(mids)


def _read_session_mixed(session: SessionDescription, _: str) -> None:
    session.extmap_allow_mixed = True


_SESSION_READERS: dict[str, Callable[[SessionDescription, str], None]] = {
    "group": lambda session, value: _read_group(session, value) if value else None,
    "extmap-allow-mixed": _read_session_mixed,
}


# --- m-line attributes -------------------------------------------------------------------


def _read_mid(media: MediaSection, value: str) -> None:
    if MID.fullmatch(value) is None:
        raise invalid("a mid is malformed")
    media.mid = value


def _description(media: MediaSection, payload_type: str) -> FormatDescription:
    return media.descriptions.setdefault(_number(payload_type, 127), FormatDescription())


def _read_rtpmap(media: MediaSection, value: str) -> None:
    payload_type, _, rest = value.partition(" ")
    name, _, rate = rest.strip().partition("/")
    rate, _, channels = rate.partition("/")
    description = _description(media, payload_type)
    if description.encoding_name:
        raise invalid("a payload type is described twice")
    description.encoding_name = name.lower()
    description.clock_rate_hz = _number(rate, 2**31)
    description.channels = _number(channels, 255) if channels else None


def _read_fmtp(media: MediaSection, value: str) -> None:
    payload_type, _, rest = value.partition(" ")
    description = _description(media, payload_type)
    for parameter in rest.split(";"):
        name, _, setting = parameter.strip().partition("=")
        if name:
            description.parameters[name.lower()] = setting


def _read_feedback(media: MediaSection, value: str) -> None:
    payload_type, _, kind = value.partition(" ")
    kinds = media.common_feedback
    if payload_type != "*":
        kinds = _description(media, payload_type).feedback
    kinds[kind.strip()] = None


def _read_extmap(media: MediaSection, value: str) -> None:
    number, _, rest = value.partition(" ")
    number, _, direction = number.partition("/")
    uri = rest.strip().partition(" ")[0]
    media.extensions.append(ExtensionMap(_number(number, 4_095), direction or None, uri))


def _read_ssrc(media: MediaSection, value: str) -> None:
    media.ssrcs[_ssrc(value.partition(" ")[0])] = None


def _read_ssrc_group(media: MediaSection, value: str) -> None:
    words = value.split()
    if not 2 <= len(words) <= 17:
        raise invalid("an ssrc-group is malformed")
    media.ssrc_groups.append((words[0], tuple(_ssrc(word) for word in words[1:])))


def _ssrc(word: str) -> int:
    return _number(word, 2**32 - 1)


def _read_rid(media: MediaSection, value: str) -> None:
    words = value.split()
    if len(words) < 2 or RID.fullmatch(words[0]) is None:
        raise invalid("a rid is malformed")
    if words[1] == "send":
        if len(media.send_rids) >= MAX_RIDS or words[0] in media.send_rids:
            raise invalid("there are too many rids, or one twice")
        media.send_rids.append(words[0])


def _read_simulcast(media: MediaSection, value: str) -> None:
    words = value.split()
    if len(words) > 4:
        raise invalid("a simulcast line is malformed")
    for direction, streams in zip(words[::2], words[1::2], strict=False):
        if direction == "send":
            # of alternatives ("1,2") the first counts; "~" marks one that starts paused
            firsts = [s.partition(",")[0].removeprefix("~") for s in streams.split(";")]
            media.simulcast_send = tuple(dict.fromkeys(firsts))


def _mark(name: str) -> Callable[[MediaSection, str], None]:
    return lambda media, _: setattr(media, name, True)


_MEDIA_READERS: dict[str, Callable[[MediaSection, str], None]] = {
    "mid": _read_mid,
    "rtpmap": _read_rtpmap,
    "fmtp": _read_fmtp,
    "rtcp-fb": _read_feedback,
    "extmap": _read_extmap,
    "ssrc": _read_ssrc,
    "ssrc-group": _read_ssrc_group,
    "rid": _read_rid,
    "simulcast": _read_simulcast,
    "rtcp-mux": _mark("rtcp_mux"),
    "bundle-only": _mark("bundle_only"),
    "extmap-allow-mixed": _mark("extmap_allow_mixed"),
}
