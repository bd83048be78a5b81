"""What the SDP of the plane accepts, the core accepts: a refusal there would come too late."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sfu import core_api
from sfu.core_api import Direction, MediaKind
from sfu.rtp_parameters import up_track_parameters
from sfu.sdp.errors import SdpError
from sfu.sdp.negotiate import choose, read_uplink_offer
from sfu.sdp.parse import parse

pytest.importorskip("sfu._native")

OFFERS = [
    path.read_text()
    for path in sorted((Path(__file__).parents[2] / "vectors" / "sdp").glob("offer-*.sdp"))
]
# Values that go on to the core, as the pattern that finds them.
VALUES = (
    r"(a=ice-ufrag:)([^\r\n]*)",
    r"(a=ice-pwd:)([^\r\n]*)",
    r"(a=mid:)(1)",
    r"(a=rid:)(\w+)",
    r"(a=extmap:)(\d+)",
    r"(a=rtpmap:)(\d+)",
    r"(a=ssrc:)(\d+)",
    r"(VP8/)(90000)",
)
LENGTHS = st.sampled_from([0, 1, 3, 4, 16, 17, 22, 86, 128, 255, 256, 257])
TEXTS = st.one_of(
    st.builds(lambda char, length: char * length, st.sampled_from("a+~0\u00e9\u20ac\x7f"), LENGTHS),
    st.integers(-1, 300).map(str),
    st.text(max_size=30).filter(lambda text: not set(text) & set("\r\n")),
)


def chosen(offer):
    """What can be published of it."""
    for mid, kind in (("0", MediaKind.AUDIO), ("1", MediaKind.VIDEO)):
        try:
            yield choose(offer, mid, kind)
        except SdpError:
            continue


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(OFFERS), st.sampled_from(VALUES), TEXTS)
def test_what_the_sdp_accepts_the_core_accepts(bench, text, pattern, value):
    text = re.sub(pattern, lambda found: found[1] + value, text)
    try:
        offer = read_uplink_offer(parse(text))
    except SdpError:
        return
    up_tracks = tuple(up_track_parameters(media, ()) for media in chosen(offer))
    router, transport, publisher = (next(bench.handles) for _ in range(3))
    remote = offer.remote
    bench.submit(core_api.OpenRouter(router, core_api.PayloadAccess.OPAQUE))
    bench.submit(core_api.OpenTransport(router, transport, Direction.UPLINK, "u" * 8, "p" * 24))
    bench.submit(core_api.SetPeerCredentials(transport, remote.ice_ufrag, remote.ice_pwd))
    if up_tracks:
        bench.submit(core_api.Publish(router, publisher, transport, up_tracks))
    bench.submit(core_api.CloseRouter(router))
