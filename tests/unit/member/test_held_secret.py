"""When the secret of a session is asked for again, and what comes of it."""

import math

import pytest

from member.held_secret import HeldSecret
from member.secret_source import NoSecretError, OneSecret, Renewal


class Source:
    """Says what the test wants, and counts how often."""

    def __init__(self, *said: str | None) -> None:
        self.renewal = Renewal(60.0, 5.0)
        self._said = list(said)
        self.asked = 0

    async def secret_of(self, session: str) -> str:
        assert session == "2_a"
        self.asked += 1
        secret = self._said[min(self.asked, len(self._said)) - 1]
        if secret is None:
            raise NoSecretError("none")
        return secret


async def test_a_secret_is_asked_for_as_a_rule_and_sooner_when_it_is_doubted() -> None:
    source = Source("one", "one", "two", "two", "three")
    held = HeldSecret(source, "2_a")
    assert await held.first(100.0) == "one"
    assert await held.changed(159.0) is None
    assert source.asked == 1
    assert await held.changed(160.0) is None
    held.doubt()
    assert await held.changed(164.9) is None
    assert source.asked == 2
    assert await held.changed(165.0) == "two"
    assert await held.changed(171.0) is None
    assert source.asked == 3
    held.doubt()
    assert await held.changed(172.0) is None
    assert await held.changed(300.0) == "three"


async def test_doubts_without_end_are_no_more_than_one_question_in_a_while() -> None:
    source = Source("one")
    held = HeldSecret(source, "2_a")
    await held.first(0.0)
    for tenth in range(1_000):
        held.doubt()
        await held.changed(tenth / 10)
    assert source.asked == 1 + 19


async def test_a_source_that_has_none_any_more_leaves_the_one_that_there_was() -> None:
    held = HeldSecret(Source("one", None, "two"), "2_a")
    await held.first(0.0)
    assert await held.changed(60.0) is None
    assert await held.changed(120.0) == "two"


async def test_without_one_at_the_beginning_there_is_an_error() -> None:
    with pytest.raises(NoSecretError):
        await HeldSecret(Source(None), "2_a").first(0.0)


async def test_one_that_is_given_for_good_is_not_asked_for_again() -> None:
    held = HeldSecret(OneSecret("one"), "2_a")
    assert await held.first(0.0) == "one"
    held.doubt()
    assert await held.changed(1e9) is None
    assert math.isinf(OneSecret("one").renewal.every_s)
