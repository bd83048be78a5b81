"""Whom one calls, as whom, and what is told of it."""

import pytest

from sfu.egress.sip_jobs import CallEnd
from signaling.domain.errors import DomainError, ErrorCode
from signaling.domain.sip_calling import (
    CallInfo,
    caller_of,
    check_digits,
    check_headers,
    check_login,
    end_details,
    target_of,
)


def code_of(call, *arguments) -> ErrorCode:
    with pytest.raises(DomainError) as failure:
        call(*arguments)
    return failure.value.code


@pytest.mark.parametrize(
    "uri", ["sip:a@b.example", "sips:a@b.example:5061", "sip:+1555@192.0.2.1;transport=tls"]
)
def test_addresses(uri):
    assert str(target_of(uri)) == uri


@pytest.mark.parametrize(
    "uri", ["a@b", "tel:+1555", "sip:a@b;transport=sctp", "sip:a@b\r\nX: y", "sip:" + "a" * 2_000]
)
def test_what_is_no_address(uri):
    assert code_of(target_of, uri) is ErrorCode.INVALID_PARAMETER


@pytest.mark.parametrize(
    ("wanted", "caller"),
    [
        (None, "sip:+00000000@b.example"),
        ("", "sip:+00000000@b.example"),
        ("14155550101@example.com", "sip:14155550101@example.com"),
        ("sip:ann@example.com", "sip:ann@example.com"),
        ("ann", "sip:ann@b.example"),
    ],
)
def test_who_calls(wanted, caller):
    assert caller_of(wanted, target_of("sip:x@b.example:5080")) == caller


def test_who_calls_over_ipv6():
    assert caller_of("ann", target_of("sip:x@[2001:db8::1]")) == "sip:ann@[2001:db8::1]"


@pytest.mark.parametrize("wanted", ["a b", "a@b\r\nX: y", "a<b>@c", "a@"])
def test_who_cannot_call(wanted):
    assert code_of(caller_of, wanted, target_of("sip:x@b")) is ErrorCode.INVALID_PARAMETER


def test_headers_begin_with_x():
    check_headers({"X-Room": "7; ä", "x-other": ""})


@pytest.mark.parametrize(
    "headers",
    [
        {"Room": "7"},
        {"Via": "7"},
        {"X-": "7"},
        {"X-A: b\r\nVia": "7"},
        {"X-A": "7\r\nVia: x"},
        {"X-A": "7\n"},
        {"X-A": "\x7f"},
        {"X-A": "a" * 3_000},
    ],
)
def test_headers_that_are_refused(headers):
    assert code_of(check_headers, headers) is ErrorCode.INVALID_PARAMETER


@pytest.mark.parametrize(("name", "password"), [("a\nb", "c"), ("a", "\0"), ("a" * 300, "c")])
def test_logins_that_are_refused(name, password):
    check_login("ann", "")
    assert code_of(check_login, name, password) is ErrorCode.INVALID_PARAMETER


@pytest.mark.parametrize("digits", ["", "5 5", "a", "P", "5" * 257, "\u0665"])
def test_digits_that_are_refused(digits):
    check_digits("0123456789*#p")
    assert code_of(check_digits, digits) is ErrorCode.DIGITS_INVALID


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [
        (CallEnd("refused", 486, "Busy Here"), 486, "Busy Here"),
        (CallEnd("closed"), 700, "normal"),
        (CallEnd("lost", 503, "x"), 703, "unexpected"),
        (CallEnd("silent"), 704, "media timeout"),
        (CallEnd("too_long"), 705, "maximum duration exceeded"),
    ],
)
def test_how_an_end_is_told(end, code, message):
    told = end_details(CallInfo("id", "connection", 5), end)
    assert told == {
        "call": {"id": "id", "connectionId": "connection", "createdAt": 5},
        "reason_code": code,
        "reason_message": message,
    }
