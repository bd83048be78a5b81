"""The routes of broadcasts on a server that broadcasts: what callers get."""

import pytest
from aiohttp.test_utils import TestClient, TestServer

from sfu.egress.composition import Layout
from sfu.egress.stylesheets import StylesheetError
from tests.broadcast_world import BroadcastWorld
from tests.rest_caller import PUBLIC_PEM, Caller
from tests.rest_server import open_rest_server

RTMP = {"id": "foo", "serverUrl": "rtmp://live.example.com/app", "streamName": "s"}
BOTH = {"outputs": {"hls": {"lowLatency": True, "dvr": None}, "rtmp": [RTMP]}}


@pytest.fixture
async def site(tmp_path):
    """A caller, and the broadcasts of its server in `site.world`; one client publishes."""
    worlds = []

    def broadcasts_of(store, owner):
        worlds.append(BroadcastWorld(store, tmp_path, owner))
        return worlds[0].broadcasts

    server = await open_rest_server(
        tmp_path, broadcasts_of=broadcasts_of, public_key_pem=PUBLIC_PEM
    )
    async with TestClient(TestServer(server.app)) as client:
        caller = Caller(server, client)
        caller.world = worlds[0]
        await server.store.add_session(caller.world.session)
        caller.ann, caller.stream = await caller.world.publisher()
        yield caller
        await caller.world.close()


async def start(site, **members):
    body = {"sessionId": site.world.session.session_id, **BOTH, **members}
    return await site.call("POST", site.path("/broadcast"), json=body)


async def test_a_started_broadcast_is_answered_as_the_sdks_read_it(site):
    status, made = await start(site, multiBroadcastTag="t", maxBitrate=2_000_000)
    assert status == 200
    now_ms = site.world.broadcasts._parts.unix_ms()
    key = bytes(range(16)).hex()
    assert made == {
        "id": made["id"],
        "status": "started",
        "reason": "",
        "sessionId": site.world.session.session_id,
        "projectId": site.project.api_key,
        "partnerId": int(site.project.api_key),
        "createdAt": now_ms,
        "updatedAt": now_ms,
        "resolution": "640x480",
        "streamMode": "auto",
        "hasAudio": True,
        "hasVideo": True,
        "maxDuration": 14_400,
        "maxBitrate": 2_000_000,
        "streams": [],
        "multiBroadcastTag": "t",
        "settings": {"hls": {"lowLatency": True, "dvr": False}},
        "broadcastUrls": {
            "hls": f"http://node.test:8090/hls/{made['id']}/{key}/index.m3u8",
            "hlsStatus": "connecting",
            "rtmp": [{**RTMP, "status": "connecting"}],
        },
        "event": "broadcast",
    }
    path = site.path(f"/broadcast/{made['id']}")
    _, shown = await site.call("GET", path, headers=site.unified())
    assert shown["applicationId"] == site.project.application_id
    assert "projectId" not in shown
    assert site.world.hls.starts == 1


async def test_without_hls_nothing_of_it_is_said(site):
    _, made = await start(site, outputs={"rtmp": [RTMP]})
    assert made["settings"] == {}
    assert made["broadcastUrls"] == {"rtmp": [{**RTMP, "status": "connecting"}]}
    assert site.world.hls.starts == 0


async def test_broadcasts_are_listed_shown_stopped_and_rearranged(site):
    _, made = await start(site)
    path = site.path(f"/broadcast/{made['id']}")
    assert (await site.call("GET", path))[1] == made
    session = site.world.session.session_id
    for query in ("", f"?sessionId={session}", f"?session_id={session}"):
        status, page = await site.call("GET", site.path("/broadcast") + query)
        assert (status, page) == (200, {"count": 1, "items": [made]})
    assert (await site.call("GET", site.path("/broadcast?sessionId=x")))[1]["count"] == 0
    layout = {"type": "bestFit", "screenshareType": "pip"}
    assert (await site.call("PUT", f"{path}/layout", json=layout))[0] == 200
    assert site.world.egress.jobs[made["id"]].layouts == [Layout("bestFit", "pip")]
    status, stopped = await site.call("POST", f"{path}/stop")
    assert (status, stopped["status"], stopped["reason"]) == (200, "stopped", "user initiated")
    assert stopped["broadcastUrls"]["hlsStatus"] == "ended"
    for method, rest, body in (
        ("POST", "/stop", None),
        ("PUT", "/layout", layout),
    ):
        status, answer = await site.call(method, path + rest, json=body)
        assert (status, answer["error"]) == (409, "broadcast_not_running")


async def test_streams_are_chosen_one_by_one_in_manual_mode(site):
    _, made = await start(site, streamMode="manual")
    path = site.path(f"/broadcast/{made['id']}")
    change = {"addStream": site.stream, "hasVideo": False}
    assert (await site.call("PATCH", f"{path}/streams", json=change))[0] == 204
    _, shown = await site.call("GET", path)
    assert shown["streams"] == [{"streamId": site.stream, "hasAudio": True, "hasVideo": False}]
    removed = {"removeStream": site.stream}
    assert (await site.call("PATCH", f"{path}/streams", json=removed))[0] == 204
    assert (await site.call("PATCH", f"{path}/streams", json=removed))[0] == 404


async def test_every_refusal_has_its_code(site):
    _, made = await start(site)
    status, again = await start(site)
    assert (status, again["error"]) == (409, "broadcast_running")
    inside = {**RTMP, "serverUrl": "rtmp://127.0.0.1/app"}
    status, refused = await start(site, outputs={"rtmp": [inside]})
    assert (status, refused["error"], refused["code"]) == (400, "address_refused", 15952)
    site.world.stylesheets.faults["x"] = StylesheetError("rule", 1)
    status, refused = await start(
        site, layout={"type": "custom", "stylesheet": "x"}, multiBroadcastTag="styled"
    )
    assert (status, refused["error"], refused["code"]) == (400, "invalid_stylesheet", 15955)
    path = site.path(f"/broadcast/{made['id']}/streams")
    status, auto = await site.call("PATCH", path, json={"addStream": site.stream})
    assert (status, auto["error"]) == (405, "stream_mode_auto")
    site.world.egress.room = 0
    status, full = await start(site, multiBroadcastTag="other")
    assert (status, full["error"], full["code"]) == (503, "no_capacity", 15951)


async def test_without_a_port_for_it_there_is_no_hls(tmp_path, site):
    parts = site.world.broadcasts._parts
    object.__setattr__(parts, "hls", None)
    status, answer = await start(site)
    assert (status, answer["error"]) == (501, "feature_unavailable")
    assert (await start(site, outputs={"rtmp": [RTMP]}))[0] == 200
