"""The REST API over a real store, as requests see it."""

import asyncio
import base64
import contextlib
import io
import os
import time

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from config.settings import HttpSettings
from signaling.domain.errors import BadRequest, DomainError, ErrorCode
from signaling.domain.features import REFUSALS, Feature
from signaling.domain.projects import new_project
from signaling.domain.roles import Role
from signaling.domain.tokens import TokenClaims, new_client_token
from signaling.http.static_files import content_security_policy
from signaling.rest.api import find_route, is_rest_path
from signaling.rest.bodies import form_or_json_fields, json_fields
from signaling.rest.requests import Start
from signaling.rest.routes import ROUTES
from tests.rest_caller import Caller
from tests.rest_server import open_rest_server

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
        # Tests are collected long before they run.
        {"iat": int(time.time()) + 86_400, "exp": int(time.time()) + 86_500},
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


async def test_no_answer_reports_what_the_server_is_made_of(caller):
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


# --- what is for operators alone ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "public", "operators"),
    [
        ("/metrics", 404, 200),
        ("/admin/v1/projects", 404, 403),
        ("/healthz", 200, 200),
        ("/readyz", 200, 200),
        ("/openapi.json", 200, 404),
        ("/v2/project/1/archive", 403, 404),
        ("/v1/signal", 426, 404),
    ],
)
async def test_metrics_and_administration_have_a_listener_of_their_own(
    tmp_path, path, public, operators
):
    server = await open_rest_server(tmp_path)
    for app, status in ((server.app, public), (server.operations, operators)):
        async with TestClient(TestServer(app)) as client, client.get(path) as answer:
            assert answer.status == status
    await server.store.close()


async def test_every_answer_has_the_headers_that_browsers_keep_to(tmp_path):
    (tmp_path / "index.html").write_text("<title>page</title>")
    server = await open_rest_server(tmp_path)
    async with TestClient(TestServer(server.app)) as client:
        for path in ("/", "/nothing", "/healthz", "/v2/project/1/archive", "/openapi.json"):
            async with client.get(path) as answer:
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                # TLS is not ours here.
                assert "Strict-Transport-Security" not in answer.headers
        async with client.get("/") as answer:
            assert "geolocation=()" in answer.headers["Permissions-Policy"]
            # No feature by this name: browsers report it as unknown.
            assert "bluetooth" not in answer.headers["Permissions-Policy"]
            host = f"{client.host}:{client.port}"
            policy = answer.headers["Content-Security-Policy"].split("; ")
            assert f"connect-src 'self' ws://{host} wss://{host}" in policy
    await server.store.close()


@pytest.mark.parametrize("host", ["a b", "a;script-src *", "", "x" * 300, "a'", "[::1", "a:b"])
def test_a_host_that_is_none_does_not_reach_the_policy(host):
    assert "connect-src 'self';" in content_security_policy(host)
    assert content_security_policy("[::1]:8080").count("[::1]:8080") == 2
