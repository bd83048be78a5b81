"""The vendors' documentation, row by row: which requests exist, what each may hold, what it is
answered with. What the SDKs send literally is accepted; what they would refuse is refused."""

import json

import pytest

from signaling.domain.features import Feature
from signaling.rest.routes import ROUTES

P = "/v2/project/{project}"
S = P + "/session/{session}"
C = S + "/connection/{connection}"
T = S + "/stream/{stream}"
# Success as the strictest SDK needs it.
DOCUMENTED = {
    ("POST", "/session/create"): 200,
    ("POST", S + "/signal"): 204,
    ("POST", C + "/signal"): 204,
    ("GET", S + "/stream"): 200,
    ("GET", T): 200,
    ("PUT", S + "/stream"): 200,
    ("GET", S + "/connection"): 200,
    ("DELETE", C): 204,
    ("POST", T + "/mute"): 200,
    ("POST", S + "/mute"): 200,
    ("POST", S + "/play-dtmf"): 200,
    ("POST", C + "/play-dtmf"): 200,
    ("POST", P + "/archive"): 200,
    ("POST", P + "/archive/{id}/stop"): 200,
    ("GET", P + "/archive/{id}"): 200,
    ("GET", P + "/archive"): 200,
    ("DELETE", P + "/archive/{id}"): 204,
    ("PATCH", P + "/archive/{id}/streams"): 204,
    ("PUT", P + "/archive/{id}/layout"): 200,
    ("POST", P + "/broadcast"): 200,
    ("POST", P + "/broadcast/{id}/stop"): 200,
    ("GET", P + "/broadcast/{id}"): 200,
    ("GET", P + "/broadcast"): 200,
    ("PATCH", P + "/broadcast/{id}/streams"): 204,
    ("PUT", P + "/broadcast/{id}/layout"): 200,
    ("POST", P + "/dial"): 200,
    ("POST", P + "/render"): 202,
    ("GET", P + "/render/{id}"): 200,
    ("GET", P + "/render"): 200,
    ("DELETE", P + "/render/{id}"): 200,
    ("POST", P + "/connect"): 200,
    ("POST", P + "/connect/{id}/stop"): 200,
    ("POST", P + "/captions"): 202,
    ("POST", P + "/captions/{id}/stop"): 202,
    ("GET", P + "/captions/{id}"): 200,
    ("POST", P + "/callback"): 200,
    ("GET", P + "/callback"): 200,
    ("DELETE", P + "/callback/{id}"): 204,
}


def test_every_documented_request_exists_with_the_success_its_strictest_sdk_needs():
    ours = {(route.method, route.template): route.success for route in ROUTES}
    assert {row: ours.get(row) for row in DOCUMENTED} == DOCUMENTED


# --- starts -------------------------------------------------------------------------------

ARCHIVE, BROADCAST, SIP = Feature.ARCHIVE, Feature.BROADCAST, Feature.SIP
RENDER, AUDIO, CAPTIONS = Feature.RENDER, Feature.AUDIO_CONNECTOR, Feature.CAPTIONS
PATHS = {
    ARCHIVE: "/archive",
    BROADCAST: "/broadcast",
    SIP: "/dial",
    RENDER: "/render",
    AUDIO: "/connect",
    CAPTIONS: "/captions",
}
HLS = {"outputs": {"hls": {}}}
PAGE = {"token": "t", "url": "https://example.com/page"}
CALL = {"token": "t", "sip": {"uri": "sip:user@example.com"}}
SOCKET = {"uri": "wss://example.com/audio"}
RTMP = {"id": "a", "serverUrl": "rtmp://example.com/live", "streamName": "s"}


def layout(**members: object) -> dict[str, object]:
    return {"layout": members}


