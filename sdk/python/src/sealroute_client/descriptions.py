"""Rules for the descriptions of a server, before aiortc gets them.

Pure: texts come in, an error comes out. What is refused is refused whole: nothing of it is applied,
and what was agreed on before goes on.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from aiortc import RTCRtpReceiver
from aiortc.sdp import MediaDescription, SessionDescription

from sealroute_client.errors import DecryptionUnsupportedCodec, UnexpectedServerResponse
from sealroute_client.rules import MAX_M_LINES

CODECS: Final = {
    "audio": frozenset({"audio/opus"}),
    "video": frozenset({"video/vp8", "video/h264"}),
}
"""What is encrypted, and so what is sent."""
RECEIVES: Final = frozenset({"recvonly", "inactive"})
"""What an answer to an uplink may do; without a word of it, it would send too."""
MAX_STEPS: Final = 262_144
"""Look-ups of aiortc's parser: an m-line of a browser takes 15,000."""
MAX_CANDIDATES: Final = 256
"""Of an m-line."""
REJECTED: Final = 0
"""The port of an m-line that carries nothing."""
SENDS: Final = frozenset({"sendonly", "inactive"})
"""What an offer of a downlink may do."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Who the other end of a transport is: it stays the same for the transport's whole life.
    `role`: in the DTLS handshake, as its description has it."""

    fingerprints: frozenset[tuple[str, str]]
    role: str


def certificate_of(media: Sequence[MediaDescription]) -> Certificate:
    """Errors: UnexpectedServerResponse where an m-line has none, or another than the first."""
    found = {_certificate(one) for one in media}
    if len(found) != 1:
        raise UnexpectedServerResponse("The server's description names two certificates")
    return found.pop()


def _certificate(media: MediaDescription) -> Certificate:
    if media.dtls is None or not media.dtls.fingerprints:
        # Nobody could say whose certificate it is.
        raise UnexpectedServerResponse("The server's description names no certificate")
    prints = ((one.algorithm.lower(), one.value.upper()) for one in media.dtls.fingerprints)
    return Certificate(frozenset(prints), str(media.dtls.role))


class AnswerRules:
    """The answers to one uplink."""

    def __init__(self) -> None:
        self._certificate: Certificate | None = None

    def check(self, offer: str, answer: str, sending: Collection[str]) -> None:
        """`sending`: the mids of what is about to be published. Streams before may have ended
        meanwhile, and their m-lines with them.

        Errors: UnexpectedServerResponse for an answer to other m-lines than those of the offer, or
        one that leaves an m-line without a codec that is sent, does not take what is sent, does
        more than that, or comes from another end than the answers before."""
        offered, answered = parse(offer), parse(answer)
        if len(offered) != len(answered):
            raise UnexpectedServerResponse("The server's answer has other m-lines than the offer")
        for asked, got in zip(offered, answered, strict=True):
            _check_line(asked, got, sending)
        certificate = certificate_of(answered)
        if self._certificate not in (None, certificate):
            raise UnexpectedServerResponse("The server's answer names another certificate")
        self._certificate = certificate

    def check_peer(self, offer: str, answer: str) -> None:
        """The answer of another client in a relayed Session: it takes all that is sent to it.

        Errors: UnexpectedServerResponse."""
        self.check(offer, answer, {one.rtp.muxId for one in parse(offer)})


def _check_line(asked: MediaDescription, got: MediaDescription, sending: Collection[str]) -> None:
    if (asked.kind, asked.rtp.muxId) != (got.kind, got.rtp.muxId):
        raise UnexpectedServerResponse("The server's answer has other m-lines than the offer")
    ours = names(asked) & CODECS.get(asked.kind, frozenset())
    if not names(got) & ours:
        raise UnexpectedServerResponse("The server's answer has no codec that was offered")
    if got.direction not in RECEIVES:
        raise UnexpectedServerResponse("The server's answer does more than receive")
    if asked.rtp.muxId in sending and (got.direction != "recvonly" or got.port == REJECTED):
        # Nothing would leave, and nobody would be told.
        raise UnexpectedServerResponse("The server's answer does not receive what is sent")


