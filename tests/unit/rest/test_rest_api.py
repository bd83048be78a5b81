"""The REST API over a real store, as requests see it."""

import asyncio
import base64
import contextlib
import importlib.util
import io
import json
import os
import sys
import time
from pathlib import Path

import jwt
import pytest
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from config.settings import HttpSettings
from signaling.domain.errors import BadRequest, DomainError, ErrorCode
from signaling.domain.features import REFUSALS, Feature
from signaling.domain.projects import new_project
from signaling.domain.roles import Role
from signaling.domain.tokens import TokenClaims, new_client_token
from signaling.rest.api import find_route, is_rest_path
from signaling.rest.bodies import form_or_json_fields, json_fields
from signaling.rest.live_sessions import LiveConnection, LiveStream
from signaling.rest.requests import Start
from signaling.rest.routes import ROUTES


def _load_rest_server():
    path = Path(__file__).parents[2] / "rest_server.py"
    spec = importlib.util.spec_from_file_location("rest_server_for_tests", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


open_rest_server = _load_rest_server().open_rest_server

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_PEM = (
    KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


class Caller:
    """Calls a server as one project, in either dialect."""

    def __init__(self, server, client):
        self.server, self.client = server, client
        self.project = server.project

    def legacy(self, **changes):
        now_s = int(time.time())
        claims = {
            "iss": self.project.api_key,
            "ist": "project",
            "iat": now_s,
            "exp": now_s + 180,
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        # Not `jwt.encode`: it would refuse some of the claims that attackers send.
        body = json.dumps(claims).encode()
        token = jwt.api_jws.encode(body, self.project.api_secret, algorithm="HS256")
        return {"X-OPENTOK-AUTH": token, "Accept": "application/json"}

    def unified(self, **changes):
        now_s = int(time.time())
        claims = {
            "application_id": self.project.application_id,
            "iat": now_s,
            "exp": now_s + 900,
            **changes,
        }
        return {"Authorization": "Bearer " + jwt.encode(claims, KEY, algorithm="RS256")}

    async def call(self, method, path, *, headers=None, **kwargs):
        """Status, JSON body (None when empty)."""
        headers = {**(headers or self.legacy()), **kwargs.pop("extra", {})}
        async with self.client.request(method, path, headers=headers, **kwargs) as answer:
            body = await answer.read()
            self.content_type = answer.headers.get("Content-Type")
            self.raw = body
            if body and "json" in (self.content_type or ""):
                return answer.status, json.loads(body)
            return answer.status, None

    async def create(self, **fields):
        status, body = await self.call("POST", "/session/create", data=fields)
        assert status == 200, body
        return body[0]["session_id"]

    def path(self, rest):
        return f"/v2/project/{self.project.api_key}{rest}"


@pytest.fixture
async def caller(tmp_path):
    server = await open_rest_server(tmp_path, public_key_pem=PUBLIC_PEM)
    async with TestClient(TestServer(server.app)) as client:
        yield Caller(server, client)
    await server.store.close()


# --- the table ----------------------------------------------------------------------------

START_PATHS = {
    "/v2/project/{project}/archive": Feature.ARCHIVE,
    "/v2/project/{project}/broadcast": Feature.BROADCAST,
    "/v2/project/{project}/render": Feature.RENDER,
    "/v2/project/{project}/dial": Feature.SIP,
    "/v2/project/{project}/connect": Feature.AUDIO_CONNECTOR,
    "/v2/project/{project}/captions": Feature.CAPTIONS,
}


def test_every_route_that_starts_a_feature_has_its_gate_and_no_other_has_one():
    gated = {
        route.template: route.needs_clear_media
        for route in ROUTES
        if route.needs_clear_media is not None
    }
    assert gated == START_PATHS
    for route in ROUTES:
        if route.template in START_PATHS and route.method == "POST":
            assert route.needs_clear_media is START_PATHS[route.template]


def test_every_feature_has_a_gate_a_refusal_and_a_syntax():
    assert set(START_PATHS.values()) == set(Feature) == set(REFUSALS)
    for route in ROUTES:
        assert (route.needs_clear_media is None) or issubclass(route.body, Start)


def test_no_route_is_listed_twice():
    assert len({(route.method, route.template) for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_every_route_is_found_also_with_slashes_doubled_or_trailing_and_below_e2ee(route):
    path = (
        route.template.format(project="1", session="2_x", connection="c", stream="s", id="i")
        if "{" in route.template
        else route.template
    )
    for spelling in (path, path + "/", path.replace("/", "//"), "/e2ee" + path):
        match = find_route(route.method, spelling)
        assert match.route is route
        assert match.e2ee_default is spelling.startswith("/e2ee")
        assert is_rest_path(spelling)


@given(st.text(max_size=80), st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "X"]))
def test_any_path_is_found_or_refused(path, method):
    try:
        code = find_route(method, path) and None
    except DomainError as failure:
        code = failure.code
    assert code in (None, ErrorCode.NOT_FOUND, ErrorCode.METHOD_NOT_ALLOWED)


def test_an_escaped_slash_does_not_split_a_segment():
    match = find_route("GET", "/v2/project/1/archive/a%2Fstop")
    assert match.path["id"] == "a/stop"


@given(st.binary(max_size=300))
def test_any_body_is_fields_or_a_bad_request(body):
    for read in (json_fields, form_or_json_fields):
        with contextlib.suppress(BadRequest):
            assert isinstance(read(body), dict)


@pytest.mark.parametrize(
    "body", [b"[1]", b"7", b'{"a":NaN}', b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", b"{" * 9000]
)
def test_json_that_is_no_object_or_too_deep_is_refused(body):
    with pytest.raises(BadRequest):
        json_fields(body)


# --- credentials --------------------------------------------------------------------------


async def test_a_request_without_credentials_is_403_with_a_body(caller):
    status, body = await caller.call("POST", "/session/create", headers={"Accept": "*/*"})
    assert status == 403
    assert body["message"]


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"exp": None},
        {"iat": None},
        {"exp": int(time.time()) + 86_400},
        {"iat": int(time.time()) + 600, "exp": int(time.time()) + 700},
        {"ist": "account"},
        {"scope": "session.connect"},
        {"session_id": "2_x"},
        {"iss": "999"},
        {"iss": 5},
    ],
)
async def test_a_legacy_credential_with_a_bad_claim_is_403(caller, changes):
    status, body = await caller.call("POST", "/session/create", headers=caller.legacy(**changes))
    assert (status, body["code"]) == (403, 403)


async def test_a_credential_may_live_for_the_documented_five_minutes(caller):
    headers = caller.legacy(exp=int(time.time()) + 300)
    assert (await caller.call("POST", "/session/create", headers=headers))[0] == 200


async def test_a_client_token_is_not_a_rest_credential(caller):
    session = await caller.create()
    claims = TokenClaims(session, Role.MODERATOR, time.time() + 100)
    token = new_client_token(caller.project, claims, int(time.time()), 1)
    headers = {"X-OPENTOK-AUTH": token}
    assert (await caller.call("POST", "/session/create", headers=headers))[0] == 403


async def test_the_two_credentials_are_not_interchangeable(caller):
    legacy, unified = caller.legacy()["X-OPENTOK-AUTH"], caller.unified()["Authorization"]
    swapped = ({"Authorization": f"Bearer {legacy}"}, {"X-OPENTOK-AUTH": unified[7:]})
    for headers in swapped:
        assert (await caller.call("POST", "/session/create", headers=headers))[0] == 403


async def test_an_unsigned_credential_is_403(caller):
    parts = caller.legacy()["X-OPENTOK-AUTH"].split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for token in (f"{head}.{parts[1]}.", f"{parts[0]}.{parts[1]}.", "x", "..", ""):
        headers = {"X-OPENTOK-AUTH": token}
        assert (await caller.call("POST", "/session/create", headers=headers))[0] == 403


async def test_the_path_must_name_the_project_of_the_credential(caller):
    status, body = await caller.call("GET", "/v2/project/12345/archive")
    assert (status, body["code"]) == (403, -1)
    assert body["message"] == "Id in the token does not match the one in the url"


async def test_a_session_of_another_project_does_not_exist(caller):
    other = new_project(random_bytes=os.urandom(44), now_ms=0)
    await caller.server.store.add_project(other)
    session = await caller.create()
    stranger = Caller(caller.server, caller.client)
    stranger.project = other
    for method, rest in (("GET", "stream"), ("GET", "connection"), ("POST", "mute")):
        status, body = await stranger.call(
            method, stranger.path(f"/session/{session}/{rest}"), headers=stranger.legacy()
        )
        assert (status, body["error"]) == (404, "session_not_found")


async def test_a_project_made_beside_the_server_works_at_once(caller):
    other = new_project(random_bytes=os.urandom(44), now_ms=0)
    stranger = Caller(caller.server, caller.client)
    stranger.project = other
    assert (await stranger.call("POST", "/session/create"))[0] == 403
    await caller.server.store.add_project(other)
    assert (await stranger.call("POST", "/session/create"))[0] == 200


# --- session create -----------------------------------------------------------------------


async def test_a_created_session_is_answered_in_the_one_shape_all_sdks_read(caller):
    status, body = await caller.call("POST", "/session/create")
    assert status == 200
    assert caller.content_type == "application/json"
    assert len(body) == 1
    encoded = body[0]["session_id"][2:]
    fields = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode().split("~")
    assert fields[1] == caller.project.api_key
    record = await caller.server.store.session(body[0]["session_id"])
    assert (record.options.media_mode, record.options.e2ee) == ("routed", False)


@pytest.mark.parametrize("spelling", ["true", "True", "TRUE"])
@pytest.mark.parametrize("label", ["application/x-www-form-urlencoded", "application/json"])
async def test_encryption_is_read_in_every_spelling_and_under_every_content_type(
    caller, spelling, label
):
    status, body = await caller.call(
        "POST",
        "/session/create",
        data=f"media_mode=routed&e2ee={spelling}&p2p.preference=disabled".encode(),
        extra={"Content-Type": label},
    )
    assert status == 200
    assert (await caller.server.store.session(body[0]["session_id"])).options.e2ee is True


async def test_a_json_body_creates_a_session_too(caller):
    status, body = await caller.call("POST", "/session/create", json={"e2ee": True})
    assert status == 200
    assert (await caller.server.store.session(body[0]["session_id"])).options.e2ee is True


async def test_below_the_e2ee_base_path_sessions_are_sealed_unless_told_otherwise(caller):
    for data, sealed in (({}, True), ({"e2ee": "false"}, False)):
        _, body = await caller.call("POST", "/e2ee/session/create", data=data)
        record = await caller.server.store.session(body[0]["session_id"])
        assert record.options.e2ee is sealed


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("e2ee=yes", 15903),
        ("e2ee=", 15903),
        ("e2ee=1", 15903),
        ("e2ee=true&e2ee=false", 400),
        ("e2ee=true&p2p.preference=enabled", 15901),
        ("e2ee=True&p2p.preference=relayed", 15901),
        ("e2ee=true&archiveMode=always&p2p.preference=disabled", 15902),
        ("archiveMode=always&p2p.preference=enabled", 400),
        ("archiveMode=never", 400),
        ("p2p.preference=maybe", 400),
        ("location=here", 400),
        ("location=::1", 400),
        ("archiveName=x", 400),
        ("archiveResolution=1x1&archiveMode=always", 400),
        ("archiveName=" + "x" * 81 + "&archiveMode=always", 400),
        ('{"e2ee": 1}', 15903),
        ('{"e2ee": "maybe"}', 15903),
        ("{", 400),
        ("&&&=", 400),
    ],
)
async def test_options_that_do_not_exist_are_400_and_make_no_session(caller, body, code):
    status, answer = await caller.call("POST", "/session/create", data=body.encode())
    assert (status, answer["code"]) == (400, code)