ACCEPTED = [
    # As PyPI opentok spells out what was left unset.
    (ARCHIVE, {"name": None, "resolution": None, "multiArchiveTag": None, "maxBitrate": None}),
    (ARCHIVE, {"hasAudio": True, "hasVideo": False, "outputMode": "individual"}),
    (ARCHIVE, {"streamMode": "manual", "resolution": "1080x1920", "maxBitrate": 6_000_000}),
    (ARCHIVE, {"quantizationParameter": 15, **layout(type="bestFit", screenshareType="pip")}),
    (ARCHIVE, layout(type="custom", stylesheet="stream.instructor {}")),
    (ARCHIVE, {"hasTranscription": True, "transcriptionProperties": {"hasSummary": True}}),
    (ARCHIVE, {"memberOfTheFuture": {"deep": [1]}}),
    (BROADCAST, HLS),
    (BROADCAST, {"outputs": {"rtmp": [RTMP] * 5}, "maxDuration": 36_000}),
    (BROADCAST, {"outputs": {"hls": {"lowLatency": True, "dvr": False}}, "streamMode": "auto"}),
    (SIP, CALL),
    (SIP, {"token": "t", "sip": {**CALL["sip"], "from": "a@b", "headers": {"X-a": "b"}}}),
    (SIP, {"token": "t", "sip": {**CALL["sip"], "auth": {"username": "u", "password": "p"}}}),
    (SIP, {"token": "t", "sip": {**CALL["sip"], "secure": True, "observeForceMute": False}}),
    # The defaults of both legacy SDKs, and one that writes what is unset.
    (RENDER, {**PAGE, "maxDuration": 7_200, "resolution": "1280x720", "properties": None}),
    (RENDER, {**PAGE, "maxDuration": 1_800, "properties": {"name": "n"}}),
    (AUDIO, {"token": "t", "websocket": SOCKET}),
    (AUDIO, {"token": "t", "websocket": {**SOCKET, "streams": ["a"], "headers": {"a": "b"}}}),
    (AUDIO, {"token": "t", "websocket": {**SOCKET, "audioRate": 8_000, "bidirectional": True}}),
    # Three SDKs, three shapes.
    (AUDIO, {"token": "t", "websocket": {**SOCKET, "audioTransport": '{"transport": "json"}'}}),
    (AUDIO, {"token": "t", "websocket": {**SOCKET, "audioTransport": {"transport": "json"}}}),
    (AUDIO, {"token": "t", "websocket": {**SOCKET, "audioTransport": {"audio_field": "a"}}}),
    (CAPTIONS, {"token": "t", "statusCallbackUrl": None, "maxDuration": 14_400}),
    (CAPTIONS, {"token": "t", "partialCaptions": True, "languageCode": "en-US"}),
    (CAPTIONS, {"token": "t", "partialCaptions": "false"}),
]
REFUSED = [
    (ARCHIVE, {"hasAudio": False, "hasVideo": False}, "both be false"),
    (ARCHIVE, {"outputMode": "individual", "resolution": "640x480"}, "need composed"),
    (ARCHIVE, {"outputMode": "individual", **layout(type="pip")}, "need composed"),
    (ARCHIVE, {"outputMode": "individual", "quantizationParameter": 20}, "need composed"),
    (ARCHIVE, {"maxBitrate": 100_000, "quantizationParameter": 20}, "exclude each other"),
    (ARCHIVE, {"maxBitrate": 99_999}, "'maxBitrate'"),
    (ARCHIVE, {"quantizationParameter": 41}, "'quantizationParameter'"),
    (ARCHIVE, {"outputMode": "other"}, "'outputMode'"),
    (ARCHIVE, {"streamMode": "other"}, "'streamMode'"),
    (ARCHIVE, {"resolution": "800x600"}, "'resolution'"),
    (ARCHIVE, {"name": 5}, "'name'"),
    (ARCHIVE, layout(type="custom"), "'stylesheet'"),
    (ARCHIVE, layout(type="pip", stylesheet="s"), "'stylesheet'"),
    (ARCHIVE, layout(type="pip", screenshareType="pip"), "'screenshareType'"),
    (ARCHIVE, layout(type="bestFit", screenshareType="custom"), "'layout.screenshareType'"),
    (BROADCAST, {}, "`outputs`"),
    (BROADCAST, {"outputs": {}}, "'hls' or 'rtmp'"),
    (BROADCAST, {"outputs": {"rtmp": [RTMP] * 6}}, "'outputs.rtmp'"),
    (BROADCAST, {"outputs": {"hls": {"dvr": True, "lowLatency": True}}}, "exclude each other"),
    (BROADCAST, {**HLS, "maxDuration": 59}, "'maxDuration'"),
    (BROADCAST, {**HLS, "maxDuration": 36_001}, "'maxDuration'"),
    (SIP, {"sip": CALL["sip"]}, "`token`"),
    (SIP, {"token": "t"}, "`sip`"),
    (SIP, {"token": "t", "sip": {}}, "`uri`"),
    (SIP, {"token": "t", "sip": {"uri": ""}}, "'sip.uri'"),
    (RENDER, {"token": "t"}, "`url`"),
    (RENDER, {**PAGE, "url": "https://a.b"}, "'url'"),
    (RENDER, {**PAGE, "url": "https://example.com/" + "p" * 2_048}, "'url'"),
    (RENDER, {**PAGE, "maxDuration": 36_001}, "'maxDuration'"),
    (RENDER, {**PAGE, "properties": {"name": ""}}, "'properties.name'"),
    (AUDIO, {"token": "t", "websocket": {}}, "`uri`"),
    (AUDIO, {"token": "t", "websocket": {**SOCKET, "audioRate": 44_100}}, "'websocket.audioRate'"),
    (CAPTIONS, {}, "`token`"),
    (CAPTIONS, {"token": "t", "maxDuration": 299}, "'maxDuration'"),
    (CAPTIONS, {"token": "t", "partialCaptions": "maybe"}, "'partialCaptions'"),
]


