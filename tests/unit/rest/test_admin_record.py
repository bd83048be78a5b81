"""The admin API on record, and what it does with bodies that make no sense."""

import asyncio
import json
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from config.settings import HttpSettings
from signaling.domain.operators import new_operator
from tests.rest_server import open_rest_server
from tests.unit.rest.test_refusals import lines_of

_, TOKEN = new_operator("ada", random_bytes=bytes(range(32)), now_ms=0)


@pytest.fixture
async def site(tmp_path):
    limits = HttpSettings(max_body_bytes=4_096, read_timeout_ms=100)
    server = await open_rest_server(tmp_path, limits)
    operator, _ = new_operator("ada", random_bytes=bytes(range(32)), now_ms=0)
    await server.store.operators.add_operator(operator)
    async with TestClient(TestServer(server.operations)) as client:
        server.client = client
        yield server
    await server.store.close()


async def ask(site, method, path, data=None, token=TOKEN):
    headers = {"Authorization": f"Bearer {token}"}
    async with site.client.request(
        method, f"/admin/v1{path}", data=data, headers=headers
    ) as answer:
        return answer.status, await answer.json()


async def test_a_refused_token_is_one_line_and_one_count_and_is_not_in_the_line(site, record):
    guess = TOKEN[:-1] + ("0" if TOKEN[-1] != "0" else "1")
    assert (await ask(site, "GET", "/projects", token=guess))[0] == 403
    (line,) = lines_of(record, "credentials refused")
    assert (line["where"], line["code"]) == ("admin", "credentials_invalid")
    assert guess not in json.dumps(record())
    count = 'sealroute_authentication_failures_total{code="credentials_invalid",where="admin"} 1.0'
    assert count in site.metrics.render().decode()


@pytest.mark.parametrize("token", ["ü" * 8, "\udcff" * 8, "sealroute_operator_"])
async def test_a_token_of_any_bytes_is_403(site, token):
    assert (await ask(site, "GET", "/projects", token=token))[0] == 403


async def test_changes_and_refused_changes_are_on_record_and_readings_are_not(site, record):
    path = f"/projects/{site.project.api_key}"
    await ask(site, "GET", path)
    status, made = await ask(site, "POST", f"{path}/secret")
    assert status == 200
    await ask(site, "PATCH", path, b'{"maxSessions": -1}')
    await ask(site, "PATCH", "/projects/1", b"{}")
    lines = lines_of(record, "administered")
    assert [(one["operator"], one["method"], one["path"], one["status"]) for one in lines] == [
        ("ada", "POST", f"/admin/v1{path}/secret", 200),
        ("ada", "PATCH", f"/admin/v1{path}", 400),
        ("ada", "PATCH", "/admin/v1/projects/1", 404),
    ]
    everything = json.dumps(record())
    assert made["apiSecret"] not in everything
    assert TOKEN not in everything


async def test_a_body_too_large_or_too_slow_is_refused_in_json(site):
    async def endless():
        yield b"{"
        await asyncio.sleep(5)  # longer than the server waits for the rest

    status, body = await ask(site, "POST", "/projects", b" " * 5_000)
    assert (status, body["error"]) == (413, "body_too_large")
    status, body = await ask(site, "POST", "/projects", endless())
    assert (status, body["error"]) == (400, "body_invalid")
    assert len(await site.store.projects()) == 1


async def test_a_bug_is_a_json_500_without_details(site, monkeypatch):
    async def broken():
        raise RuntimeError("detail")

    monkeypatch.setattr(site.store, "projects", broken)
    status, body = await ask(site, "GET", "/projects")
    assert status == 500
    assert "detail" not in json.dumps(body)


async def test_rotations_at_the_same_time_leave_a_secret_that_somebody_has(site):
    path = f"/projects/{site.project.api_key}"
    renamed = json.dumps({"name": "new"}).encode()
    answers = await asyncio.gather(
        *(ask(site, "POST", f"{path}/secret") for _ in range(5)),
        *(ask(site, "PATCH", path, renamed) for _ in range(5)),
    )
    reported = {body["apiSecret"] for status, body in answers[:5] if status == 200}
    kept = await site.store.project_named(site.project.api_key)
    assert len(reported) == 5
    assert kept.api_secret in reported
    assert kept.previous_secret in reported
    assert kept.name == "new"


members = st.sampled_from(
    ["name", "e2ee", "e2eeByDefault", "allowedOrigins", "maxSessions", "maxPublishBps", "graceS"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
bodies = st.binary(max_size=64) | st.dictionaries(members | st.text(), values, max_size=4).map(
    lambda body: json.dumps(body).encode()
)
paths = st.sampled_from(["", "/secret", "/keys", "/keys/0123456789abcdef"])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    method=st.sampled_from(["POST", "PATCH", "DELETE", "PUT", "GET"]),
    name=st.none() | st.text(max_size=20),
    rest=paths,
    body=bodies,
)
@example(method="POST", name="\n", rest="", body=b"{}")
async def test_anything_an_operator_sends_is_answered_in_json_and_breaks_nothing(
    site, method, name, rest, body
):
    named = site.project.api_key if name is None else quote(name, safe="", errors="replace")
    status, document = await ask(site, method, f"/projects/{named}{rest}", body)
    assert status in (200, 201, 400, 404)
    assert isinstance(document, (dict, list))
    is_removed = (method, name, rest) == ("DELETE", None, "")
    kept = await site.store.project_named(site.project.api_key)
    assert (kept is None) == is_removed
    if is_removed:
        await site.store.add_project(site.project)
