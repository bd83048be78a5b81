"""The routes of captions on a server that recognizes speech: what callers get."""

import time
from dataclasses import replace

import jwt
import pytest
from aiohttp.test_utils import TestClient, TestServer

from signaling.domain.session_ids import new_session_id
from tests.captions_world import CaptionsWorld
from tests.rest_caller import PUBLIC_PEM, Caller
from tests.rest_server import open_rest_server


@pytest.fixture
async def site(tmp_path):
    """A caller, and the captions of its server in `site.world`; one client publishes."""
    worlds = []

    def captions_of(store, owner):
        worlds.append(world := CaptionsWorld(store, tmp_path, owner, sessions_max=1))
        named = new_session_id(owner.api_key, "", 1, bytes(16))
        world.session = world.house.record = replace(world.session, session_id=named)
        return world.captions

    server = await open_rest_server(tmp_path, captions_of=captions_of, public_key_pem=PUBLIC_PEM)
    async with TestClient(TestServer(server.app)) as client:
        caller = Caller(server, client)
        caller.world = worlds[0]
        await server.store.add_session(caller.world.session)
        await caller.world.house.joined()
        yield caller
        await caller.world.close()


def token_of(site, role="moderator", session=None):
    claims = {
        "iss": site.project.api_key,
        "ist": "project",
        "iat": int(time.time()),
        "exp": int(time.time()) + 3_600,
        "session_id": session or site.world.session.session_id,
        "scope": "session.connect",
        "role": role,
    }
    return jwt.encode(claims, site.project.api_secret, algorithm="HS256")


async def start(site, role="moderator", **members):
    body = {"sessionId": site.world.session.session_id, "token": token_of(site, role), **members}
    return await site.call("POST", site.path("/captions"), json=body)


async def test_they_are_started_shown_and_stopped_as_the_sdks_read_it(site):
    status, made = await start(site, languageCode="en-US", maxDuration=300)
    assert status == 202
    assert set(made) == {"captionsId"}
    captions = site.path(f"/captions/{made['captionsId']}")
    now_ms = site.world.captions.unix_ms()
    shown = {
        "captionId": made["captionsId"],
        "projectId": site.project.api_key,
        "sessionId": site.world.session.session_id,
        "status": "started",
        "createdAt": now_ms,
        "updatedAt": now_ms,
        "duration": 0,
        "languageCode": "en-US",
        "provider": "sealroute",
    }
    assert await site.call("GET", captions) == (200, shown)
    site.world.house.time.advance(2)
    assert await site.call("POST", f"{captions}/stop") == (202, None)
    status, ended = await site.call("GET", captions, headers=site.unified())
    assert (ended["status"], ended["reason"]) == ("stopped", "user initiated")
    assert (ended["duration"], ended["applicationId"]) == (2, site.project.application_id)
    assert (await site.call("POST", f"{captions}/stop"))[0] == 404


@pytest.mark.parametrize(
    ("asked", "partials"),
    [({}, True), ({"partialCaptions": False}, False), ({"partialCaptions": "false"}, False)],
)
async def test_captions_that_are_not_final_come_unless_nobody_wants_them(site, asked, partials):
    assert (await start(site, **asked))[0] == 202
    assert site.world.run.job.partials is partials


async def test_each_refusal_has_its_cause(site):
    assert (await start(site, "publisher"))[0] == 403
    status, answer = await start(site, languageCode="fr-FR")
    assert (status, answer["error"]) == (400, "invalid_parameter")
    assert "en-US, de-DE" in answer["message"]
    assert (await start(site, maxDuration=299))[0] == 400
    assert (await start(site, statusCallbackUrl="http://10.0.0.1/status"))[0] == 400
    other = await site.create()
    body = {"sessionId": other, "token": token_of(site, session=other)}
    status, answer = await site.call("POST", site.path("/captions"), json=body)
    assert (status, answer["error"]) == (404, "nobody_connected")
    site.world.egress.room = 0
    status, answer = await start(site)
    assert (status, answer["code"], answer["error"]) == (503, 15951, "no_capacity")
    site.world.egress.room = 1
    assert (await start(site))[0] == 202
    status, answer = await start(site)
    assert (status, answer["error"]) == (409, "captions_running")
    assert (await site.call("GET", site.path("/captions/x")))[0] == 404


async def test_a_token_of_another_session_is_none(site):
    other = await site.create()
    body = {"sessionId": site.world.session.session_id, "token": token_of(site, session=other)}
    assert (await site.call("POST", site.path("/captions"), json=body))[0] == 403


async def test_without_a_recognizer_it_is_not_built(tmp_path):
    server = await open_rest_server(tmp_path, public_key_pem=PUBLIC_PEM)
    async with TestClient(TestServer(server.app)) as client:
        caller = Caller(server, client)
        body = {"sessionId": await caller.create(), "token": "t"}
        status, answer = await caller.call("POST", caller.path("/captions"), json=body)
    assert (status, answer["code"]) == (501, 15950)
    await server.store.close()