@pytest.mark.parametrize(
    "body",
    [
        "archiveMode=manual&location=null&p2p.preference=disabled",
        "archiveMode=manual&location=null&p2p.preference=routed",
        "archiveMode=always&media_mode=relayed&p2p.preference=disabled",
        "p2p.preference=enabled&archiveMode=manual&location=12.34.56.78&e2ee=false",
        "archiveMode=always&archiveName=n&archiveResolution=1280x720&p2p.preference=disabled",
        "",
    ],
)
async def test_what_the_sdks_send_is_accepted(caller, body):
    assert (await caller.call("POST", "/session/create", data=body.encode()))[0] == 200


async def test_a_project_without_the_add_on_gets_no_sealed_session(caller):
    plain = new_project(random_bytes=os.urandom(44), now_ms=0, e2ee_enabled=False)
    await caller.server.store.add_project(plain)
    caller.project = plain
    status, body = await caller.call("POST", "/session/create", data={"e2ee": "true"})
    assert (status, body["error"]) == (400, "e2ee_not_enabled")


async def test_a_unified_project_finds_its_application_id_in_the_session_id(caller):
    status, body = await caller.call("POST", "/session/create", headers=caller.unified())
    assert status == 200
    encoded = body[0]["session_id"][2:]
    text = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    assert text.split("~")[1] == caller.project.application_id == body[0]["application_id"]