@pytest.mark.parametrize(("feature", "body"), ACCEPTED)
async def test_a_start_as_an_sdk_sends_it_is_understood(caller, feature, body):
    clear, encrypted = await caller.create(), await caller.create(e2ee="true")
    path = caller.path(PATHS[feature])
    status, answer = await caller.call("POST", path, json={"sessionId": clear, **body})
    assert (status, answer["error"]) == (501, "feature_unavailable")
    status, answer = await caller.call("POST", path, json={"sessionId": encrypted, **body})
    assert (status in (400, 409), answer["code"]) == (True, 15900)


@pytest.mark.parametrize(("feature", "body", "words"), REFUSED)
async def test_a_start_that_cannot_be_is_refused_and_the_member_named(caller, feature, body, words):
    encrypted = await caller.create(e2ee="true")
    path = caller.path(PATHS[feature])
    status, answer = await caller.call("POST", path, json={"sessionId": encrypted, **body})
    assert (status, answer["error"]) == (400, "invalid_parameter")
    assert words in answer["message"]


async def test_no_message_repeats_what_the_caller_sent(caller):
    session = await caller.create()
    path = caller.path("/archive")
    for body in ({"outputMode": "evil"}, {"layout": {"type": "evil"}}, {"resolution": "evil"}):
        await caller.call("POST", path, json={"sessionId": session, **body})
        assert b"evil" not in caller.raw
    path = caller.path("/connect")
    socket = {"uri": "u", "headers": {"evil": 5}}
    await caller.call("POST", path, json={"sessionId": session, "token": "t", "websocket": socket})
    assert b"evil" not in caller.raw


# --- bodies that say nothing --------------------------------------------------------------

EMPTY = [
    {},
    {"data": b""},
    {"data": b"{}"},
    {"data": b"", "extra": {"Content-Type": "application/json"}},
    {"data": b"{}", "extra": {"Content-Type": "application/x-www-form-urlencoded"}},
]


@pytest.mark.parametrize("sent", EMPTY)
@pytest.mark.parametrize(
    "path",
    [
        "/archive/x/stop",
        "/broadcast/x/stop",
        "/captions/x/stop",
        "/connect/x/stop",
        "/session/{session}/stream/str-1/mute",
    ],
)
async def test_a_request_without_parameters_needs_no_body_and_no_type(room, path, sent):
    session = room.room.rpartition("/")[2]
    status, _ = await room.call("POST", room.path(path.format(session=session)), **sent)
    assert status == (200 if "mute" in path else 404)


@pytest.mark.parametrize("sent", EMPTY)
async def test_muting_all_without_words_mutes_all(room, sent):
    status, _ = await room.call("POST", room.path(room.room + "/mute"), **sent)
    assert status == 200
    assert room.server.live.asked == [("force_mute_all", True, ())]


async def test_a_signal_labelled_anything_is_read_as_json(room):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json"):
        status, _ = await room.call(
            "POST",
            room.path(room.room + "/signal"),
            data=json.dumps({"data": "d", "type": None}).encode(),
            extra={"Content-Type": kind},
        )
        assert status == 204


# --- what is shown ------------------------------------------------------------------------


@pytest.mark.parametrize("e2ee", [True, False])
async def test_a_session_shows_its_encryption_in_both_dialects(caller, e2ee):
    session = await caller.create(e2ee=str(e2ee).lower())
    path = caller.path(f"/session/{session}")
    status, shown = await caller.call("GET", path)
    created = shown.pop("createdAt")
    assert (status, isinstance(created, int)) == (200, True)
    assert shown == {
        "sessionId": session,
        "projectId": caller.project.api_key,
        "mediaMode": "routed",
        "archiveMode": "manual",
        "e2ee": e2ee,
    }
    _, shown = await caller.call("GET", path, headers=caller.unified())
    assert shown["applicationId"] == caller.project.application_id
    assert "projectId" not in shown


async def test_an_unknown_session_is_not_shown(caller):
    status, body = await caller.call("GET", caller.path("/session/2_unknown"))
    assert (status, body["error"]) == (404, "session_not_found")


async def test_what_is_created_says_whether_it_is_encrypted(caller):
    for e2ee in ("true", "false"):
        _, (made,) = await caller.call("POST", "/session/create", data={"e2ee": e2ee})
        assert made["e2ee"] is (e2ee == "true")


@pytest.mark.parametrize(
    "query", ["?sessionId=x", "?session_id=x", "?offset=0&count=100", "?count=", "?other=1"]
)
async def test_lists_are_asked_for_as_each_sdk_asks(caller, query):
    status, _ = await caller.call("GET", caller.path("/archive") + query)
    assert status == (400 if query == "?count=" else 200)
