"""What a node asks of the engine for its sessions, on virtual time."""

from dataclasses import replace

from signaling.cluster.engine import Home, NodeRow
from signaling.cluster.homing import (
    Answer,
    ClaimHome,
    Homing,
    LookUp,
    Lost,
    ReadHomes,
    Reclaimed,
    Refuse,
    ReleaseHome,
)
from signaling.domain.error_codes import ErrorCode

ME, X = 1, 2
CLAIM = ClaimHome("s", "p", None, ME)


def home(incarnation: int = ME, epoch: int = 10) -> Home:
    return Home("s", "p", incarnation, epoch)


def homing() -> Homing:
    made = Homing(ME)
    made.handle_nodes([NodeRow("me", ME), NodeRow("x", X)])
    return made


def holding() -> Homing:
    made = homing()
    assert made.handle_wanted("s", "p", None, 0.0) == [LookUp("s")]
    assert made.handle_found("s", None, 0.0) == [CLAIM]
    assert made.handle_claimed(CLAIM, home(), 0.0) == [Answer(home())]
    return made


def test_a_session_is_looked_up_once_however_many_ask():
    made = homing()
    assert made.handle_wanted("s", "p", None, 0.0) == [LookUp("s")]
    assert made.handle_wanted("s", "p", None, 0.0) == []


def test_the_home_of_another_is_kept_until_its_node_is_gone_or_it_is_forgotten():
    made = homing()
    made.handle_wanted("s", "p", None, 0.0)
    assert made.handle_found("s", home(X), 0.0) == [Answer(home(X))]
    assert made.handle_wanted("s", "p", None, 0.0) == [Answer(home(X))]
    made.handle_gone(X)
    assert made.handle_wanted("s", "p", None, 0.0) == [LookUp("s")]


def test_the_home_of_the_dead_is_claimed_by_rank():
    made = homing()
    made.handle_gone(X)
    made.handle_wanted("s", "p", None, 0.0)
    assert made.handle_found("s", home(X), 0.0) == [CLAIM], "nobody is before this node"


def test_who_claims_in_vain_looks_again():
    made = homing()
    made.handle_wanted("s", "p", None, 0.0)
    made.handle_found("s", None, 0.0)
    assert made.handle_claimed(CLAIM, None, 0.0) == []
    assert made.poll(0.2) == []
    assert made.poll(0.25) == [LookUp("s")]


def test_a_home_in_use_is_kept_and_one_that_is_not_is_released_after_the_linger_time():
    made = holding()
    made.handle_occupied("s", 1.0, is_occupied=True)
    assert made.poll(100.0) == []
    made.handle_occupied("s", 100.0, is_occupied=False)
    assert made.poll(104.9) == []
    assert made.poll(105.0) == [ReleaseHome(home())]
    assert made.held("s") is None


def test_who_is_asked_while_it_releases_claims_anew():
    made = holding()
    made.poll(5.0)
    assert made.handle_wanted("s", "p", None, 5.1) == []
    assert made.handle_released("s") == [LookUp("s")]


def test_an_engine_that_is_away_refuses_who_asks_and_takes_nothing():
    made = holding()
    made.handle_wanted("t", "p", None, 0.0)
    refused = made.handle_failed(LookUp("t"), ErrorCode.STORAGE_UNAVAILABLE, 0.0)
    assert refused == [Refuse("t", ErrorCode.STORAGE_UNAVAILABLE)]
    assert made.handle_wanted("s", "p", None, 0.0) == [Answer(home())]


def test_a_higher_epoch_ends_a_home_and_a_lower_one_does_not():
    made = holding()
    assert made.handle_shown("s", 10) == []
    assert made.handle_shown("s", 11) == [Lost(home())]
    assert made.held("s") is None


def test_a_new_life_claims_what_it_holds_and_serves_it_meanwhile():
    made = holding()
    again = ClaimHome("s", "p", None, 7)
    assert made.handle_reborn(7) == [again]
    assert made.held("s") == home()
    assert made.handle_claimed(CLAIM, home(), 0.0) == [], "an answer to the earlier life"
    assert made.handle_claimed(again, home(7, 20), 0.0) == [Reclaimed(home(7, 20))]
    assert made.held("s") == home(7, 20)


def test_a_new_life_loses_what_another_took():
    made = holding()
    made.handle_reborn(7)
    assert made.handle_claimed(ClaimHome("s", "p", None, 7), None, 0.0) == [Lost(home())]
    assert made.held("s") is None


def test_an_audit_claims_what_the_table_has_not_and_releases_what_only_it_has():
    made = holding()
    other = Home("t", "p", ME, 11)
    assert made.handle_audit() == [ReadHomes()]
    assert made.handle_audit() == [], "one at a time"
    assert made.handle_homes([other]) == [CLAIM, ReleaseHome(other)]


def test_two_wrong_counts_in_a_row_are_audited():
    made = holding()
    right = made.held("s").epoch
    assert made.handle_count(2, right) == []
    assert made.handle_count(1, right) == []
    assert made.handle_count(2, right) == []
    assert made.handle_count(2, right) == [ReadHomes()]


def test_a_claim_that_was_given_up_and_arrived_is_the_epoch_from_then_on():
    """As of a database that stood still: the answer that counts is older than the table."""
    made = holding()
    held = made.held("s")
    late = replace(held, epoch=held.epoch + 5)
    assert made.handle_count(1, late.epoch) == []
    assert made.handle_count(1, late.epoch) == [ReadHomes()]
    assert made.handle_homes([late]) == [Reclaimed(late)]
    assert made.held("s") == late
    assert made.handle_count(1, late.epoch) == []
