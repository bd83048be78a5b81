"""Refusals are put on record: one audit line and one count each, in both dialects.

And what must be refused: forged and foreign credentials, and everything of another project.
"""

import base64
import hashlib
import hmac
import json
import os
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from signaling.domain.features import Feature
from signaling.domain.projects import new_project
from signaling.domain.roles import Role
from signaling.domain.tokens import TokenClaims, new_client_token
from signaling.rest.live_sessions import LiveConnection, LiveStream
from signaling.rest.routes import ROUTES
from tests.rest_caller import KEY, PUBLIC_PEM, Caller
from tests.unit.rest.test_features import STARTS

DIALECTS = ("legacy", "unified")


def lines_of(record, event):
    return [line for line in record() if line["event"] == event]


def failures_counted(caller):
    name = "sealroute_authentication_failures_total{"
    lines = caller.server.metrics.render().decode().splitlines()
    counted = [one for one in lines if one.startswith(name) and 'where="rest"' in one]
    return sum(float(one.rpartition(" ")[2]) for one in counted)


# --- features -----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("made", "reason"), [({"e2ee": "true"}, "e2ee"), ({"p2p.preference": "enabled"}, "relayed")]
)
@pytest.mark.parametrize("feature", list(Feature))
async def test_a_refused_feature_is_one_line_and_one_count(
    caller, record, feature, made, reason, dialect
):
    session = await caller.create(**made)
    rest, body = STARTS[feature]
    headers = caller.legacy() if dialect == "legacy" else caller.unified()
    named = caller.project.api_key if dialect == "legacy" else caller.project.application_id
    status, _ = await caller.call(
        "POST", f"/v2/project/{named}{rest}", headers=headers, json={"sessionId": session, **body}
    )
    assert status in (400, 409)
    (line,) = lines_of(record, "feature refused")
    assert (line["feature"], line["reason"]) == (feature.value, reason)
    assert (line["project"], line["dialect"]) == (caller.project.api_key, dialect)
    assert line["session"] in session
    assert session not in json.dumps(line)
    count = f'sealroute_refusals_total{{feature="{feature.value}",reason="{reason}"}} 1.0'
    assert count in caller.server.metrics.render().decode()


async def test_what_is_not_refused_leaves_no_line(caller, record):
    session = await caller.create()
    for rest, body in STARTS.values():
        await caller.call("POST", caller.path(rest), json={"sessionId": session, **body})
    assert not lines_of(record, "feature refused")
    assert not lines_of(record, "credentials refused")


# --- forged credentials -------------------------------------------------------------------


def encoded(value):
    text = json.dumps(value).encode() if isinstance(value, dict) else value
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def hmac_token(header, claims, key):
    """Signed by hand: the library will not misuse a public key."""
    signed = f"{encoded(header)}.{encoded(claims)}"
    return f"{signed}.{encoded(hmac.digest(key, signed.encode(), hashlib.sha256))}"


def claims_of(project, kind, **changes):
    now_s = int(time.time())
    own = (
        {"iss": project.api_key, "ist": "project"}
        if kind == "legacy"
        else {"application_id": project.application_id}
    )
    return {**own, "iat": now_s, "exp": now_s + 180, **changes}


def signed_properly(project, kind, **changes):
    claims = claims_of(project, kind, **changes)
    if kind == "legacy":
        return jwt.encode(claims, project.api_secret, algorithm="HS256")
    return jwt.encode(claims, KEY, algorithm="RS256")


def unsigned(project, kind):
    return f"{encoded({'alg': 'none'})}.{encoded(claims_of(project, kind))}."


def unsigned_in_another_spelling(project, kind):
    return f"{encoded({'alg': 'nOnE'})}.{encoded(claims_of(project, kind))}."


def signature_cut_off(project, kind):
    return signed_properly(project, kind).rpartition(".")[0] + "."


def signed_with_the_public_key_as_a_secret(project, kind):
    header = {"alg": "HS256", "typ": "JWT"}
    return hmac_token(header, claims_of(project, kind), PUBLIC_PEM.encode())


def signed_with_an_empty_secret(project, kind):
    return hmac_token({"alg": "HS256"}, claims_of(project, kind), b"")


def signed_with_a_key_of_the_header(project, kind):
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(stranger.public_key()))
    header = {"jwk": jwk, "jku": "https://evil.example/keys", "kid": "../../dev/null"}
    return jwt.encode(claims_of(project, kind), stranger, algorithm="RS256", headers=header)


def a_stronger_hmac(project, kind):
    return jwt.encode(
        claims_of(project, kind), project.api_secret.ljust(64, "0"), algorithm="HS512"
    )


def from_the_future(project, kind):
    now_s = int(time.time())
    return signed_properly(project, kind, iat=now_s + 600, exp=now_s + 700)


def not_valid_yet(project, kind):
    return signed_properly(project, kind, nbf=int(time.time()) + 600)


def living_too_long(project, kind):
    return signed_properly(project, kind, exp=int(time.time()) + 2 * 86_400)


