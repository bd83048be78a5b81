"""What an application may send as a signal: the limits of the browser SDK, and its numbers."""

import pytest
from sealroute_client import InvalidParameter, SignalTooLong
from sealroute_client.signal_rules import check_signal


@pytest.mark.parametrize(("kind", "data"), [("", ""), ("a-_~Z9", "x"), ("x" * 128, "é" * 4_096)])
def test_a_signal_within_the_limits_is_sent(kind, data) -> None:
    check_signal(kind, data)


@pytest.mark.parametrize(("kind", "data"), [("x" * 129, ""), ("", "x" * 8_193), ("", "é" * 4_097)])
def test_a_signal_that_is_too_long_is_refused_before_it_is_encrypted(kind, data) -> None:
    with pytest.raises(SignalTooLong) as caught:
        check_signal(kind, data)
    assert (caught.value.code, caught.value.number) == ("signal_too_long", 1413)


@pytest.mark.parametrize(
    ("kind", "data"), [("a b", ""), ("é", ""), ("a\n", ""), ("", "\ud800"), ("", b"x"), (7, "")]
)
def test_a_signal_that_is_no_text_or_has_another_type_is_refused(kind, data) -> None:
    with pytest.raises(InvalidParameter):
        check_signal(kind, data)
