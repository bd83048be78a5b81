"""Renders over REST: what is checked, in which order, and what is answered."""

import uuid

import pytest
from aiohttp.test_utils import TestClient, TestServer

from sfu.egress.render_jobs import NodeAddresses
from tests.fakes.renders import FakeRenders
from tests.rest_caller import PUBLIC_PEM, Caller
from tests.rest_server import open_rest_server
from tests.unit.rest.test_connectors import token_of

URL = "http://page.test/overlay"


async def opened(tmp_path, **rendering):
    egress = FakeRenders()
    rendering = {"egress": egress, **rendering}
    server = await open_rest_server(tmp_path, rendering=rendering, public_key_pem=PUBLIC_PEM)
    return server, egress


@pytest.fixture
async def caller(tmp_path):
    server, egress = await opened(tmp_path)
    async with TestClient(TestServer(server.app)) as client:
        caller = Caller(server, client)
        caller.egress = egress
        yield caller
    await server.store.close()


async def start(caller, session=None, role="publisher", token=None, **body):
    session = session or await caller.create()
    token = token or token_of(caller, session, role)
    body = {"sessionId": session, "token": token, "url": URL, **body}
    return await caller.call("POST", caller.path("/render"), json=body)


async def test_a_start_is_answered_before_the_page_is_there(caller):
    session = await caller.create()
    status, answer = await start(caller, session, properties={"name": "overlay"})
    assert status == 202
    assert str(uuid.UUID(answer["id"])) == answer["id"]
    assert answer["createdAt"] == answer["updatedAt"]
    assert {name: answer[name] for name in answer if not name.endswith("At") and name != "id"} == {
        "sessionId": session,
        "projectId": caller.project.api_key,
        "url": URL,
        "resolution": "1280x720",
        "status": "starting",
        "name": "overlay",
        "event": "render",
    }
    job = caller.egress.runs[0].job
    assert (job.name, job.width, job.height) == ("overlay", 1280, 720)


async def test_what_is_asked_for_reaches_the_render(caller):
    asked = {
        "resolution": "480x640",
        "maxDuration": 60,
        "statusCallbackUrl": "http://127.0.0.1:9/s",
    }
    _, answer = await start(caller, **asked)
    assert (answer["resolution"], answer["callbackUrl"]) == ("480x640", "http://127.0.0.1:9/s")
    job = caller.egress.runs[0].job
    assert (job.width, job.height) == (480, 640)


async def test_a_render_is_shown_listed_and_stopped(caller):
    session, other = await caller.create(), await caller.create()
    _, first = await start(caller, session)
    _, second = await start(caller, other)
    path = caller.path(f"/render/{first['id']}")
    assert (await caller.call("GET", path)) == (200, first)
    status, page = await caller.call("GET", caller.path("/render?count=1"))
    assert (status, page["count"], page["items"]) == (200, 2, [second])
    for spelled in ("sessionId", "session_id"):
        _, page = await caller.call("GET", caller.path(f"/render?{spelled}={session}"))
        assert page == {"count": 1, "items": [first]}
    status, stopped = await caller.call("DELETE", path)
    assert (status, stopped["status"], stopped["reason"]) == (200, "stopped", "Stop requested")
    assert (await caller.call("GET", path))[1] == stopped
    assert caller.egress.runs[0].left
    assert (await caller.call("DELETE", path)) == (200, stopped)


async def test_what_is_unknown_is_404(caller):
    for method in ("GET", "DELETE"):
        for name in (str(uuid.uuid4()), "x", "%00"):
            status, answer = await caller.call(method, caller.path(f"/render/{name}"))
            assert (status, answer["message"]) == (404, "Render not found.")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"url": "file:///etc/passwd"}, 400, None),
        ({"url": "chrome://inspect/#x"}, 400, None),
        ({"url": "http://10.0.0.1/page"}, 400, 15_952),
        ({"url": "http://169.254.169.254/latest"}, 400, 15_952),
        ({"url": "http://nobody.invalid/"}, 400, 15_953),
        ({"maxDuration": 59}, 400, None),
        ({"statusCallbackUrl": "http://10.0.0.1/status"}, 400, None),
        ({"token": "nonsense"}, 403, None),
        ({"role": "subscriber"}, 403, None),
    ],
)
async def test_what_is_refused(caller, changes, status, code):
    found, answer = await start(caller, **changes)
    assert found == status
    assert code in (None, answer["code"])
    assert caller.egress.runs == []
    assert (await caller.call("GET", caller.path("/render")))[1]["count"] == 0


async def test_a_project_has_so_many_renders(caller):
    for _ in range(2):
        assert (await start(caller))[0] == 202
    status, answer = await start(caller)
    assert (status, answer["code"]) == (503, 15_951)


async def test_an_encrypted_session_is_refused_before_anything_else(caller):
    session = await caller.create(e2ee="true")
    status, answer = await start(caller, session, token="nonsense", url="file:///etc/passwd")
    assert (status, answer["code"]) == (409, 15_900)
    assert caller.egress.runs == []


@pytest.mark.parametrize(
    "rendering", [{"egress": None}, {"node": NodeAddresses(("127.0.0.1", 1), False, {})}]
)
async def test_a_server_that_cannot_says_so(tmp_path, rendering):
    server, egress = await opened(tmp_path, **rendering)
    async with TestClient(TestServer(server.app)) as client:
        status, answer = await start(Caller(server, client))
    assert (status, answer["code"]) == (501, 15_950)
    assert egress.runs == []
    await server.store.close()
