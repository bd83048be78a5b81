"""The REST API against what schemathesis makes of the OpenAPI document: bounded and seeded."""

import asyncio
import json
import socket
import threading
import time
from dataclasses import dataclass

import jwt
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import booleans
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.settings import HttpSettings
from signaling.domain.projects import Project
from signaling.http.runner import Deadlines, HttpRunner
from signaling.rest.live_sessions import LiveConnection, LiveStream
from signaling.rest.openapi import openapi_document
from signaling.rest.routes import ROUTES
from tests.rest_server import RestServer, open_rest_server

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
]
CONFORMANCE: list[CheckFunction] = [
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
EXAMPLES = 20
ANSWER_S = 5
CONNECTION, STREAM = "6f9a1c9e-0000-4000-8000-000000000001", "6f9a1c9e-0000-4000-8000-000000000002"


@dataclass
class Site:
    """A server on a thread of its own, since the callers block, with somebody in a session."""

    server: RestServer
    url: str
    session: str = ""

    def headers(self) -> dict[str, str]:
        return {"X-OPENTOK-AUTH": credential(self.server.project), "Accept": "application/json"}

    def populate(self) -> None:
        live = self.server.live
        live.connections_of[self.session] = [LiveConnection(CONNECTION, 1)]
        live.streams_of[self.session] = [LiveStream(STREAM, "camera", "Bob")]


def credential(project: Project) -> str:
    now_s = int(time.time())
    claims = {"iss": project.api_key, "ist": "project", "iat": now_s, "exp": now_s + 180}
    return jwt.encode(claims, project.api_secret, algorithm="HS256")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(20)

    async def start():
        server = await open_rest_server(tmp_path_factory.mktemp("fuzz"))
        runner = HttpRunner(server.app, Deadlines.of(HttpSettings()))
        await runner.listen("127.0.0.1", 0, None)
        return server, runner

    server, runner = run(start())
    made = Site(server, f"http://127.0.0.1:{runner.addresses[0][1]}")
    answer = requests.post(
        f"{made.url}/session/create", headers=made.headers(), data={}, timeout=ANSWER_S
    )
    made.session = answer.json()[0]["session_id"]
    yield made
    run(runner.cleanup())
    run(server.store.close())
    run(asyncio.sleep(0))
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


SCHEMA = schemathesis.openapi.from_dict(openapi_document(ROUTES))
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
bounded = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def aim(case, site: Site) -> None:
    """Names what is there, so that more than "not found" is reached."""
    known = {
        "project": site.server.project.api_key,
        "session": site.session,
        "connection": CONNECTION,
        "stream": STREAM,
    }
    for name in case.path_parameters or {}:
        case.path_parameters[name] = known.get(name, case.path_parameters[name])
    if isinstance(case.body, dict) and isinstance(case.body.get("sessionId"), str):
        case.body["sessionId"] = site.session


def check_answer(answer) -> None:
    """No bug, no empty refusal: a failure has a JSON body with a stable name and a message."""
    assert answer.elapsed < ANSWER_S
    if answer.status_code < 400:
        return
    assert answer.headers["content-type"] == ["application/json"]
    failure = answer.json()
    assert failure["message"]
    assert failure["error"] != "internal"
    assert answer.status_code < 500 or failure["error"] == "feature_unavailable"


def attempt(operation, mode: GenerationMode, check, examples: int = EXAMPLES) -> None:
    """Runs a check over generated requests of one operation, at things that are there or not."""
    cases = operation.as_strategy(generation_mode=mode)
    settings(bounded, max_examples=examples)(given(case=cases, aimed=booleans())(check))()


@each_operation
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_breaks_the_server_or_its_document(operation, mode, site):
    def check(case, aimed):
        site.populate()
        if aimed:
            aim(case, site)
        answer = case.call(base_url=site.url, headers=site.headers(), timeout=ANSWER_S)
        check_answer(answer)
        case.validate_response(answer, checks=CONFORMANCE)

    attempt(operation, mode, check)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /v2/" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-OPENTOK-AUTH: " + b"canary" * 3_000 + b"\r\n\r\n",
        b"\x16\x03\x01 no HTTP at all\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    ],
    ids=["line", "header", "tls", "length"],
)
def test_what_is_no_request_is_answered_in_json_and_not_repeated(site, request_bytes, caplog):
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), ANSWER_S) as peer:
        peer.sendall(request_bytes)
        answer = b"".join(iter(lambda: peer.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert json.loads(body)["error"] == "body_invalid"
    assert b"aaaa" not in body
    assert "canary" not in caplog.text + body.decode()


@each_operation
def test_nobody_gets_in_without_a_credential(operation, site):
    def check(case, aimed):
        for headers in ({}, {"X-OPENTOK-AUTH": "x.y.z"}, {"Authorization": "Bearer x"}):
            case.headers = {}
            answer = case.call(base_url=site.url, headers=headers, timeout=ANSWER_S)
            check_answer(answer)
            assert answer.status_code == 403

    attempt(operation, GenerationMode.POSITIVE, check, 3)