def expired(project, kind):
    now_s = int(time.time())
    return signed_properly(project, kind, iat=now_s - 400, exp=now_s - 200)


def living_forever(project, kind):
    claims = claims_of(project, kind)
    del claims["exp"]
    key, algorithm = (project.api_secret, "HS256") if kind == "legacy" else (KEY, "RS256")
    return jwt.encode(claims, key, algorithm=algorithm)


def a_client_token(project, kind):
    return signed_properly(
        project, kind, scope="session.connect", session_id="2_x", role="moderator"
    )


def a_token_of_a_client_of_the_session(project, kind):
    if kind == "unified":
        return signed_properly(project, kind, session_id="2_x", role="moderator", sub="video")
    claims = TokenClaims("2_x", Role.MODERATOR, time.time() + 100)
    return new_client_token(project, claims, int(time.time()), 1)


def for_an_account(project, kind):
    return signed_properly(project, kind, ist="account")


def changed_after_signing(project, kind):
    head, _, signature = signed_properly(project, kind).split(".")
    return f"{head}.{encoded(claims_of(project, kind, exp=int(time.time()) + 200))}.{signature}"


ATTACKS = (
    unsigned,
    unsigned_in_another_spelling,
    signature_cut_off,
    signed_with_the_public_key_as_a_secret,
    signed_with_an_empty_secret,
    signed_with_a_key_of_the_header,
    a_stronger_hmac,
    living_too_long,
    living_forever,
    a_client_token,
    a_token_of_a_client_of_the_session,
    for_an_account,
    changed_after_signing,
)


def of_another_secret(wrong_clock, project, kind):
    """The same times, signed with a key that is not the project's."""
    claims = jwt.decode(wrong_clock(project, kind), options={"verify_signature": False})
    return jwt.encode(claims, "0" * 40, algorithm="HS256")


WRONG_CLOCKS = (from_the_future, not_valid_yet, expired)


