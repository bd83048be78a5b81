"""The admin API: projects over HTTP, for operators."""

import json

import pytest
from aiohttp.test_utils import TestClient, TestServer

from signaling.domain.operators import new_operator
from signaling.domain.rest_credentials import new_rest_token
from tests.rest_server import open_rest_server


@pytest.fixture
async def admin(tmp_path):
    """`admin(method, path, body)` gives status and document, with an operator's token."""
    server = await open_rest_server(tmp_path)
    operator, token = new_operator("ada", random_bytes=bytes(range(32)), now_ms=0)
    await server.store.operators.add_operator(operator)
    client = TestClient(TestServer(server.operations))
    await client.start_server()

    async def ask(method, path, body=None, *, authorization=f"Bearer {token}"):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        headers = {} if authorization is None else {"Authorization": authorization}
        async with client.request(method, f"/admin/v1{path}", data=data, headers=headers) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            return answer.status, await answer.json()

    ask.project, ask.store, ask.token = server.project, server.store, token
    yield ask
    await client.close()
    await server.store.close()


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Basic YWRhOmFkYQ==", "Bearer " + "0" * 83]
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/projects"), ("POST", "/projects"), ("GET", "/nothing")]
)
async def test_nothing_is_answered_without_an_operators_token(admin, authorization, method, path):
    status, document = await admin(method, path, authorization=authorization)
    assert status == 403
    assert document["message"]
    assert len(await admin.store.projects()) == 1


async def test_a_projects_own_credential_is_no_operators(admin):
    token = new_rest_token(admin.project, 1_700_000_000)
    status, _ = await admin("GET", "/projects", authorization=f"Bearer {token}")
    assert status == 403


async def test_a_removed_operator_is_refused_at_once(admin):
    await admin.store.operators.remove_operator("ada")
    assert (await admin("GET", "/projects"))[0] == 403


async def test_a_project_is_made_shown_and_listed_and_its_secret_shown_once(admin):
    request = {"name": "shop", "e2ee": True, "e2eeByDefault": True, "maxSessions": 5}
    status, made = await admin("POST", "/projects", request)
    assert (status, made["name"], made["e2eeByDefault"], made["maxSessions"]) == (
        201,
        "shop",
        True,
        5,
    )
    kept = await admin.store.project_named(made["apiKey"])
    assert kept.api_secret == made["apiSecret"]
    for path in (f"/projects/{made['apiKey']}", f"/projects/{made['applicationId']}", "/projects"):
        status, shown = await admin("GET", path)
        assert status == 200
        assert made["apiSecret"] not in json.dumps(shown)
        assert "shop" in json.dumps(shown)


async def test_a_removed_project_is_gone_by_both_its_names(admin):
    _, made = await admin("POST", "/projects", {"name": "shop"})
    path = f"/projects/{made['applicationId']}"
    status, gone = await admin("DELETE", path)
    assert (status, gone["apiKey"]) == (200, made["apiKey"])
    assert made["apiSecret"] not in json.dumps(gone)
    for named in (made["apiKey"], made["applicationId"]):
        assert (await admin("GET", f"/projects/{named}"))[0] == 404
        assert (await admin("DELETE", f"/projects/{named}"))[0] == 404
    assert [one.api_key for one in await admin.store.projects()] == [admin.project.api_key]


async def test_only_what_is_said_changes(admin):
    path = f"/projects/{admin.project.api_key}"
    await admin("PATCH", path, {"name": "new", "maxConnections": 9})
    status, shown = await admin("PATCH", path, {"allowedOrigins": ["https://a.example"]})
    assert status == 200
    assert (shown["name"], shown["maxConnections"]) == ("new", 9)
    _, shown = await admin("PATCH", path, {"maxConnections": None})
    assert shown["maxConnections"] is None
    assert shown["allowedOrigins"] == ["https://a.example"]


@pytest.mark.parametrize(
    "body",
    [
        {"apiSecret": "0" * 40},
        {"name": 5},
        {"name": "x" * 300},
        {"maxSessions": 0},
        {"maxSessions": 2**31},
        {"allowedOrigins": ["a.example"]},
        {"allowedOrigins": "https://a.example"},
        {"e2ee": False, "e2eeByDefault": True},
        ["name"],
        b'{"name":"\x93"}',
        b"{",
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(admin, body):
    path = f"/projects/{admin.project.api_key}"
    status, document = await admin("PATCH", path, body)
    assert status == 400
    assert document["message"]
    assert await admin.store.project_named(admin.project.api_key) == admin.project


async def test_a_rotated_secret_is_shown_once_and_the_old_one_named_with_its_end(admin):
    path = f"/projects/{admin.project.api_key}"
    status, made = await admin("POST", f"{path}/secret", {"graceS": 60})
    assert status == 200
    assert made["apiSecret"] != admin.project.api_secret
    kept = await admin.store.project_named(admin.project.api_key)
    assert kept.api_secret == made["apiSecret"]
    assert kept.previous_secret == admin.project.api_secret
    assert made["previousSecretUntil"] == kept.previous_secret_until_ms
    assert (await admin("POST", f"{path}/secret", {"graceS": 10**9}))[0] == 400


async def test_unknown_projects_keys_and_paths_are_not_found(admin):
    key = f"/projects/{admin.project.api_key}/keys/0123456789abcdef"
    for method, path in (
        ("GET", "/projects/12"),
        ("DELETE", key),
        ("GET", "/nothing"),
        ("GET", ""),
    ):
        assert (await admin(method, path))[0] == 404, path
