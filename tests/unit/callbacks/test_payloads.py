"""What applications are told, and how they know that it is us."""

import hashlib

import jwt
import pytest
import vonage_jwt
from hypothesis import given
from hypothesis import strategies as st

from signaling.domain.archiving import ArchiveRecord, StreamMode, archive_details
from signaling.domain.broadcasting import BroadcastRecord, broadcast_details
from signaling.domain.callbacks import (
    BACKOFF_MAX_MS,
    EVENT_NAMES,
    Callback,
    authorization,
    backoff_ms,
    callback_event,
    checked_registration,
    checked_url,
    origin_of,
    payload,
    sample,
    signature_secret,
)
from signaling.domain.captioning import CaptionsRecord, captions_details
from signaling.domain.effects import Notify
from signaling.domain.errors import BadRequest
from signaling.domain.projects import new_project
from signaling.domain.session_options import SessionOptions, SessionRecord
from signaling.protocol.messages import ConnectionInfo, StreamInfo

PROJECT = new_project(random_bytes=bytes(range(44)), now_ms=0)
ARCHIVE = ArchiveRecord(
    "a", PROJECT.api_key, "2_s", "n", StreamMode.AUTO, True, True, "", created_ms=5, updated_ms=5
)
RECORD = SessionRecord("2_s", PROJECT.api_key, SessionOptions(e2ee=True), 1)
ANN = ConnectionInfo(connection_id="ann", creation_time=5, data="Ann")
CAMERA = StreamInfo(
    stream_id="cam", connection_id="ann", creation_time=6, name="me", video_type="camera"
)


def reported(notice: Notify) -> dict[str, object]:
    return payload(callback_event(RECORD, notice, 77), PROJECT)


COMMON = {
    "sessionId": "2_s",
    "projectId": PROJECT.api_key,
    "applicationId": PROJECT.application_id,
    "timestamp": 77,
}
CONNECTION = {"id": "ann", "createdAt": 5, "data": "Ann"}


def test_a_session_event_names_the_session_and_says_that_it_is_encrypted():
    created = reported(Notify("sessionCreated", "2_s"))
    assert created == {**COMMON, "event": "sessionCreated", "e2ee": True}


def test_a_connection_event_describes_the_connection_and_why_it_ended():
    created = reported(Notify("connectionCreated", "ann", connection=ANN))
    assert created == {**COMMON, "event": "connectionCreated", "connection": CONNECTION}
    ended = reported(Notify("connectionDestroyed", "ann", "networkDisconnected", connection=ANN))
    assert ended == {
        **COMMON,
        "event": "connectionDestroyed",
        "reason": "networkDisconnected",
        "connection": CONNECTION,
    }


def test_a_stream_event_describes_the_stream_and_its_publisher():
    ended = reported(Notify("streamDestroyed", "cam", "forceUnpublished", ANN, CAMERA))
    assert ended == {
        **COMMON,
        "event": "streamDestroyed",
        "reason": "forceUnpublished",
        "stream": {
            "id": "cam",
            "connection": CONNECTION,
            "createdAt": 6,
            "name": "me",
            "videoType": "camera",
        },
    }


def test_a_stream_without_video_has_no_video_type():
    voice = StreamInfo(stream_id="mic", connection_id="ann", creation_time=6, has_audio=True)
    created = reported(Notify("streamCreated", "mic", None, ANN, voice))
    assert "videoType" not in created["stream"]


def real_broadcast():
    record = BroadcastRecord("b", "1", "s", StreamMode.AUTO, True, True, "", "640x480", 60, 5, 5)
    return reported(Notify("broadcast", "b", broadcast=broadcast_details(record, None)))


def real_captions():
    record = CaptionsRecord("c", "1", "s", "en-US", False, 300, 5, 5)
    return reported(Notify("captions", "c", captions=captions_details(record, 6)))


