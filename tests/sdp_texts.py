"""Offers of real browsers, and this server's side of them, for tests of SDP."""

from pathlib import Path

import pytest

from sfu.core_api import MediaKind
from sfu.sdp.build import LocalTransport, Origin
from sfu.sdp.errors import SdpError
from sfu.sdp.negotiate import build_uplink_answer, choose, read_uplink_offer
from sfu.sdp.parse import Fingerprint, parse

VECTORS = Path(__file__).parent / "vectors" / "sdp"
OFFERS = {
    path.name.removeprefix("offer-").removesuffix(".sdp"): path.read_text()
    for path in sorted(VECTORS.glob("offer-*.sdp"))
}
CHROMIUM = "chromium-156.0.8078.79-sendrecv"
CHROMIUM_SIMULCAST = "chromium-156.0.8078.79-simulcast3"
FIREFOX = "firefox-153.7.0-sendrecv"
FIREFOX_SIMULCAST = "firefox-153.7.0-simulcast3"
LOCAL = LocalTransport(
    "abcdefgh",
    "p" * 32,
    Fingerprint("sha-256", bytes(range(32))),
    ("192.0.2.7", "2001:db8::7"),
    10_000,
)
ORIGIN = Origin(77, 1)


def negotiate(text):
    offer = read_uplink_offer(parse(text))
    live = {
        "0": choose(offer, "0", MediaKind.AUDIO),
        "1": choose(offer, "1", MediaKind.VIDEO),
    }
    return offer, live


def answer_to(text):
    offer, live = negotiate(text)
    return build_uplink_answer(offer, live, LOCAL, ORIGIN)


def refusal(call, *arguments):
    with pytest.raises(SdpError) as caught:
        call(*arguments)
    return caught.value.code


def prefer(text, number):
    """The offer with one payload type moved to the front of its m-line."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        words = line.rstrip().split(" ")
        if line.startswith("m=") and number in words[3:]:
            rest = [word for word in words[3:] if word != number]
            lines[index] = " ".join([*words[:3], number, *rest])
    return "\n".join(lines)