async def test_sdks_that_do_not_ask_for_json_get_xml(caller):
    await caller.call("POST", "/session/create", extra={"Accept": "*/*"})
    assert caller.content_type == "text/xml"
    assert b"<sessions><Session><session_id>2_" in caller.raw
    assert f"<partner_id>{caller.project.api_key}</partner_id>".encode() in caller.raw


async def test_the_sdk_that_reads_error_messages_from_xml_gets_xml(caller):
    agent = {"User-Agent": "OpenTok-Python-SDK/3.15.0 python/3.11.7"}
    await caller.call("POST", "/session/create", data={"e2ee": "x"}, extra=agent)
    assert caller.content_type == "text/xml"
    assert b'<error code="15903"><badRequest message=' in caller.raw


# --- features on sealed sessions ----------------------------------------------------------

STARTS = {
    Feature.ARCHIVE: ("/archive", {}),
    Feature.BROADCAST: ("/broadcast", {"outputs": {"hls": {}}}),
    Feature.RENDER: ("/render", {"token": "t", "url": "https://example.com/page"}),
    Feature.SIP: ("/dial", {"token": "t", "sip": {"uri": "sip:a@example.com"}}),
    Feature.AUDIO_CONNECTOR: ("/connect", {"token": "t", "websocket": {"uri": "wss://a/b"}}),
    Feature.CAPTIONS: ("/captions", {"token": "t"}),
}
SEALED_MESSAGES = {
    Feature.ARCHIVE: "Archiving is not supported in end-to-end encrypted sessions.",
    Feature.BROADCAST: "Broadcasting is not supported in end-to-end encrypted sessions.",
    Feature.SIP: "SIP calls are not supported in end-to-end encrypted sessions.",
    Feature.CAPTIONS: "Live captions are not supported in end-to-end encrypted sessions.",
}


