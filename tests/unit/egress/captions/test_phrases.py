"""Where phrases begin and end: at speech and at pauses, whatever the room sounds like."""

import numpy as np

from sfu.egress.captions.phrases import BEFORE, LONG, LONGEST, PAUSE, SHORT_PAUSE, Phrases


def loud(level=3_000):
    return np.tile(np.array([level, -level], np.int16), 160)


def quiet(level=10):
    return loud(level)


def heard(phrases, blocks):
    """How many blocks belong to each phrase."""
    lengths, was_open = [], False
    for block in blocks:
        taken = phrases.hear(block)
        if taken and not was_open:
            lengths.append(0)
        if taken:
            lengths[-1] += len(taken)
        was_open = phrases.is_open
    return lengths


def test_silence_and_the_noise_of_a_room_are_no_phrase():
    assert heard(Phrases(), [quiet(0)] * 500) == []
    assert heard(Phrases(), [quiet(60)] * 500) == []


def test_a_click_is_no_phrase():
    assert heard(Phrases(), [quiet(), quiet(), loud(), loud(), quiet(), quiet()] * 40) == []


def test_a_phrase_has_what_was_before_it_and_the_pause_after_it():
    lengths = heard(Phrases(), [quiet()] * 100 + [loud()] * 50 + [quiet()] * 100)
    assert lengths == [BEFORE - 3 + 50 + PAUSE]


def test_a_short_pause_is_inside_a_phrase_until_it_is_long():
    words = ([loud()] * 20 + [quiet()] * (PAUSE - 2)) * 3
    assert len(heard(Phrases(), words + [quiet()] * 40)) == 1
    words = ([loud()] * 20 + [quiet()] * SHORT_PAUSE) * 40
    lengths = heard(Phrases(), [quiet()] * 20 + words)
    assert len(lengths) > 1
    assert all(LONG <= one <= LONG + 40 for one in lengths[:-1])


def test_who_never_pauses_is_cut():
    lengths = heard(Phrases(), [quiet()] * 20 + [loud(), loud(9_000)] * 10 + [loud()] * LONGEST * 2)
    assert max(lengths) <= LONGEST


def test_a_noise_that_begins_is_a_phrase_for_a_while_and_then_a_noise():
    phrases = Phrases()
    heard(phrases, [quiet()] * 100 + [loud(600)] * 2_000)
    assert heard(phrases, [loud(600)] * 500) == []
    assert len(heard(phrases, [loud(6_000)] * 30 + [loud(600)] * 60)) == 1


def test_a_phrase_that_was_ended_begins_anew():
    phrases = Phrases()
    assert len(heard(phrases, [loud()] * 10)) == 1
    phrases.end()
    assert phrases.hear(loud()) == []
    assert len(heard(phrases, [loud()] * 10)) == 1