def presented(token, kind):
    return {"X-OPENTOK-AUTH": token} if kind == "legacy" else {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("kind", DIALECTS)
async def test_a_genuine_credential_is_taken(caller, record, kind):
    """The ground for the attacks below: without the attack, the same token is good."""
    headers = presented(signed_properly(caller.project, kind), kind)
    assert (await caller.call("POST", "/session/create", headers=headers))[0] == 200
    assert not lines_of(record, "credentials refused")
    assert failures_counted(caller) == 0


@pytest.mark.parametrize("kind", DIALECTS)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_a_forged_credential_is_403_and_on_record_without_itself(
    caller, record, attack, kind
):
    token = attack(caller.project, kind)
    for method, path in (("POST", "/session/create"), ("GET", caller.path("/archive"))):
        status, body = await caller.call(method, path, headers=presented(token, kind))
        assert (status, body["error"]) == (403, "credentials_invalid")
        assert body["message"]
    lines = lines_of(record, "credentials refused")
    assert [(one["where"], one["code"]) for one in lines] == [("rest", "credentials_invalid")] * 2
    own = caller.project.api_key if kind == "legacy" else caller.project.application_id
    assert {one["claimed_project"] for one in lines} == {own}
    assert failures_counted(caller) == 2
    everything = json.dumps(record())
    assert not any(part in everything for part in token.split(".") if part)
    assert caller.project.api_secret not in everything


@pytest.mark.parametrize("kind", DIALECTS)
@pytest.mark.parametrize("wrong_clock", WRONG_CLOCKS, ids=lambda one: one.__name__)
async def test_a_clock_that_differs_is_called_that_once_the_secret_was_right(
    caller, record, wrong_clock, kind
):
    headers = presented(wrong_clock(caller.project, kind), kind)
    status, body = await caller.call("POST", "/session/create", headers=headers)
    assert (status, body["error"]) == (403, "credentials_clock")
    assert "clock" in body["message"]
    headers = presented(of_another_secret(wrong_clock, caller.project, kind), kind)
    status, body = await caller.call("POST", "/session/create", headers=headers)
    assert (status, body["error"]) == (403, "credentials_invalid")
    assert "clock" not in body["message"]
    codes = [one["code"] for one in lines_of(record, "credentials refused")]
    assert codes == ["credentials_clock", "credentials_invalid"]
    assert 'failures_total{code="credentials_clock",where="rest"} 1.0' in (
        caller.server.metrics.render().decode()
    )


@pytest.mark.parametrize("kind", DIALECTS)
async def test_the_wrong_project_in_the_path_is_403_and_on_record(caller, record, kind):
    headers = presented(signed_properly(caller.project, kind), kind)
    other = new_project(random_bytes=os.urandom(44), now_ms=0)
    await caller.server.store.add_project(other)
    for named in (other.api_key, other.application_id, "12345"):
        status, body = await caller.call("GET", f"/v2/project/{named}/archive", headers=headers)
        assert (status, body["error"]) == (403, "project_mismatch")
    codes = [one["code"] for one in lines_of(record, "credentials refused")]
    assert codes == ["project_mismatch"] * 3
    assert failures_counted(caller) == 3


async def test_a_line_repeats_nothing_that_a_stranger_made_up(caller, record):
    for claimed in ("admin' OR 1=1", "x" * 4_000, "\x1b[31m", "99999999999", "\ud800", "\0"):
        token = hmac_token({"alg": "HS256"}, {"iss": claimed}, b"k")
        status, _ = await caller.call("POST", "/session/create", headers={"X-OPENTOK-AUTH": token})
        assert status == 403
    assert (await caller.call("POST", "/session/create", headers={"Accept": "*/*"}))[0] == 403
    lines = lines_of(record, "credentials refused")
    assert [one["claimed_project"] for one in lines] == ["unknown"] * 7


# --- two projects -------------------------------------------------------------------------


async def test_no_route_reaches_into_another_project(caller):
    """Every route of the table that names something of a project, asked with a genuine credential
    of another one: the thing does not exist, and nothing happens to it."""
    server = caller.server
    session = await caller.create(e2ee="false")
    server.live.connections_of[session] = [LiveConnection("conn-1", 1)]
    server.live.streams_of[session] = [LiveStream("str-1", "camera", "Bob")]
    wanted = {"group": "stream", "event": "created", "url": "https://app.example/hook"}
    _, made = await caller.call("POST", caller.path("/callback"), json=wanted)
    stranger = Caller(server, caller.client)
    stranger.project = new_project(random_bytes=os.urandom(44), now_ms=0, e2ee_enabled=True)
    await server.store.add_project(stranger.project)

    bodies = {
        "signal": {"data": "x"}, "play-dtmf": {"digits": "1"},
        "stream": {"items": [{"id": "str-1", "layoutClassList": ["a"]}]},
    }  # fmt: skip
    starts = {rest: {"sessionId": session, **body} for rest, body in STARTS.values()}
    asked = 0
    for route in ROUTES:
        start = route.needs_clear_media is not None
        if not start and "{session}" not in route.template and "callback/" not in route.template:
            continue
        path = route.template.format(
            project=stranger.project.api_key, session=session, connection="conn-1",
            stream="str-1", id=made["id"],
        )  # fmt: skip
        last = path.rpartition("/")[2]
        body = starts.get(f"/{last}") if start else bodies.get(last, {})
        sent = {} if route.method in ("GET", "DELETE") else {"json": body}
        status, answer = await stranger.call(route.method, path, **sent)
        assert (status, answer["error"]) == (
            404, "callback_not_found" if "callback" in path else "session_not_found",
        ), route  # fmt: skip
        asked += 1
    assert asked >= 20
    assert server.live.asked == []
    assert server.live.streams_of[session][0].layout_classes == ()
    assert await stranger.call("GET", stranger.path("/callback")) == (200, [])
    assert await caller.call("GET", caller.path("/callback")) == (200, [made])


# --- texts that cannot be kept -------------------------------------------------------------

HALF_PAIRS = [b'"\\ud800"', b'"a\\uDFFF"', b'["\\ud83d"]', b'{"\\udc00": 1}']


@pytest.mark.parametrize("text", HALF_PAIRS)
@pytest.mark.parametrize(
    ("method", "rest", "member"),
    [
        ("POST", "/archive", b"sessionId"),
        ("POST", "/session/create", b"archiveName"),
        ("POST", "/signal", b"type"),
        ("PUT", "/stream", b"items"),
        ("POST", "/mute", b"excludedStreamIds"),
        ("POST", "/callback", b"url"),
    ],
)
async def test_a_body_that_nobody_could_learn_of_is_refused(caller, method, rest, member, text):
    session = await caller.create()
    of_session = rest in ("/signal", "/stream", "/mute")
    path = caller.path(f"/session/{session}{rest}" if of_session else rest)
    body = b"{" + b'"' + member + b'":' + text + b"}"
    status, answer = await caller.call(
        method, rest if rest == "/session/create" else path, data=body
    )
    assert (status, answer["error"]) == (400, "body_invalid")


async def test_whole_pairs_are_text_like_any_other(room):
    """Escaped, as the JSON libraries of most SDKs write them."""
    items = b'{"items":[{"id":"str-1","layoutClassList":["\\ud83d\\ude00"]}]}'
    status, answer = await room.call("PUT", room.path(room.room + "/stream"), data=items)
    assert (status, answer["items"][0]["layoutClassList"]) == (200, ["😀"])


async def test_a_name_with_a_nul_is_no_session_and_no_archives(caller):
    for path, body, expected in (
        (caller.path("/archive"), b'{"sessionId":"\\u0000"}', (404, "session_not_found")),
        (
            "/session/create",
            b'{"archiveMode":"always","archiveName":"\\u0000"}',
            (400, "invalid_parameter"),
        ),
    ):
        status, answer = await caller.call("POST", path, data=body)
        assert (status, answer["error"]) == expected
