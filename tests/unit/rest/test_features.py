"""Features that need clear media: refused, checked, listed."""

import pytest

from signaling.domain.features import Feature
from signaling.rest.live_sessions import LiveConnection

# --- features on encrypted sessions ----------------------------------------------------------

STARTS = {
    Feature.ARCHIVE: ("/archive", {}),
    Feature.BROADCAST: ("/broadcast", {"outputs": {"hls": {}}}),
    Feature.RENDER: ("/render", {"token": "t", "url": "https://example.com/page"}),
    Feature.SIP: ("/dial", {"token": "t", "sip": {"uri": "sip:a@example.com"}}),
    Feature.AUDIO_CONNECTOR: ("/connect", {"token": "t", "websocket": {"uri": "wss://a/b"}}),
    Feature.CAPTIONS: ("/captions", {"token": "t"}),
}
ENCRYPTED_MESSAGES = {
    Feature.ARCHIVE: "Archiving is not supported in end-to-end encrypted sessions.",
    Feature.BROADCAST: "Broadcasting is not supported in end-to-end encrypted sessions.",
    Feature.SIP: "SIP calls are not supported in end-to-end encrypted sessions.",
    Feature.CAPTIONS: "Live captions are not supported in end-to-end encrypted sessions.",
}


@pytest.mark.parametrize("feature", list(Feature))
async def test_a_feature_on_an_encrypted_session_is_refused_and_counted(caller, feature):
    session = await caller.create(e2ee="true")
    rest, body = STARTS[feature]
    for path in (rest, rest + "/"):
        status, answer = await caller.call(
            "POST", caller.path(path), json={"sessionId": session, **body}
        )
        assert status == (400 if feature is Feature.CAPTIONS else 409)
        assert answer["code"] == 15900
        assert "end-to-end encrypted" in answer["message"]
        assert answer["message"] == ENCRYPTED_MESSAGES.get(feature, answer["message"])
    metrics = caller.server.metrics.render().decode()
    line = f'sealroute_refusals_total{{feature="{feature.value}",reason="e2ee"}} 2.0'
    assert line in metrics


@pytest.mark.parametrize("feature", list(Feature))
async def test_the_refusal_does_not_depend_on_who_is_in_the_room_but_syntax_comes_first(
    caller, feature
):
    session = await caller.create(e2ee="true")
    rest, body = STARTS[feature]
    assert (await caller.call("POST", caller.path(rest), json=body))[0] == 400
    status, answer = await caller.call("POST", caller.path(rest), data=b"{")
    assert (status, answer["error"]) == (400, "body_invalid")
    status, answer = await caller.call(
        "POST", caller.path(rest), json={"sessionId": "2_unknown", **body}
    )
    assert (status, answer["error"]) == (404, "session_not_found")
    caller.server.live.connections_of[session] = [LiveConnection("c", 1)]
    _, answer = await caller.call("POST", caller.path(rest), json={"sessionId": session, **body})
    assert answer["code"] == 15900


@pytest.mark.parametrize("feature", list(Feature))
async def test_a_feature_on_a_relayed_session_is_refused_with_the_known_code(caller, feature):
    session = await caller.create(**{"p2p.preference": "enabled"})
    rest, body = STARTS[feature]
    status, answer = await caller.call(
        "POST", caller.path(rest), json={"sessionId": session, **body}
    )
    assert (status, answer["code"]) == (409, 15008)


@pytest.mark.parametrize("feature", list(Feature))
async def test_a_feature_that_this_server_lacks_is_501_on_a_clear_session(caller, feature):
    session = await caller.create()
    rest, body = STARTS[feature]
    status, answer = await caller.call(
        "POST", caller.path(rest), json={"sessionId": session, **body}
    )
    assert (status, answer["error"]) == (501, "feature_unavailable")