@pytest.mark.parametrize("feature", list(Feature))
async def test_a_feature_on_a_sealed_session_is_refused_and_counted(caller, feature):
    session = await caller.create(e2ee="true")
    rest, body = STARTS[feature]
    for path in (rest, rest + "/"):
        status, answer = await caller.call(
            "POST", caller.path(path), json={"sessionId": session, **body}
        )
        assert status == (400 if feature is Feature.CAPTIONS else 409)
        assert answer["code"] == 15900
        assert "end-to-end encrypted" in answer["message"]
        assert answer["message"] == SEALED_MESSAGES.get(feature, answer["message"])
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
async def test_what_is_not_recorded_or_sent_can_not_be_changed(caller, kind):
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
async def test_a_callback_that_can_not_be_is_refused_with_a_message(caller, fields):
    usual = {"group": "stream", "event": "created", "url": "https://app.example/"}
    wanted = {**usual, **fields} if fields else {}
    if fields == {"group": "stream"}:
        wanted = fields
    status, body = await caller.call("POST", caller.path("/callback"), json=wanted)
    assert (status, body["error"]) == (400, "invalid_parameter")
    assert await caller.call("GET", caller.path("/callback")) == (200, [])


async def test_a_project_can_not_fill_the_table_of_callbacks(caller):
    path = caller.path("/callback")
    for number in range(65):
        wanted = {"group": "stream", "event": "created", "url": f"https://app.example/{number}"}
        status, _ = await caller.call("POST", path, json=wanted)
        assert status == (200 if number < 64 else 400)


# --- what is going on in a session --------------------------------------------------------


@pytest.fixture(params=["true", "false"], ids=["sealed", "clear"])
async def room(caller, request):
    """A session with one member and one stream; live routes do not care whether it is sealed."""
    session = await caller.create(e2ee=request.param)
    caller.server.live.connections_of[session] = [LiveConnection("conn-1", 1234)]
    caller.server.live.streams_of[session] = [LiveStream("str-1", "screen", "Bob")]
    caller.room = f"/session/{session}"
    return caller


async def test_a_stream_is_explained_with_codes_sentences_and_figures(room):
    status, body = await room.call("GET", room.path(room.room + "/stream/str-1/explain"))
    assert status == 200
    assert (body["streamId"], body["measuredMs"]) == ("str-1", 1000)
    assert body["tracks"][0]["encodings"] == [
        {
            "rid": "f",
            "bitrate": 700_000,
            "live": True,
            "width": 640,
            "height": 360,
            "frameRate": 29.97,
        }
    ]
    (subscriber,) = body["subscribers"]
    assert subscriber["decryption"] == {"mismatch": False, "opened": 0, "failed": 0}
    (received,) = subscriber["received"]
    assert (received["flowing"], received["lossPercent"]) == (False, 12.5)
    assert received["reasons"] == [
        {
            "code": "withheld",
            "message": "The media core withholds the track from the subscriber.",
            "detail": "paused",
        }
    ]


