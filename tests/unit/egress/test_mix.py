"""Streams of audio on one time axis, added and limited."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sfu.egress.child.mix import CEILING, JOIN_SAMPLES, LOOKAHEAD, Lane, Limiter, Mixer

BLOCK = 1_024


def constant(count, level=0.25):
    return np.full((count, 2), level, np.float32)


def tone(count, start=0, level=0.25, hz=440):
    wave = level * np.sin(2 * np.pi * hz * (start + np.arange(count)) / 48_000)
    return np.stack([wave, wave], axis=1).astype(np.float32)


def mixed(lanes, blocks, start=0):
    mixer = Mixer(start)
    return np.concatenate([mixer.mix(lanes, BLOCK) for _ in range(blocks)])


def test_silence_is_time():
    lane = Lane()
    lane.add(1_500, constant(960))
    lane.add(20_000, constant(960))
    played = mixed([lane], 30)[:, 0]
    places = np.flatnonzero(played)
    assert (places[0], places[-1]) == (1_500, 20_959)
    assert len(places) == 1_920


def test_streams_are_added():
    one, other = Lane(), Lane()
    one.add(0, constant(2_048))
    other.add(1_024, constant(1_024, 0.5))
    played = mixed([one, other], 2)[:, 0]
    assert np.allclose(played[:1_024], 0.25)
    assert np.allclose(played[1_024:], 0.75)


def test_nobody_is_silence():
    assert not mixed([], 3).any()


def test_what_comes_too_late_is_left_out_and_the_rest_is_in_its_place():
    lane, mixer = Lane(), Mixer()
    mixer.mix([lane], BLOCK)
    lane.add(512, constant(1_024))
    played = mixer.mix([lane], BLOCK)[:, 0]
    assert np.allclose(played[:512], 0.25)
    assert not played[512:].any()


def test_rounding_is_not_followed_and_leaves_no_click():
    lane = Lane()
    for number in range(50):
        lane.add(number * 960 + number % 2, tone(960, number * 960))
    played = mixed([lane], 40)[:, 0]
    assert np.abs(np.diff(played)).max() < 0.02


def test_a_clock_that_is_fast_is_followed_without_a_click():
    lane = Lane()
    position, late = 0.0, []
    for number in range(500):
        lane.add(round(position), tone(960, number * 960))
        late.append(lane._end - round(position) - 960)
        position += 960 * 1.0005  # 500 ppm
    assert max(map(abs, late)) <= 40
    played = mixed([lane], 400)[:, 0]
    assert np.abs(np.diff(played)).max() < 0.02
    assert np.all(played[100:-1_000].reshape(-1, 100).any(axis=1)[:4_000])


def test_a_stream_that_goes_back_plays_once():
    lane = Lane()
    lane.add(10_000, constant(960))
    lane.add(10_960 - JOIN_SAMPLES - 100, constant(JOIN_SAMPLES + 1_060))
    played = mixed([lane], 20)[:, 0]
    assert played.max() < 0.26
    assert np.flatnonzero(played)[-1] == 11_919


def test_what_is_quiet_stays_as_it_is():
    quiet = tone(BLOCK + LOOKAHEAD, level=0.8)
    assert np.array_equal(Limiter().limit(quiet), quiet[:-LOOKAHEAD])


def test_many_loud_streams_stay_below_the_ceiling_without_clipping():
    lanes = [Lane() for _ in range(20)]
    for number, lane in enumerate(lanes):
        lane.add(4_800, tone(48_000, level=0.9, hz=300 + number))
    played = mixed(lanes, 60)[:, 0]
    assert np.abs(played).max() <= CEILING + 1e-6
    # Nothing is cut off: two samples in a row are at the ceiling only by chance.
    assert np.sum(np.abs(played) > CEILING - 1e-4) < 200


def test_the_gain_comes_back():
    lane = Lane()
    lane.add(0, tone(4_800, level=3.0))
    lane.add(4_800, tone(43_200, 4_800, level=0.5))
    played = mixed([lane], 46)[:, 0]
    assert np.abs(played[4_900:6_000]).max() < 0.45
    assert abs(np.abs(played[20_000:40_000]).max() - 0.5) < 0.01


levels = st.lists(st.floats(0, 50, width=32), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(levels, st.integers(0, 2**32 - 1))
def test_whatever_is_mixed_is_below_the_ceiling(levels, seed):
    noise = np.random.default_rng(seed)
    lane, mixer = Lane(), Mixer()
    for number, level in enumerate(levels):
        block = level * noise.uniform(-1, 1, (BLOCK, 2))
        lane.add(number * BLOCK, block.astype(np.float32))
    for _ in range(len(levels) + 1):
        assert np.abs(mixer.mix([lane], BLOCK)).max() <= CEILING * (1 + 1e-5)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-10_000, 30_000), st.integers(1, 2_000)), max_size=20),
    st.integers(0, 5_000),
)
def test_whatever_comes_a_stream_is_never_added_to_itself(pieces, start):
    lane = Lane()
    for at, count in pieces:
        lane.add(at, constant(count, 0.5))
    assert mixed([lane], 32, start).max() <= 0.5 + 1e-6
