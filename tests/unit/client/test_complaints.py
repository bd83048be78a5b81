"""What a server does wrong is told, and a server that does it in a loop fills no log."""

import random

from sealroute_client.complaints import AGAIN_S, MAX_REPORTED, Complaints


def test_the_first_time_is_reported_at_once_and_later_ones_together_after_a_while() -> None:
    complaints = Complaints()
    assert complaints.take("a", 0.0) == 1
    assert [complaints.take("a", 0.1 * n) for n in range(1, 50)] == [0] * 49
    assert complaints.take("b", 1.0) == 1
    assert complaints.take("a", AGAIN_S) == 50
    assert complaints.take("a", 2 * AGAIN_S) == 1


def test_words_that_are_new_each_time_are_no_way_around_it() -> None:
    complaints, now_s, reported = Complaints(), 0.0, []
    chance = random.Random(1)
    for number in range(20_000):
        now_s += chance.uniform(0, 0.01)
        if complaints.take(f"words {number}", now_s):
            reported.append(now_s)
    for start_s in reported:
        assert sum(start_s <= at_s < start_s + AGAIN_S for at_s in reported) <= MAX_REPORTED
    assert len(complaints._reported_s) <= MAX_REPORTED
    assert len(complaints._unreported) <= MAX_REPORTED
