"""What WHIP requests say: read with care, whoever wrote them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.domain.errors import DomainError, ErrorCode
from signaling.protocol.messages import IceServer
from signaling.rest import whip_requests as requests

KID = "0102030405060708"


def code_of(call, *args) -> ErrorCode:
    with pytest.raises(DomainError) as caught:
        call(*args)
    return caught.value.code


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic abc", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("", None),
    ],
)
def test_the_bearer_is_the_token(header: str, token: str | None) -> None:
    assert requests.bearer_of({"Authorization": header}) == token


def test_key_ids_are_read_by_mid() -> None:
    kids = requests.kids_of({requests.KIDS_HEADER: f"0={KID}, 1={KID.upper()},0=ffffffffffffffff"})
    assert kids == {"0": (bytes.fromhex(KID), b"\xff" * 8), "1": (bytes.fromhex(KID),)}
    assert requests.kids_of({}) == {}


@pytest.mark.parametrize("text", ["0", "0=", "=" + KID, "0=01", f"{'m' * 17}={KID}", f"0={KID}zz"])
def test_what_is_no_key_id_is_refused(text: str) -> None:
    assert code_of(requests.kids_of, {requests.KIDS_HEADER: text}) is ErrorCode.INVALID_PARAMETER


def test_an_ice_server_becomes_a_link_for_each_url() -> None:
    turn = IceServer(urls=("turn:a", "turns:a"), username="1:c", credential="s=")
    assert requests.ice_links((IceServer(urls=("stun:a",)), turn)) == [
        '<stun:a>; rel="ice-server"',
        '<turn:a>; rel="ice-server"; username="1:c"; credential="s="; credential-type="password"',
        '<turns:a>; rel="ice-server"; username="1:c"; credential="s="; credential-type="password"',
    ]


def test_the_ice_session_of_a_fragment_is_read() -> None:
    text = "a=ice-ufrag:abcd\r\na=ice-pwd:efgh\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    assert requests.ice_of(text) == ("abcd", "efgh")
    assert requests.ice_of("a=candidate:1\n") is None
    assert code_of(requests.ice_of, "nonsense") is ErrorCode.SDP_INVALID
    assert code_of(requests.ice_of, "a=" + "x" * 20_000) is ErrorCode.SDP_TOO_LARGE


@given(st.text(max_size=400))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (
        requests.ice_of,
        lambda given: requests.kids_of({requests.KIDS_HEADER: given}),
        lambda given: requests.formats_of({requests.E2EE_HEADER: given}),
        lambda given: requests.bearer_of({"Authorization": given}),
        lambda given: requests.offered(given, "whip"),
    ):
        with contextlib.suppress(DomainError):
            read(text)