@pytest.mark.parametrize("rest", ["/archive", "/broadcast", "/broadcast/", "/render"])
async def test_lists_of_features_are_empty_pages(caller, rest):
    path = caller.path(rest)
    assert await caller.call("GET", path) == (200, {"count": 0, "items": []})
    assert (await caller.call("GET", path + "?offset=0&count=1000"))[0] == 200
    assert (await caller.call("GET", path + "?count=1001"))[0] == 400
    assert (await caller.call("GET", path + "?offset=-1"))[0] == 400


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", "/archive/x"),
        ("DELETE", "/archive/x"),
        ("POST", "/archive/x/stop"),
        ("POST", "/broadcast/x/stop"),
        ("GET", "/render/x"),
        ("DELETE", "/render/x"),
        ("POST", "/connect/x/stop"),
        ("GET", "/captions/x"),
        ("POST", "/captions/x/stop"),
        ("DELETE", "/callback/x"),
        ("GET", "/nothing"),
    ],
)
async def test_what_does_not_exist_is_a_json_404(caller, method, rest):
    status, body = await caller.call(method, caller.path(rest))
    assert status == 404
    assert body["message"]


@pytest.mark.parametrize("kind", ["archive", "broadcast"])
async def test_what_is_not_recorded_or_sent_cannot_be_changed(caller, kind):
    streams, layout = caller.path(f"/{kind}/x/streams"), caller.path(f"/{kind}/x/layout")
    # One SDK adds a member of its own.
    for body in ({"broadcastId": "x", "addStream": "s"}, {"removeStream": "s", "hasAudio": None}):
        assert (await caller.call("PATCH", streams, json=body))[0] == 404
    for body in ({}, {"addStream": "a", "removeStream": "b"}, {"addStream": 5}):
        assert (await caller.call("PATCH", streams, json=body))[0] == 400
    assert (await caller.call("PUT", layout, json={"type": "pip"}))[0] == 404
    for body in ({"type": "custom"}, {"type": "pip", "stylesheet": "s"}, {"type": "other"}):
        assert (await caller.call("PUT", layout, json=body))[0] == 400


async def test_a_callback_is_registered_listed_and_unregistered(caller):
    path = caller.path("/callback")
    assert await caller.call("GET", path) == (200, [])
    wanted = {"group": "stream", "event": "created", "url": "https://app.example/streams"}
    status, made = await caller.call("POST", path, json=wanted)
    assert (status, {**wanted, "id": made["id"], "createdAt": made["createdAt"]}) == (200, made)
    assert isinstance(made["createdAt"], int)
    assert await caller.call("POST", path, json=wanted) == (200, made)
    assert await caller.call("GET", path) == (200, [made])
    assert (await caller.call("DELETE", f"{path}/{made['id']}"))[0] == 204
    assert (await caller.call("DELETE", f"{path}/{made['id']}"))[0] == 404
    assert await caller.call("GET", path) == (200, [])


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"group": "stream"},
        {"group": "stream", "event": "status"},
        {"group": "moon", "event": "created"},
        {"url": "ftp://app.example/"},
        {"url": "https://user:word@app.example/"},
        {"url": "https://app.example:99999/"},
        {"url": "/relative"},
        {"url": "https://app.example/ä"},
        {"url": "https://app.example/" + "x" * 2_048},
        {"url": "http://127.0.0.1/"},
        {"url": "http://localhost:3000/"},
        {"url": "http://169.254.169.254/latest/meta-data"},
        {"url": "http://[::ffff:10.0.0.1]/"},
        {"url": 7},
    ],
)
async def test_a_callback_that_cannot_be_is_refused_with_a_message(caller, fields):
    usual = {"group": "stream", "event": "created", "url": "https://app.example/"}
    wanted = {**usual, **fields} if fields else {}
    if fields == {"group": "stream"}:
        wanted = fields
    status, body = await caller.call("POST", caller.path("/callback"), json=wanted)
    assert (status, body["error"]) == (400, "invalid_parameter")
    assert await caller.call("GET", caller.path("/callback")) == (200, [])


async def test_a_project_cannot_fill_the_table_of_callbacks(caller):
    path = caller.path("/callback")
    for number in range(65):
        wanted = {"group": "stream", "event": "created", "url": f"https://app.example/{number}"}
        status, _ = await caller.call("POST", path, json=wanted)
        assert status == (200 if number < 64 else 400)
