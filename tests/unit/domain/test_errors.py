import re

import pytest

from sfu.media_plane import MediaError
from signaling.domain.errors import (
    ERRORS,
    DomainError,
    ErrorCode,
    NotFound,
    PeerProtocolError,
    Unauthorized,
    error,
    sdk_error,
)


def test_every_code_has_a_row_and_every_row_a_code():
    assert set(ERRORS) == set(ErrorCode)


def test_every_code_of_the_media_plane_has_a_row():
    documented = re.search(r"Codes: (.*?)\.", MediaError.__doc__, re.DOTALL).group(1)
    codes = {code.strip() for code in documented.replace("\n", " ").split(",")}
    assert len(codes) >= 12
    assert codes <= {code.value for code in ErrorCode}


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_row_can_be_shown_by_rest_the_websocket_and_the_sdks(code):
    row = ERRORS[code]
    assert 400 <= row.http_status <= 599
    assert row.http_status != 401, "SDKs take a 401 for success"
    assert row.close_code in (1009, 1011, 1012) or 4400 <= row.close_code <= 4599
    assert row.sdk.name.startswith("OT_")
    assert row.sdk.number >= 1000
    assert code.message


@pytest.mark.parametrize("code", list(ErrorCode))
def test_a_code_makes_the_exception_of_its_kind(code):
    failure = error(code)
    assert type(failure) is ERRORS[code].kind
    assert isinstance(failure, DomainError)
    assert failure.message == code.message


def test_a_missing_credential_is_403_because_sdks_take_401_for_success():
    kinds = {row.http_status for row in ERRORS.values() if row.kind is Unauthorized}
    assert kinds == {403}


def test_unknown_things_are_404():
    assert {row.http_status for row in ERRORS.values() if row.kind is NotFound} == {404}


def test_a_broken_protocol_is_the_callers_fault():
    rows = [row for row in ERRORS.values() if row.kind is PeerProtocolError]
    assert rows
    assert all(row.http_status < 500 for row in rows)


def test_the_sdks_name_a_missing_codec_after_what_was_tried():
    assert sdk_error(ErrorCode.CODEC_UNSUPPORTED).name == "OT_UNABLE_TO_SUBSCRIBE"
    assert sdk_error(ErrorCode.CODEC_UNSUPPORTED, "publish").name == "OT_STREAM_CREATE_FAILED"


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA, 15900),
        (ErrorCode.CAPTIONS_NEED_CLEAR_MEDIA, 15900),
        (ErrorCode.E2EE_NEEDS_ROUTED, 15901),
        (ErrorCode.E2EE_NEVER_ARCHIVED, 15902),
        (ErrorCode.E2EE_UNREADABLE, 15903),
        (ErrorCode.FEATURE_NEEDS_ROUTED, 15008),
        (ErrorCode.PROJECT_MISMATCH, -1),
        (ErrorCode.SIGNAL_DATA_MISSING, 15202),
    ],
)
def test_rest_numbers_are_those_the_sdks_and_docs_know(code, number):
    assert ERRORS[code].rest_code == number


def test_refusals_of_encrypted_sessions_say_that_it_is_about_encryption():
    for code, row in ERRORS.items():
        if 15900 <= row.rest_code <= 15904:
            assert "end-to-end encrypt" in code.message.lower()


def test_a_number_of_our_own_names_one_error() -> None:
    """Programs tell refusals apart by it: 15952 was an address that is refused, and a full disk."""
    ours = [row.rest_code for row in ERRORS.values() if row.rest_code > 15904]
    assert sorted(ours) == sorted(set(ours))
