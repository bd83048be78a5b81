"""The states of trust (docs/e2ee.md section 11): what a server may say, and what may follow."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sealroute_client.e2ee.trust import SessionTrust, StreamTrust, StreamTrustState, Trust

ANYTHING = st.one_of(
    st.booleans(), st.none(), st.integers(0, 2), st.text(max_size=8), st.lists(st.booleans())
)
MODES = st.one_of(st.sampled_from(["routed", "relayed", "Routed", "", None, 1, True]), ANYTHING)


def test_nothing_may_be_sent_or_played_before_the_server_confirmed() -> None:
    for has_secret in (True, False):
        trust = Trust(has_secret=has_secret)
        assert trust.state is SessionTrust.REQUIRED
        assert [trust.may_use_media, trust.may_send_clear, trust.is_relayed] == [False] * 3


@pytest.mark.parametrize(
    ("has_secret", "e2ee", "mode", "state"),
    [
        (True, True, "routed", SessionTrust.KEYED),
        (False, True, "routed", SessionTrust.CONFIRMED),
        (False, False, "routed", SessionTrust.NONE),
        (False, False, "relayed", SessionTrust.NONE),
        (True, True, "relayed", SessionTrust.REFUSED),
        (False, True, "relayed", SessionTrust.REFUSED),
        (True, False, "routed", SessionTrust.REFUSED),
        (True, False, "relayed", SessionTrust.REFUSED),
        (True, 1, "routed", SessionTrust.REFUSED),
        (True, "true", "routed", SessionTrust.REFUSED),
        (True, None, "routed", SessionTrust.REFUSED),
        (True, True, None, SessionTrust.REFUSED),
        (True, True, "Routed", SessionTrust.REFUSED),
        (True, True, ["routed"], SessionTrust.REFUSED),
        (False, 0, "routed", SessionTrust.REFUSED),
        (False, None, "relayed", SessionTrust.REFUSED),
    ],
)
def test_what_the_server_says_leads_to_one_state(has_secret, e2ee, mode, state) -> None:
    trust = Trust(has_secret=has_secret)
    assert trust.on_welcome(e2ee, mode) is state
    assert bool(trust.reason) == (state is SessionTrust.REFUSED)


@given(st.lists(st.tuples(ANYTHING, MODES), max_size=6))
def test_with_a_secret_nothing_the_server_says_permits_clear_media(welcomes) -> None:
    trust = Trust(has_secret=True)
    for e2ee, mode in welcomes:
        trust.on_welcome(e2ee, mode)
        assert not trust.may_send_clear
        assert not trust.is_relayed
        assert trust.state in (SessionTrust.KEYED, SessionTrust.REFUSED)


@given(st.lists(st.tuples(ANYTHING, MODES), min_size=1, max_size=6), st.booleans())
def test_a_refusal_is_for_good_and_a_state_is_never_left_for_another(welcomes, has_secret) -> None:
    trust = Trust(has_secret=has_secret)
    states = [trust.on_welcome(e2ee, mode) for e2ee, mode in welcomes]
    for before, after in itertools.pairwise(states):
        assert after in (before, SessionTrust.REFUSED)


@pytest.mark.parametrize("later", [(False, "routed"), (True, "relayed"), (None, None)])
def test_a_resume_that_contradicts_the_first_welcome_is_refused(later) -> None:
    trust = Trust(has_secret=True)
    trust.on_welcome(True, "routed")
    assert trust.on_welcome(True, "routed") is SessionTrust.KEYED
    assert trust.on_welcome(*later) is SessionTrust.REFUSED
    assert trust.on_welcome(True, "routed") is SessionTrust.REFUSED


@pytest.mark.parametrize("later", [(False, "relayed"), (True, "routed")])
def test_so_is_one_of_a_clear_session(later) -> None:
    trust = Trust(has_secret=False)
    trust.on_welcome(False, "routed")
    assert trust.on_welcome(*later) is SessionTrust.REFUSED


def test_a_stream_is_encrypted_only_after_a_frame_of_it_was() -> None:
    stream = StreamTrustState(is_encrypted=True)
    assert stream.state is StreamTrust.PENDING
    assert stream.on_encrypted()
    assert not stream.on_encrypted()
    assert stream.state is StreamTrust.ENCRYPTED
    assert stream.on_failing()
    assert stream.state is StreamTrust.FAILING
    clear = StreamTrustState(is_encrypted=False)
    assert not clear.on_encrypted()
    assert clear.state is StreamTrust.NONE
