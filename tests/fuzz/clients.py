"""What a hostile server sends to the Python SDK: messages, descriptions, captions; any bytes."""

import contextlib

from sealroute_client import signaling
from sealroute_client.bounds import is_bounded
from sealroute_client.checking import check_message
from sealroute_client.descriptions import AnswerRules, OfferRules
from sealroute_client.e2ee.bitstream import FormatError
from sealroute_client.errors import SealrouteError
from sealroute_client.media import layered, receiving

_OFFER = """v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=rtpmap:111 opus/48000/2
a=mid:0
a=sendonly
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 AA:BB
a=setup:actpass
""".replace("\n", "\r\n")


def server_messages_python(data: bytes) -> None:
    """What passes has the shape of its kind, and is bounded."""
    with contextlib.suppress(ValueError, SealrouteError):
        message = signaling.decode(data)
        assert is_bounded(data)
        check_message(message)
        assert isinstance(message["t"], str)


def layered_packets(data: bytes) -> None:
    """Packets of VP9 or AV1, each behind its length in two bytes; the first byte chooses the codec.
    What is cut off or out of order is refused, and nothing grows."""
    codec = ("vp9", "av1")[data[0] & 1] if data else "vp9"
    with contextlib.suppress(FormatError):
        packets = receiving.payloads(data[1:])
        found = layered.frames(codec, packets)
        assert len(found) <= layered.MAX_LAYERS
        image = layered.join(codec, found)
        assert len(image) <= 2 * len(data) + 64
        layered.is_key_frame(codec, image)


def server_descriptions(data: bytes) -> None:
    """Offers of a downlink and answers of an uplink, as the SDK judges them before aiortc does."""
    text = data.decode("utf-8", "replace")
    offers, answers = OfferRules(), AnswerRules()
    for check in (
        lambda: offers.check(text, {"0"}),
        lambda: offers.check(text),
        lambda: offers.check_peer(text),
        lambda: answers.check(_OFFER, text, {"0"}),
        lambda: answers.check_peer(_OFFER, text),
    ):
        with contextlib.suppress(SealrouteError):
            check()
