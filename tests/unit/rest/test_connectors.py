"""Audio Connectors over REST: what is checked, in which order, and what is answered."""

import asyncio
import json
import time
import uuid

import jwt
import pytest
from aiohttp.test_utils import TestClient, TestServer

from config.connector_settings import ConnectorSettings
from sfu.target_policy import TargetPolicy, networks
from signaling.connectors.service import AudioConnectors, ConnectorParts
from signaling.egress.dialing import Dialer
from signaling.metrics import Metrics
from tests.conversation import House
from tests.egress_world import alone
from tests.fakes.connectors import FakeConnectors
from tests.rest_caller import PUBLIC_PEM, Caller
from tests.rest_server import open_rest_server

URI = "ws://127.0.0.1:9/bot"


@pytest.fixture
async def caller(tmp_path):
    house, egress = House(), FakeConnectors()
    dialer = Dialer(TargetPolicy(networks("127.0.0.0/8")))
    parts = ConnectorParts(
        house.directory,
        egress,
        dialer,
        Metrics(dict),
        ConnectorSettings(running_per_project=2),
        alone(),
    )
    connectors = AudioConnectors(parts)
    server = await open_rest_server(tmp_path, connectors=connectors, public_key_pem=PUBLIC_PEM)
    async with TestClient(TestServer(server.app)) as client:
        caller = Caller(server, client)
        caller.egress, caller.house = egress, house
        yield caller
    await connectors.close()
    await house.plane.close()
    await server.store.close()


def token_of(caller, session, role="publisher"):
    claims = {
        "iss": caller.project.api_key,
        "ist": "project",
        "iat": int(time.time()),
        "exp": int(time.time()) + 3_600,
        "session_id": session,
        "scope": "session.connect",
        "role": role,
    }
    return jwt.encode(claims, caller.project.api_secret, algorithm="HS256")


async def start(caller, session=None, role="publisher", token=None, **websocket):
    session = session or await caller.create()
    body = {
        "sessionId": session,
        "token": token or token_of(caller, session, role),
        "websocket": {"uri": URI, **websocket},
    }
    return await caller.call("POST", caller.path("/connect"), json=body)


async def test_a_start_is_answered_with_two_ids_and_a_stop_ends_it(caller):
    status, answer = await start(caller, bidirectional=True)
    assert status == 200
    assert set(answer) == {"id", "connectionId"}
    assert all(str(uuid.UUID(one)) == one for one in answer.values())
    stop = caller.path(f"/connect/{answer['id']}/stop")
    assert await caller.call("POST", stop) == (200, None)
    assert caller.egress.runs[0].said == ["leave"]
    assert (await caller.call("POST", stop))[0] == 404


async def test_what_is_asked_for_reaches_the_job(caller):
    await start(caller, audioRate=24_000, streams=["a"], headers={"X": "y"})
    job = caller.egress.runs[0].job
    assert (job.audio.rate_hz, job.audio.bidirectional, job.audio.audio_field) == (
        24_000,
        False,
        "",
    )
    assert job.headers == {"X": "y"}
    await start(caller)
    assert caller.egress.runs[1].job.audio.rate_hz == 16_000


SPELLINGS = [
    {
        "transport": "json",
        "audio_field": "a",
        "receive_audio_field": "b",
        "static_fields": {"c": 1},
    },
    {"transport": "json", "audioField": "a", "receiveAudioField": "b", "staticFields": {"c": 1}},
]


@pytest.mark.parametrize("fields", [*SPELLINGS, json.dumps(SPELLINGS[0])])
async def test_each_spelling_of_the_sdks_is_understood(caller, fields):
    status, _ = await start(caller, audioTransport=fields)
    assert status == 200
    audio = caller.egress.runs[0].job.audio
    assert (audio.audio_field, audio.receive_audio_field) == ("a", "b")
    assert audio.static_fields == {"c": 1}


async def test_json_without_names_uses_one_name_both_ways(caller):
    await start(caller, audioTransport={"transport": "json", "encoding": "base64"})
    audio = caller.egress.runs[0].job.audio
    assert (audio.audio_field, audio.receive_audio_field) == ("audio", "audio")
    await start(caller, audioTransport={"transport": "binary"})
    assert caller.egress.runs[1].job.audio.audio_field == ""


@pytest.mark.parametrize(
    "websocket",
    [
        {"uri": "https://example.com"},
        {"uri": "ws://user:evil@example.com/"},
        {"audioRate": 44_100},
        {"headers": {"Host": "evil"}},
        {"headers": {"X": "evil\r\nY: z"}},
        {"headers": {"X": "evil" * 200}},
        {"audioTransport": "evil"},
        {"audioTransport": "[]"},
        {"audioTransport": '{"transport": "binary", "transport": "json"}'},
        {"audioTransport": {"audio_field": "a", "audioField": "b"}},
        {"audioTransport": '{"static_fields": {"a": "\\ud800"}}'},
        {"audioTransport": {"transport": "evil"}},
        {"audioTransport": {"encoding": "evil"}},
        {"audioTransport": {"transport": "json", "static_fields": {"x": "evil" * 2_000}}},
        {"audioTransport": {"transport": "json", "audio_field": 7}},
        {"bidirectional": "evil"},
    ],
)
async def test_what_makes_no_sense_is_refused_and_not_repeated(caller, websocket):
    status, answer = await start(caller, **websocket)
    assert (status, answer["error"]) == (400, "invalid_parameter")
    assert b"evil" not in caller.raw
    assert caller.egress.runs == []


async def test_the_order_of_checks(caller):
    clear = await caller.create()
    encrypted = await caller.create(e2ee="true")
    inside = {"uri": "ws://10.0.0.1/"}
    assert (await start(caller, encrypted, token="bad", **inside))[1]["code"] == 15900
    assert (await start(caller, clear, token="bad", **inside))[0] == 403
    other = token_of(caller, encrypted)
    assert (await start(caller, clear, token=other, **inside))[0] == 403
    status, answer = await start(caller, clear, role="subscriber", bidirectional=True, **inside)
    assert (status, answer["error"]) == (403, "permission_denied")
    status, answer = await start(caller, clear, **inside)
    assert (status, answer["code"], answer["error"]) == (400, 15952, "address_refused")
    caller.egress.opens = False
    task = asyncio.create_task(start(caller, clear))
    (await caller.egress.started()).refuse()
    status, answer = await task
    assert (status, answer["code"], answer["error"]) == (400, 15953, "connect_failed")
    assert caller.egress.runs[0].said == ["leave"]


async def test_without_room_the_answer_is_503_with_a_code(caller):
    for _ in range(2):
        assert (await start(caller))[0] == 200
    status, answer = await start(caller)
    assert (status, answer["code"]) == (503, 15951)
    assert "archive" not in answer["message"]
