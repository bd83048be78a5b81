"""The parts of an Audio Connector's process: rates, voices, playing, numbers; in virtual time."""

import numpy as np
import pytest

from sfu.egress.audio.pace import SLOT_US, Pace, sequence_number, timestamp
from sfu.egress.audio.playout import MAX_MARKS, MAX_S, Playout
from sfu.egress.audio.resample import BLOCK, RATE_HZ, Decimator, Interpolator
from sfu.egress.audio.voices import MAX_DELAY, MIN_DELAY, Mix, Voice, position

RATES = (8_000, 16_000, 24_000)
START_US = 1_000_000_000


def tone(hz, samples, rate=RATE_HZ, level=0.5, start=0):
    at = (np.arange(samples) + start) / rate
    return (level * np.sin(2 * np.pi * hz * at)).astype(np.float32)


def power_at(hz, samples, rate):
    """The amplitude of a tone in samples."""
    at = np.arange(len(samples)) / rate
    return 2 * abs(np.mean(samples * np.exp(-2j * np.pi * hz * at)))


def converted(converter, samples, block):
    parts = [converter.convert(samples[at : at + block]) for at in range(0, len(samples), block)]
    return np.concatenate(parts)


@pytest.mark.parametrize("rate", RATES)
def test_a_lower_rate_keeps_speech_and_loses_what_it_cannot_hold(rate):
    narrow = converted(Decimator(rate), tone(1_000, RATE_HZ), BLOCK)
    assert len(narrow) == rate
    assert power_at(1_000, narrow[rate // 10 :], rate) == pytest.approx(0.5, rel=0.01)
    above = converted(Decimator(rate), tone(rate * 0.7, RATE_HZ), BLOCK)
    assert np.max(np.abs(above[rate // 10 :])) < 0.001


@pytest.mark.parametrize("rate", RATES)
def test_a_higher_rate_adds_no_images(rate):
    wide = converted(Interpolator(rate), tone(1_000, rate, rate), rate // 50)
    assert len(wide) == RATE_HZ
    settled = wide[RATE_HZ // 10 :]
    assert power_at(1_000, settled, RATE_HZ) == pytest.approx(0.5, rel=0.01)
    assert power_at(rate - 1_000, settled, RATE_HZ) < 0.001


class Ear:
    """Takes a voice in its time."""

    def __init__(self, voice):
        self.voice = voice
        self.slot = START_US // SLOT_US

    def hear(self, until_us):
        heard = []
        while (self.slot + 1) * SLOT_US <= until_us:
            block = self.voice.take(position(self.slot * SLOT_US))
            heard.append(np.zeros(BLOCK, np.float32) if block is None else block)
            self.slot += 1
        return heard


def played(lateness_us, seconds=4, drift_ppm=0):
    """What is heard of a tone whose frames arrive this much later than they were sent."""
    voice = Voice()
    ear, heard = Ear(voice), []
    arrivals = []
    for number in range(seconds * 50):
        pts_us = START_US + int(number * SLOT_US * (1 + drift_ppm / 1e6))
        arrivals.append((pts_us + SLOT_US + lateness_us(number), pts_us, number))
    for now_us, pts_us, number in sorted(arrivals):
        heard += ear.hear(now_us)
        voice.add(pts_us, now_us, tone(440, BLOCK, start=number * BLOCK))
    return voice, np.concatenate(heard + ear.hear(START_US + seconds * 1_000_000 + 200_000))


def gaps(samples):
    """Pieces of more than a millisecond of silence within what is heard."""
    loud = np.flatnonzero(np.abs(samples) > 0.001)
    return int(np.sum(np.diff(loud) > 48))


def test_a_steady_voice_is_heard_whole_and_soon():
    voice, heard = played(lambda number: 0)
    assert voice.delay == MIN_DELAY
    assert gaps(heard) == 0
    first = int(np.flatnonzero(heard)[0])
    assert first <= MIN_DELAY + BLOCK
    assert np.count_nonzero(np.abs(heard) > 0.001) > 4 * RATE_HZ * 0.98


def test_a_voice_of_a_jittery_network_waits_longer_and_is_whole_then():
    voice, heard = played(lambda number: 90_000 * (number * 7 % 5 == 0))
    assert MIN_DELAY < voice.delay < MAX_DELAY
    assert gaps(heard[RATE_HZ:]) == 0


def test_a_voice_waits_no_longer_than_a_conversation_stands():
    voice, _ = played(lambda number: 2_000_000 if number == 50 else 0)
    assert voice.delay <= MAX_DELAY
    assert voice.late_frames == 1


@pytest.mark.parametrize("ppm", [300, -300])
def test_a_clock_that_is_off_makes_no_gap(ppm):
    _, heard = played(lambda number: 0, seconds=20, drift_ppm=ppm)
    assert gaps(heard) == 0
    steps = np.abs(np.diff(heard[RATE_HZ : 19 * RATE_HZ]))
    assert np.max(steps) < 0.1


def test_in_a_pause_a_voice_catches_up():
    voice = Voice()
    ear = Ear(voice)
    voice.add(START_US, START_US + 250_000, tone(440, BLOCK))
    behind = voice.delay
    for number in range(1, 700):
        at_us = START_US + number * SLOT_US
        voice.add(at_us, at_us + SLOT_US, np.zeros(BLOCK, np.float32))
        ear.hear(at_us + SLOT_US)
    assert behind > 2 * MIN_DELAY
    assert voice.delay == MIN_DELAY


def test_frames_from_another_time_are_left_out():
    voice = Voice()
    voice.add(START_US, START_US, tone(440, BLOCK))
    voice.take(position(START_US))
    voice.add(START_US + 3_600_000_000, START_US, tone(440, BLOCK))
    assert voice.late_frames == 1


def test_the_mix_of_many_loud_voices_is_not_cut_off():
    mix = Mix()
    blocks = [tone(300 + 50 * number, BLOCK, level=0.7) for number in range(5)]
    mixed = [mix.of(blocks) for _ in range(50)]
    assert max(np.max(np.abs(one)) for one in mixed) <= 0.9
    quiet = [mix.of([tone(300, BLOCK, level=0.1)]) for _ in range(100)]
    assert np.max(np.abs(quiet[-1])) == pytest.approx(0.1, rel=0.02)
    mix.of([])
    assert not np.any(mix.of([]))


def frames_of(playout, count):
    return [playout.take() for _ in range(count)]


def test_audio_of_any_length_is_played_in_frames():
    playout = Playout(16_000)
    sent = bytes(range(256)) * 8
    for at in range(0, len(sent), 700):
        playout.add(sent[at : at + 700])
    frames = frames_of(playout, 5)
    assert b"".join(frame for frame in frames if frame)[: len(sent)] == sent
    assert [frame and len(frame) for frame in frames] == [640, 640, 640, 640, None]


def test_a_little_audio_waits_for_more_and_not_for_ever():
    playout = Playout(8_000)
    playout.add(b"x" * 320)
    assert frames_of(playout, 4) == [None, None, b"x" * 320, None]


def test_what_is_sent_too_fast_is_dropped_and_counted():
    playout = Playout(24_000)
    minute = MAX_S * 48_000
    playout.add(b"x" * minute)
    playout.add(b"y" * 1_000)
    assert playout.dropped_bytes == 1_000
    assert len(playout.take()) == 960


def test_a_notification_comes_when_what_was_before_it_is_played():
    playout = Playout(16_000)
    playout.mark("at once")
    assert playout.reached() == ["at once"]
    playout.add(b"x" * 1_280)
    playout.mark("first")
    playout.add(b"x" * 640)
    playout.mark("second")
    told = []
    for _ in range(4):
        playout.take()
        told.append(playout.reached())
    assert told == [[], ["first"], ["second"], []]


def test_what_is_cleared_is_neither_played_nor_notified():
    playout = Playout(16_000)
    playout.add(b"x" * 6_400)
    playout.mark("never")
    playout.take()
    assert playout.clear()
    assert not playout.clear()
    assert frames_of(playout, 2) == [None, None]
    assert playout.reached() == []
    playout.add(b"y" * 1_280)
    assert playout.take() == b"y" * 640


def test_notifications_that_wait_are_bounded():
    playout = Playout(16_000)
    playout.add(b"x" * 640)
    assert sum(playout.mark(number) for number in range(1_000)) == MAX_MARKS


def test_each_slot_comes_once_and_a_long_hold_up_is_left_out():
    pace = Pace(START_US)
    first = START_US // SLOT_US + 1
    assert pace.due_us == first * SLOT_US
    assert list(pace.slots(pace.due_us - 1)) == []
    assert list(pace.slots(pace.due_us)) == [first]
    assert list(pace.slots(pace.due_us + 2 * SLOT_US)) == [first + 1, first + 2, first + 3]
    late = list(pace.slots(pace.due_us + 1_000_000))
    assert len(late) == 25
    assert pace.skipped == 26
    assert list(pace.slots(late[-1] * SLOT_US)) == []


def test_numbers_follow_the_clock_over_their_ends():
    assert sequence_number(65_535) == 65_535
    assert sequence_number(65_536) == 0
    slot = 2**32 // 960
    assert (timestamp(slot + 1) - timestamp(slot)) % 2**32 == 960
