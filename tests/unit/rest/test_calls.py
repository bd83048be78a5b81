"""SIP calls over REST: what is checked, in which order, and what is answered."""

import uuid

import pytest
from aiohttp.test_utils import TestClient, TestServer

from config.sip_settings import SipSettings
from sfu.target_policy import TargetPolicy, networks
from signaling.calls.marks import CallMarks
from signaling.calls.service import CallParts, SipCalls
from signaling.clock import SystemClock
from signaling.egress.dialing import Dialer
from signaling.metrics import Metrics
from tests.conversation import House
from tests.fakes.calls import FakeCalls
from tests.rest_caller import PUBLIC_PEM, Caller
from tests.rest_server import open_rest_server
from tests.unit.rest.test_connectors import token_of

URI = "sip:ann@127.0.0.1:9"


@pytest.fixture
async def caller(tmp_path):
    house, egress = House(), FakeCalls()
    parts = CallParts(
        house.directory,
        egress,
        Dialer(TargetPolicy(networks("127.0.0.0/8"))),
        Metrics(dict),
        SystemClock(),
        lambda *_: None,
        SipSettings(running_per_project=2),
        CallMarks(tmp_path / "calls"),
        session_of=None,
    )
    calls = SipCalls(parts)
    server = await open_rest_server(tmp_path, calls=calls, public_key_pem=PUBLIC_PEM)
    async with TestClient(TestServer(server.app)) as client:
        caller = Caller(server, client)
        caller.egress, caller.house = egress, house
        yield caller
    await calls.close()
    await house.plane.close()
    await server.store.close()


async def dial(caller, session=None, role="publisher", token=None, **sip):
    session = session or await caller.create()
    body = {
        "sessionId": session,
        "token": token or token_of(caller, session, role),
        "sip": {"uri": URI, **sip},
    }
    return await caller.call("POST", caller.path("/dial"), json=body)


async def test_a_call_is_answered_with_its_ids(caller):
    session = await caller.create()
    status, answer = await dial(caller, session)
    assert status == 200
    assert set(answer) == {"id", "connectionId", "streamId", "sessionId", "projectId"}
    assert (answer["sessionId"], answer["projectId"]) == (session, caller.project.api_key)
    for name in ("id", "connectionId", "streamId"):
        assert str(uuid.UUID(answer[name])) == answer[name]


async def test_what_is_asked_for_reaches_the_call(caller):
    auth = {"username": "u", "password": "p"}
    sip = {"from": "1555@example.com", "headers": {"X-A": "b"}, "auth": auth, "secure": True}
    await dial(caller, **sip)
    job = caller.egress.runs[0].job
    assert (str(job.target), job.caller) == (URI, "sip:1555@example.com")
    assert (job.headers, job.username, job.password) == ((("X-A", "b"),), "u", "p")
    assert job.secure
    await dial(caller, **{"from": "", "headers": {}, "secure": False, "video": True})
    job = caller.egress.runs[1].job
    assert (job.caller, job.headers, job.username, job.secure) == (
        "sip:+00000000@127.0.0.1",
        (),
        None,
        False,
    )


@pytest.mark.parametrize(
    "sip",
    [
        {"uri": "tel:+1555"},
        {"uri": "sip:a@b;transport=sctp"},
        {"from": "a b"},
        {"from": "a@b\r\nVia: x"},
        {"headers": {"Via": "x"}},
        {"headers": {"X-A": "b\r\nVia: x"}},
        {"auth": {"username": "a\n", "password": ""}},
    ],
)
async def test_what_makes_no_call(caller, sip):
    status, answer = await dial(caller, **sip)
    assert status == 400
    assert "sip" in answer["message"]
    assert caller.egress.runs == []


@pytest.mark.parametrize(
    ("uri", "code"), [("sip:a@10.0.0.1", 15_952), ("sip:a@nobody.invalid", 15_953)]
)
async def test_an_address_that_is_not_reached(caller, uri, code):
    status, answer = await dial(caller, uri=uri)
    assert (status, answer["code"]) == (400, code)


async def test_the_token_is_one_of_this_session_with_the_right_role(caller):
    other = await caller.create()
    for token in ("nonsense", token_of(caller, other)):
        status, _ = await dial(caller, token=token)
        assert status == 403
    status, _ = await dial(caller, role="subscriber")
    assert status == 403
    assert caller.egress.runs == []


async def test_a_project_has_so_many_calls(caller):
    for _ in range(2):
        assert (await dial(caller))[0] == 200
    status, answer = await dial(caller)
    assert (status, answer["code"]) == (503, 15_951)


async def test_tones_for_all_and_for_one(caller):
    session = await caller.create()
    _, call = await dial(caller, session)
    path = caller.path(f"/session/{session}/play-dtmf")
    assert (await caller.call("POST", path, json={"digits": "1p#"}))[0] == 200
    one = caller.path(f"/session/{session}/connection/{call['connectionId']}/play-dtmf")
    assert (await caller.call("POST", one, json={"digits": "2"}))[0] == 200
    assert [said for said in caller.egress.runs[0].said if isinstance(said, str)] == ["1p#", "2"]
    for digits in ("", "x", "1 2"):
        assert (await caller.call("POST", path, json={"digits": digits}))[0] == 400
    caller.egress.runs[0].end()
    assert (await caller.call("POST", path, json={"digits": "1"}))[0] == 404
    empty = caller.path(f"/session/{await caller.create()}/play-dtmf")
    assert (await caller.call("POST", empty, json={"digits": "1"}))[0] == 404
