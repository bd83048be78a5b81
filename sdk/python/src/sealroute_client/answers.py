"""Rules for the descriptions of a server, before aiortc gets them.

Pure: texts come in, an error comes out.
"""

from typing import Final

from aiortc.sdp import MediaDescription, SessionDescription

from sealroute_client.errors import UnexpectedServerResponse

CODECS: Final = {
    "audio": frozenset({"audio/opus"}),
    "video": frozenset({"video/vp8", "video/h264"}),
}
"""What is encrypted, and so what is sent."""
RECEIVES: Final = frozenset({"recvonly", "inactive"})
"""What an answer to an uplink may do; without a word of it, it would send too."""
MAX_LINES: Final = 1024
"""More m-lines than any call has."""


def check_answer(offer: str, answer: str) -> None:
    """Errors: UnexpectedServerResponse for an answer to other m-lines than those of the offer, or
    one that leaves an m-line without a codec that is sent, without a certificate, or that does
    more with it than receive."""
    offered, answered = parse(offer), parse(answer)
    if len(offered) != len(answered):
        raise UnexpectedServerResponse("The server's answer has other m-lines than the offer")
    for asked, got in zip(offered, answered, strict=True):
        _check_line(asked, got)


def _check_line(asked: MediaDescription, got: MediaDescription) -> None:
    if (asked.kind, asked.rtp.muxId) != (got.kind, got.rtp.muxId):
        raise UnexpectedServerResponse("The server's answer has other m-lines than the offer")
    ours = names(asked) & CODECS.get(asked.kind, frozenset())
    if not names(got) & ours:
        raise UnexpectedServerResponse("The server's answer has no codec that was offered")
    if got.direction not in RECEIVES:
        raise UnexpectedServerResponse("The server's answer does more than receive")
    check_certificate(got)


def check_certificate(media: MediaDescription) -> None:
    """Errors: UnexpectedServerResponse where nobody could say whose certificate it is."""
    if media.dtls is None or not media.dtls.fingerprints:
        raise UnexpectedServerResponse("The server's description names no certificate")


def names(media: MediaDescription) -> frozenset[str]:
    return frozenset(codec.mimeType.lower() for codec in media.rtp.codecs)


def parse(sdp: str) -> list[MediaDescription]:
    """Errors: UnexpectedServerResponse for what is no description."""
    if sdp.count("\nm=") > MAX_LINES:
        raise UnexpectedServerResponse("The server sent a description with too many m-lines")
    try:
        media = SessionDescription.parse(sdp).media
    except Exception as error:
        # aiortc's parser raises whatever its lines lead it to.
        raise UnexpectedServerResponse("The server sent a description that is none") from error
    if not media:
        raise UnexpectedServerResponse("The server sent a description without m-lines")
    return media