class OfferRules:
    """The offers of one downlink. Its m-lines keep their place, mid and kind."""

    def __init__(self) -> None:
        self._certificate: Certificate | None = None
        self._lines: list[tuple[str, str]] = []

    def check(self, offer: str, carrying: Collection[str] = ()) -> None:
        """`carrying`: the mids of the m-lines that a stream is said to come over.

        Errors: UnexpectedServerResponse, DecryptionUnsupportedCodec."""
        media = parse(offer)
        for one in media:
            _check_offered(one, carrying)
        lines = [(one.rtp.muxId, one.kind) for one in media]
        if len({mid for mid, _ in lines}) < len(lines):
            raise UnexpectedServerResponse("The server gave two m-lines one mid")
        if lines[: len(self._lines)] != self._lines:
            raise UnexpectedServerResponse("The server's offer makes an m-line another one")
        certificate = certificate_of(media)
        if self._certificate not in (None, certificate):
            raise UnexpectedServerResponse("The server's offer names another certificate")
        self._certificate, self._lines = certificate, lines

    def check_peer(self, offer: str) -> None:
        """The offer of another client in a relayed Session: it sends one stream.

        Errors: UnexpectedServerResponse, DecryptionUnsupportedCodec."""
        self.check(offer)
        kinds = [kind for _, kind in self._lines]
        if len(set(kinds)) < len(kinds):
            raise UnexpectedServerResponse("The server's offer has two m-lines of a kind")


def _check_offered(media: MediaDescription, carrying: Collection[str]) -> None:
    if media.kind not in CODECS:
        raise UnexpectedServerResponse("The server's offer has more than audio and video")
    if media.direction not in SENDS:
        raise UnexpectedServerResponse("The server's offer does more than send")
    is_sent = media.direction == "sendonly" and media.port != REJECTED
    if media.rtp.muxId in carrying and not is_sent:
        raise UnexpectedServerResponse("The server's offer does not send what it is said to")
    if not names(media) & _decodable(media.kind):
        raise DecryptionUnsupportedCodec("The server's offer has no codec that can be decoded")


def _decodable(kind: str) -> frozenset[str]:
    """In clear sessions more than in encrypted ones: what aiortc has."""
    capabilities = RTCRtpReceiver.getCapabilities(kind)
    known = () if capabilities is None else capabilities.codecs
    return frozenset(codec.mimeType.lower() for codec in known) - {"video/rtx"}


def names(media: MediaDescription) -> frozenset[str]:
    return frozenset(codec.mimeType.lower() for codec in media.rtp.codecs)


def parse(sdp: str) -> list[MediaDescription]:
    """Errors: UnexpectedServerResponse for what is no description."""
    _check_size(sdp)
    try:
        media = SessionDescription.parse(sdp).media
    except Exception as error:
        # aiortc's parser raises whatever its lines lead it to.
        raise UnexpectedServerResponse("The server sent a description that is none") from error
    if not media:
        raise UnexpectedServerResponse("The server sent a description without m-lines")
    return media


def _check_size(sdp: str) -> None:
    """aiortc's parser looks through all codecs for each line of feedback and of parameters, and
    through all sources for each line of a source. Lines are split as it splits them.

    Errors: UnexpectedServerResponse."""
    lines = sdp.splitlines()
    if sum(line.startswith("m=") for line in lines) > MAX_M_LINES:
        raise UnexpectedServerResponse("The server sent a description with too many m-lines")
    sections: list[Counter[str]] = [Counter()]
    for line in lines:
        if line.startswith("m="):
            sections.append(Counter())
        elif line.startswith("a="):
            sections[-1][line[2:].partition(":")[0]] += 1
    steps = sum(
        one["rtpmap"] * (one["rtcp-fb"] + one["fmtp"]) + one["ssrc"] ** 2 for one in sections
    )
    if steps > MAX_STEPS or any(one["candidate"] > MAX_CANDIDATES for one in sections):
        raise UnexpectedServerResponse("The server sent a description with too many lines")
