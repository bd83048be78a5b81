"""Voices in, captions out: whose they are, how many at a time, and what is left out under load."""

import itertools

import numpy as np

from sfu.egress.captions.captioner import (
    LOST_US,
    MAX_VOICES,
    MAX_WAITING,
    PARTIAL_US,
    Captioner,
    Spoken,
)
from tests.unit.egress.captions.sounds import RATE_HZ, Stopwatch, silence, tone

STEP_US = 20_000
ADA, BOB, CEM = 1, 2, 3


class Session:
    """A captioner in virtual time: it hears what it is given at the pace of the speakers."""

    def __init__(self, engines=2, partials=False, voices=(ADA, BOB, CEM), blocks=10):
        self.engines = [Stopwatch() for _ in range(engines)]
        self.captioner = Captioner(self.engines, partials=partials)
        self.now_us, self.blocks = 5_000_000, blocks
        self.said: list[tuple[int, Spoken]] = []
        for voice in voices:
            self.captioner.add_voice(voice)

    def play(self, ms, **sounds):
        """`sounds`: by voice; one that is shorter is followed by nothing at all."""
        voices = {"ada": ADA, "bob": BOB, "cem": CEM}
        for at in range(0, ms, 20):
            begin = at * RATE_HZ // 1_000
            for name, samples in sounds.items():
                packet = samples[begin : begin + 960]
                self.captioner.hear(voices[name], self.now_us, self.now_us + 30_000, packet)
            self.now_us += STEP_US
            self.step()

    def step(self):
        spoken = self.captioner.step(self.now_us + 30_000, self.blocks)
        self.said += [(self.now_us, one) for one in spoken]

    def finals(self):
        return [(one.track, int(one.text)) for _, one in self.said if one.is_final]


def phrase(ms):
    return np.concatenate((silence(300), tone(ms), silence(700)))


def test_what_is_said_comes_soon_after_the_pause_and_once():
    session = Session()
    session.play(2_000, ada=phrase(1_000))
    ((at_us, spoken),) = session.said
    assert (spoken.track, spoken.is_final) == (ADA, True)
    assert abs(int(spoken.text) - 1_000) <= 60
    assert at_us - 5_000_000 < 1_300_000 + 500_000


def test_voices_are_not_mixed_up():
    session = Session()
    session.play(3_000, ada=phrase(1_000), bob=phrase(500))
    assert sorted((track, round(ms, -2)) for track, ms in session.finals()) == [
        (ADA, 1_000),
        (BOB, 500),
    ]


def test_silence_reaches_no_recognizer():
    session = Session()
    session.play(5_000, ada=silence(5_000))
    assert session.said == []
    assert not any(one.is_open for one in session.engines)
    assert not session.captioner.is_busy


def test_who_finds_no_free_recognizer_waits_for_it():
    session = Session(engines=1)
    session.play(2_000, ada=phrase(1_000), bob=phrase(1_000), cem=phrase(1_000))
    session.play(1_000)
    assert sorted(track for track, _ in session.finals()) == [ADA, BOB, CEM]
    assert all(abs(ms - 1_000) <= 60 for _, ms in session.finals())


def test_what_waits_too_long_is_dropped_from_its_beginning():
    session = Session(engines=1, blocks=1)
    session.captioner.step(session.now_us, 1)
    for number in range(MAX_WAITING * 2):
        at = session.now_us + number * STEP_US
        session.captioner.hear(ADA, at, at, tone(20, loud=0.3 if number % 2 else 0.2))
    assert session.captioner.counts["blocks_dropped"] > MAX_WAITING // 2
    assert len(session.captioner._voices[ADA].waiting) <= MAX_WAITING + 1


def test_partial_captions_come_only_where_they_are_wanted_and_not_too_often():
    wanted, unwanted = Session(partials=True), Session()
    for session in (wanted, unwanted):
        session.play(5_000, ada=phrase(4_000))
    assert all(one.is_final for _, one in unwanted.said)
    partials = [at for at, one in wanted.said if not one.is_final]
    assert 8 <= len(partials) <= 14
    assert all(b - a >= PARTIAL_US for a, b in itertools.pairwise(partials))
    texts = [one.text for _, one in wanted.said]
    assert texts == sorted(texts, key=int)
    assert [one.is_final for _, one in wanted.said][-1]


def test_behind_a_queue_nothing_is_said_that_is_not_final():
    session = Session(engines=1, partials=True, blocks=1)
    for number in range(200):
        at = session.now_us + number * STEP_US
        session.captioner.hear(ADA, at, at, tone(20))
    for _ in range(100):
        session.step()
    assert session.said == []
    for _ in range(200):
        session.step()
    assert session.said


def test_a_voice_that_stops_without_a_pause_has_finished_its_phrase():
    session = Session()
    session.play(1_000, ada=tone(1_000))
    session.play(LOST_US // 1_000 + 100)
    assert len(session.finals()) == 1


def test_a_stream_that_goes_says_no_more_and_leaves_its_recognizer():
    session = Session(engines=1)
    session.play(1_000, ada=tone(1_000))
    session.captioner.remove_voice(ADA)
    assert not session.captioner.has_voice(ADA)
    session.play(2_000, bob=phrase(1_000))
    assert [track for track, _ in session.finals()] == [BOB]


def test_a_gap_of_the_network_is_time_and_late_packets_are_not_heard():
    session = Session()
    session.play(400, ada=tone(400))
    session.now_us += 200_000
    session.play(400, ada=tone(400))
    session.captioner.hear(ADA, session.now_us - 300_000, session.now_us, tone(20))
    session.play(1_000, ada=silence(1_000))
    assert [round(ms, -2) for _, ms in session.finals()] == [800]
    assert session.captioner.counts["late_packets"] == 1


def test_more_voices_than_a_session_may_have_are_counted():
    session = Session(voices=range(MAX_VOICES + 3))
    assert session.captioner.counts["streams_left_out"] == 3
    assert not session.captioner.has_voice(MAX_VOICES + 1)


def test_a_text_is_never_in_a_trace():
    assert "secret" not in repr(Spoken(ADA, "secret", is_final=True))