async def test_an_unknown_stream_and_anothers_session_are_not_explained(room):
    path = room.path(room.room + "/stream/nobody/explain")
    assert (await room.call("GET", path))[0] == 404
    assert (await room.call("GET", room.path("/session/2_x/stream/str-1/explain")))[0] == 404


async def test_a_signal_reaches_all_or_one(room):
    status, _ = await room.call(
        "POST", room.path(room.room + "/signal"), json={"type": "chat", "data": "hi"}
    )
    assert (status, room.raw) == (204, b"")
    path = room.path(room.room + "/connection/conn-1/signal")
    assert (await room.call("POST", path, json={"type": None, "data": ""}))[0] == 204
    assert room.server.live.asked == [
        ("signal", None, "chat", "hi"),
        ("signal", "conn-1", None, ""),
    ]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"type": "chat"}, 400, 15202),
        ({"data": 5}, 400, 400),
        ({"data": "x" * 8_193}, 413, 413),
        ({"data": "ü" * 4_097}, 413, 413),
        ({"data": "", "type": "t" * 129}, 413, 413),
        ([], 400, 400),
    ],
)
async def test_a_signal_within_no_limits_is_refused(room, body, status, code):
    answer = await room.call("POST", room.path(room.room + "/signal"), json=body)
    assert (answer[0], answer[1]["code"]) == (status, code)


async def test_half_a_surrogate_pair_is_refused(room):
    path = room.path(room.room + "/signal")
    assert (await room.call("POST", path, data=b'{"data":"\\ud800"}'))[0] == 400


async def test_a_signal_to_nobody_is_404(room):
    path = room.path(room.room + "/connection/gone/signal")
    assert (await room.call("POST", path, json={"data": ""}))[0] == 404
    room.server.live.connections_of.clear()
    path = room.path(room.room + "/signal")
    assert (await room.call("POST", path, json={"data": ""}))[0] == 404


STREAM = {"id": "str-1", "videoType": "screen", "name": "Bob", "layoutClassList": []}


async def test_streams_are_listed_and_read(room):
    path = room.path(room.room + "/stream")
    assert await room.call("GET", path) == (200, {"count": 1, "items": [STREAM]})
    assert await room.call("GET", path + "/str-1") == (200, STREAM)
    assert (await room.call("GET", path + "/other"))[0] == 404


async def test_the_sdk_that_parses_twice_gets_a_stream_as_text(room):
    agent = {"User-Agent": "OpenTok-Node-SDK/2.23.2"}
    await room.call("GET", room.path(room.room + "/stream/str-1"), extra=agent)
    assert room.content_type == "text/plain; charset=utf-8"
    assert json.loads(room.raw) == STREAM


async def test_layout_classes_are_set_or_refused_as_a_whole(room):
    path = room.path(room.room + "/stream")
    items = [{"id": "str-1", "layoutClassList": ["focus"]}]
    changed = {**STREAM, "layoutClassList": ["focus"]}
    assert await room.call("PUT", path, json={"items": items}) == (
        200,
        {"count": 1, "items": [changed]},
    )
    for bad in ([{"id": 1}], ["x"], "x", [{"id": "str-1", "layoutClassList": "focus"}]):
        assert (await room.call("PUT", path, json={"items": bad}))[0] == 400
    status, _ = await room.call("PUT", path, json={"items": [{"id": "gone"}]})
    assert status == 404


async def test_connections_are_listed_in_the_dialect_of_the_project(room):
    path = room.path(room.room + "/connection")
    status, body = await room.call("GET", path)
    assert (status, body["count"], body["projectId"]) == (200, 1, room.project.api_key)
    assert body["items"] == [
        {"connectionId": "conn-1", "connectionState": "Connected", "createdAt": 1234}
    ]
    _, body = await room.call("GET", path, headers=room.unified())
    assert body["applicationId"] == room.project.application_id