@pytest.mark.parametrize("event", EVENT_NAMES)
def test_a_sample_has_the_shape_of_the_real_one_and_says_that_it_is_none(event):
    made = sample(PROJECT, event, 9)
    if event == "archive":
        real = reported(Notify(event, "x", archive=archive_details(ARCHIVE, None)))
        assert set(made) == {*real, "test"}
        return
    if event == "broadcast":
        assert made["broadcastUrls"]["rtmp"][0]["status"] == "live"
        assert set(made) == {*real_broadcast(), "test"}
        return
    if event == "render":
        assert (made["status"], made["resolution"]) == ("started", "1280x720")
        assert {"id", "streamId", "url", "reason", "name", "test"} <= set(made)
        return
    if event == "captions":
        assert set(made) == {*real_captions(), "test"}
        return
    if event.startswith("call") or event == "muteForced":
        assert made["test"] is True
        assert set(made["call"]) == {"id", "connectionId", "createdAt"}
        return
    notice = Notify(event, "x", None, ANN, CAMERA if event.startswith("stream") else None)
    real = reported(notice if not event.startswith("session") else Notify(event, "x"))
    assert made["test"] is True
    assert set(real) - {"e2ee"} <= set(made)
    if "stream" in real:
        assert set(made["stream"]) == set(real["stream"])


def test_the_signature_is_one_that_the_official_sdk_verifies():
    body = b'{"event":"sessionCreated"}'
    scheme, token = authorization(PROJECT, body, 1_700_000_000, "one").split(" ")
    secret = signature_secret(PROJECT)
    assert scheme == "Bearer"
    assert vonage_jwt.verify_signature(token, secret) is True
    assert vonage_jwt.verify_signature(token, "0" * 64) is False
    claims = jwt.decode(token, secret, algorithms=["HS256"])
    assert claims["payload_hash"] == hashlib.sha256(body).hexdigest()
    assert claims["jti"] == "one"
    assert (claims["api_key"], claims["application_id"]) == (
        PROJECT.api_key,
        PROJECT.application_id,
    )


def test_the_signature_does_not_give_the_api_secret_away():
    other = new_project(random_bytes=bytes(44), now_ms=0)
    assert signature_secret(PROJECT) != signature_secret(other)
    assert PROJECT.api_secret not in signature_secret(PROJECT)


@pytest.mark.parametrize(
    ("group", "event", "wanted"),
    [
        ("stream", "created", {"streamCreated"}),
        ("session", "destroyed", {"sessionDestroyed"}),
        ("connection", "all", {"connectionCreated", "connectionDestroyed"}),
        ("all", "all", set(EVENT_NAMES)),
        ("archive", "status", {"archive"}),
        ("broadcast", "status", {"broadcast"}),
        ("render", "status", {"render"}),
        ("sip", "destroyed", {"callDestroyed"}),
    ],
)
def test_a_registration_wants_its_own_events_alone(group, event, wanted):
    made = Callback("c", "p", *checked_registration(group, event), "http://a.test/", 0)
    assert {name for name in EVENT_NAMES if made.wants(name)} == wanted


@pytest.mark.parametrize(("group", "event"), [("all", "created"), ("x", "all"), ("stream", "x")])
def test_a_registration_for_what_there_is_not_is_refused(group, event):
    with pytest.raises(BadRequest):
        checked_registration(group, event)


def test_urls_of_one_receiver_have_one_origin():
    assert (
        origin_of("https://a.test/x") == origin_of("https://a.test:443/y?z") == "https://a.test:443"
    )
    assert origin_of("http://a.test/") != origin_of("https://a.test/")


def test_a_url_that_is_good_comes_back_as_it_is():
    assert checked_url("https://a.test:8443/x?y=1") == "https://a.test:8443/x?y=1"


def test_waits_double_up_to_five_minutes_and_are_spread():
    assert [backoff_ms(n, 0.5) for n in (1, 2, 3, 4)] == [1_000, 2_000, 4_000, 8_000]
    assert backoff_ms(1_000_000, 0.5) == BACKOFF_MAX_MS
    assert backoff_ms(1, 0.0) == 800
    assert backoff_ms(1, 0.999) < 1_200


@given(st.text(max_size=80), st.sampled_from(["http://", "https://", "", "http://[", "http://a@"]))
def test_any_text_is_a_url_that_can_be_called_or_refused(text, begin):
    try:
        url = checked_url(begin + text)
    except BadRequest:
        return
    scheme, _, rest = origin_of(url).partition("://")
    assert scheme in ("http", "https")
    assert rest.rpartition(":")[2].isdigit()
