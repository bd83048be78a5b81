"""Counters of the core as figures."""

from sfu.stats import core_figures, since

EARLIER = {"rtp_received": 10, "rtp_forwarded": 8, "drop.paused": 2, "transports": 4}
LATER = {
    "rtp_received": 25,
    "rtp_forwarded": 20,
    "drop.paused": 4,
    "drop.bad_tag": 1,
    "transports": 3,
    "handshakes.connected": 9,
}


def test_counters_become_figures_with_the_drops_by_reason():
    figures = core_figures(LATER)
    assert (figures.rtp_received, figures.rtp_forwarded, figures.plis_sent) == (25, 20, 0)
    assert figures.drops == {"bad_tag": 1, "paused": 4}
    assert figures.dropped == 5


def test_the_difference_of_two_readings_keeps_what_is_of_now():
    between = since(core_figures(EARLIER), core_figures(LATER))
    assert (between.rtp_received, between.rtp_forwarded, between.transports) == (15, 12, 3)
    assert between.drops == {"bad_tag": 1, "paused": 2}