async def test_a_client_is_disconnected_with_204_and_an_unknown_one_404(room):
    path = room.path(room.room + "/connection/")
    status, _ = await room.call("DELETE", path + "conn-1")
    assert (status, room.raw) == (204, b"")
    assert (await room.call("DELETE", path + "gone"))[0] == 404


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"active": True, "excludedStreams": ["A"]}, (True, ("A",))),
        ({"active": True, "excludedStreamIds": None}, (True, ())),
        ({"active": True, "excludedStreamIds": ["B"]}, (True, ("B",))),
        ({"active": False}, (False, ())),
    ],
)
async def test_all_are_muted_in_both_dialects(room, body, asked):
    status, answer = await room.call("POST", room.path(room.room + "/mute"), json=body)
    assert (status, answer["status"]) == (200, "ACTIVE")
    assert room.server.live.asked == [("force_mute_all", *asked)]


async def test_one_stream_is_muted_whatever_the_body(room):
    path = room.path(room.room + "/stream/str-1/mute")
    for body in (b"", b"{}", b"anything"):
        assert (await room.call("POST", path, data=body))[0] == 200
    assert (await room.call("POST", path.replace("str-1", "gone")))[0] == 404


async def test_tones_have_no_leg_to_go_to(room):
    path = room.path(room.room + "/play-dtmf")
    assert (await room.call("POST", path, json={"digits": "12p#*"}))[0] == 404
    assert (await room.call("POST", path, json={"digits": "x"}))[0] == 400
    assert (await room.call("POST", path, json={}))[0] == 400


# --- robustness ---------------------------------------------------------------------------


async def test_an_unknown_path_is_404_and_a_wrong_method_405_both_in_json(caller):
    for path in ("/nothing", "/session/none", "/v2", "/v2/project", "/v2/a%0Ab", "/%0D%0A"):
        status, body = await caller.call("GET", path)
        assert (status, body["error"]) == (404, "not_found")
    status, body = await caller.call("GET", "/session/create")
    assert (status, body["error"]) == (405, "method_not_allowed")


async def test_a_body_over_the_limit_is_413(caller):
    for body in (io.BytesIO(b"x" * 1_048_577), _chunks()):
        status, answer = await caller.call("POST", "/session/create", data=body)
        assert (status, answer["error"]) == (413, "body_too_large")


async def _chunks():
    for _ in range(20):
        yield b"x" * 65_536


async def test_a_compressed_body_is_refused_before_it_is_opened(caller):
    status, _ = await caller.call(
        "POST", "/session/create", data=b"\x1f\x8b", extra={"Content-Encoding": "gzip"}
    )
    assert status == 400


async def test_a_body_that_never_ends_is_given_up(tmp_path):
    server = await open_rest_server(tmp_path, HttpSettings(read_timeout_ms=100))
    async with TestClient(TestServer(server.app)) as client:
        caller = Caller(server, client)

        async def endless():
            yield b"e2ee="
            await asyncio.sleep(5)  # longer than the server waits for the rest

        status, body = await caller.call("POST", "/session/create", data=endless())
    assert (status, body["error"]) == (400, "body_invalid")
    await server.store.close()


async def test_no_answer_tells_what_the_server_is_made_of(caller):
    async with caller.client.get("/healthz") as answer:
        assert answer.headers["Server"] == "Sealroute"
        assert answer.status == 200


async def test_a_bug_is_a_json_500_without_details(caller, monkeypatch):
    async def broken(_record):
        raise RuntimeError("a detail")

    monkeypatch.setattr(caller.server.live, "streams", broken)
    session = await caller.create()
    status, body = await caller.call("GET", caller.path(f"/session/{session}/stream"))
    assert (status, body["error"]) == (500, "internal")
    assert b"a detail" not in caller.raw


async def test_requests_are_counted_by_template_and_never_by_path(caller):
    session = await caller.create()
    await caller.call("GET", caller.path(f"/session/{session}/stream"))
    await caller.call("GET", "/v2/other/path")
    text = caller.server.metrics.render().decode()
    assert 'route="/v2/project/{project}/session/{session}/stream",status="200"' in text
    assert 'method="any",route="unmatched",status="404"' in text
    assert session not in text


async def test_web_files_are_served_with_a_policy_and_nothing_outside(caller, tmp_path):
    (tmp_path / "index.html").write_text("<p>hello")
    (tmp_path / "sdk").mkdir()
    (tmp_path / "sdk" / "a.js").write_text("1")
    async with caller.client.get("/") as answer:
        assert await answer.text() == "<p>hello"
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    async with caller.client.get("/sdk/a.js") as answer:
        assert answer.headers["Content-Type"].startswith("text/javascript")
    for path in ("/sealroute.sqlite3", "/%2e%2e/x.js", "/sdk/..%2f..%2fa.js", "/.hidden.js"):
        async with caller.client.get(path) as answer:
            assert answer.status == 404
