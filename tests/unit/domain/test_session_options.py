import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.domain.errors import BadRequest, ErrorCode
from signaling.domain.projects import (
    checked_public_key,
    is_api_key,
    is_application_id,
    new_project,
)
from signaling.domain.session_ids import new_session_id, project_of
from signaling.domain.session_options import SessionOptions, parse_session_options


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**45))
def test_a_session_id_has_the_shape_that_the_sdks_take_apart(random, now_ms):
    session_id = new_session_id("123456", "192.0.2.1", now_ms, random)
    assert session_id[:2] == "2_"
    assert len(session_id) <= 255
    assert not set("/+=%") & set(session_id)
    assert project_of(session_id) == "123456"


@given(st.text(max_size=300))
def test_any_text_names_a_project_or_is_no_session_id(text):
    try:
        assert project_of(text)
    except BadRequest as failure:
        code = failure.code
        assert code is ErrorCode.INVALID_SESSION_ID


@pytest.mark.parametrize(
    "text",
    ["", "2_", "1~2", "2_" + base64.urlsafe_b64encode(b"2~~a~b~c").decode(), "2_" + "A" * 300],
)
def test_what_names_no_project_is_no_session_id(text):
    with pytest.raises(BadRequest):
        project_of(text)


@given(
    st.dictionaries(
        st.sampled_from(["e2ee", "p2p.preference", "archiveMode", "archiveName", "location", "x"]),
        st.text(max_size=12) | st.booleans() | st.integers() | st.none() | st.just("true"),
    )
)
def test_any_fields_are_options_or_a_bad_request_and_encryption_is_never_lost(fields):
    try:
        options = parse_session_options(fields)
    except BadRequest:
        return
    assert isinstance(options, SessionOptions)
    asked = str(fields.get("e2ee", "")).lower() == "true"
    assert options.e2ee is asked


def test_new_projects_have_names_that_every_sdk_can_hold():
    for seed in range(64):
        project = new_project(random_bytes=bytes([seed * 4]) * 44, now_ms=0)
        assert is_api_key(project.api_key)
        assert int(project.api_key) < 2**31
        assert is_application_id(project.application_id)
        assert len(project.api_secret) == 40
        assert "." not in project.api_secret, "an SDK takes a dot for a file name"


@pytest.mark.parametrize("text", ["", "0", "01", "2147483648", "12a", "-1", "\uff11\uff12"])
def test_what_no_sdk_can_hold_is_no_api_key(text):
    assert not is_api_key(text)


@pytest.mark.parametrize(
    "pem", ["", "x", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PUBLIC KEY-----"]
)
def test_what_is_no_public_key_is_refused(pem):
    with pytest.raises(BadRequest):
        checked_public_key(pem)
