"""The routes of archives on a server that records: what callers get, and downloads."""

import pytest
from aiohttp.test_utils import TestClient, TestServer

from sfu.egress.composition import Composition, Layout
from signaling.domain.archive_links import LINK_S, link_path
from tests.archive_world import ArchiveWorld
from tests.conversation import settle
from tests.rest_caller import PUBLIC_PEM, Caller
from tests.rest_server import open_rest_server

INDIVIDUAL = {"outputMode": "individual"}


@pytest.fixture
async def site(tmp_path):
    """A caller, and the archives of its server in `site.world`; one client publishes."""
    worlds = []

    def archives_of(store, owner):
        worlds.append(ArchiveWorld(store, tmp_path, owner))
        return worlds[0].archives

    server = await open_rest_server(tmp_path, archives_of=archives_of, public_key_pem=PUBLIC_PEM)
    async with TestClient(TestServer(server.app)) as client:
        caller = Caller(server, client)
        caller.world = worlds[0]
        await server.store.add_session(caller.world.session)
        caller.ann, caller.stream = await caller.world.publisher()
        yield caller
        await caller.world.close()


async def start(site, **members):
    body = {"sessionId": site.world.session.session_id, **INDIVIDUAL, **members}
    return await site.call("POST", site.path("/archive"), json=body)


async def available(site) -> dict[str, object]:
    _, made = await start(site)
    site.world.egress.jobs[made["id"]].record(64_400)
    await site.call("POST", site.path(f"/archive/{made['id']}/stop"))
    await site.world.over()
    _, shown = await site.call("GET", site.path(f"/archive/{made['id']}"))
    return shown


async def test_a_started_archive_is_answered_as_the_sdks_read_it(site):
    status, made = await start(site, name="n", multiArchiveTag="t")
    assert status == 200
    now_ms = site.world.archives._parts.unix_ms()
    assert made == {
        "id": made["id"],
        "status": "started",
        "name": "n",
        "reason": "",
        "sessionId": site.world.session.session_id,
        "projectId": site.project.api_key,
        "partnerId": int(site.project.api_key),
        "createdAt": now_ms,
        "updatedAt": now_ms,
        "size": 0,
        "duration": 0,
        "outputMode": "individual",
        "streamMode": "auto",
        "hasAudio": True,
        "hasVideo": True,
        "hasTranscription": False,
        "url": None,
        "streams": [],
        "multiArchiveTag": "t",
        "sha256sum": "",
        "password": "",
        "event": "archive",
    }
    _, shown = await site.call("GET", site.path(f"/archive/{made['id']}"), headers=site.unified())
    assert shown["applicationId"] == site.project.application_id
    assert "projectId" not in shown


async def test_an_archive_is_stopped_listed_and_deleted(site):
    _, made = await start(site)
    job = site.world.egress.jobs[made["id"]]
    job.is_slow = True
    job.record(64_400)
    path = site.path(f"/archive/{made['id']}")
    assert (await site.call("DELETE", path))[0] == 409
    status, stopped = await site.call("POST", path + "/stop")
    assert (status, stopped["status"], stopped["reason"]) == (200, "stopped", "user initiated")
    status, body = await site.call("POST", path + "/stop")
    assert (status, body["error"]) == (409, "archive_not_recording")
    job.complete()
    await site.world.over()
    _, page = await site.call("GET", site.path("/archive?count=1"))
    assert (page["count"], page["items"][0]["status"]) == (1, "available")
    assert (page["items"][0]["duration"], page["items"][0]["size"]) == (64, 1_002)
    for query, count in (("sessionId=x", 0), ("session_id=x", 0), ("offset=1", 1)):
        _, page = await site.call("GET", site.path(f"/archive?{query}"))
        assert (page["count"], page["items"]) == (count, [])
    assert await site.call("DELETE", path) == (204, None)
    assert (await site.call("GET", path))[0] == 404


async def composed(site, **members):
    return await start(site, outputMode=None, **members)


async def test_the_default_is_one_composed_file(site):
    status, made = await composed(site)
    assert (status, made["outputMode"], made["resolution"]) == (200, "composed", "640x480")
    assert not {"maxBitrate", "quantizationParameter"} & made.keys()
    job = site.world.egress.jobs[made["id"]]
    assert job.job.composition == Composition(640, 480, Layout())
    job.record(64_400)
    path = site.path(f"/archive/{made['id']}")
    await site.call("POST", path + "/stop")
    await site.world.over()
    _, shown = await site.call("GET", path)
    assert (shown["status"], shown["resolution"]) == ("available", "640x480")
    url = shown["url"].removeprefix("http://node.test")
    assert url.endswith("/archive.mp4")
    async with site.client.get(url) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "video/mp4")
        assert f"{made['id']}.mp4" in answer.headers["Content-Disposition"]
    async with site.client.get(url.replace(".mp4", ".zip")) as answer:
        assert answer.status == 404
    sent = [notice.archive for notice in site.world.notices if notice.event == "archive"]
    assert {(one["outputMode"], one["resolution"]) for one in sent} == {("composed", "640x480")}


async def test_what_is_composed_is_what_was_asked_for(site):
    layout = {"type": "bestFit", "screenshareType": "pip"}
    _, made = await composed(
        site, resolution="720x1280", layout=layout, maxBitrate=500_000, hasAudio=False
    )
    assert (made["resolution"], made["maxBitrate"]) == ("720x1280", 500_000)
    wanted = Composition(720, 1280, Layout("bestFit", "pip"), has_audio=False, bitrate_bps=500_000)
    assert site.world.egress.jobs[made["id"]].job.composition == wanted
    _, made = await composed(site, multiArchiveTag="t", quantizationParameter=30)
    assert made["quantizationParameter"] == 30
    assert site.world.egress.jobs[made["id"]].job.composition.quantization == 30


async def test_a_layout_is_changed_while_a_composed_archive_records(site):
    _, made = await composed(site)
    path = site.path(f"/archive/{made['id']}")
    wanted = {"type": "bestFit", "screenshareType": "horizontalPresentation"}
    status, shown = await site.call("PUT", path + "/layout", json=wanted)
    assert (status, shown["id"]) == (200, made["id"])
    job = site.world.egress.jobs[made["id"]]
    assert job.done == ["layout bestFit horizontalPresentation"]
    for body in ({"type": "grid"}, {"type": "pip", "screenshareType": "pip"}, {"type": "custom"}):
        assert (await site.call("PUT", path + "/layout", json=body))[0] == 400
    styled = {"type": "custom", "stylesheet": "stream {}"}
    status, body = await site.call("PUT", path + "/layout", json=styled)
    assert (status, body["code"]) == (501, 15950)
    await site.world.archives._writes.written(made["id"])
    stored = await site.world.store.archives.archive(made["id"])
    assert stored.composition.layout == Layout("bestFit", "horizontalPresentation")
    job.record(1_000)
    await site.call("POST", path + "/stop")
    status, body = await site.call("PUT", path + "/layout", json=wanted)
    assert (status, body["error"]) == (409, "archive_not_recording")


async def test_what_is_not_built_is_said(site):
    status, body = await composed(site, hasTranscription=True)
    assert (status, body["code"]) == (501, 15950)
    status, body = await composed(site, layout={"type": "custom", "stylesheet": "stream {}"})
    assert (status, body["code"]) == (501, 15950)
    assert "'custom'" in body["message"]
    assert not site.world.egress.jobs


async def test_checks_come_in_their_order(site):
    other = await site.create(e2ee="true")
    status, body = await start(site, sessionId=other)
    assert (status, body["code"]) == (409, 15900)
    relayed = await site.create(**{"p2p.preference": "enabled"})
    assert (await start(site, sessionId=relayed))[1]["code"] == 15008
    empty = await site.create()
    status, body = await start(site, sessionId=empty, hasTranscription=True)
    assert (status, body["code"]) == (501, 15950)
    status, body = await start(site, sessionId=empty)
    assert (status, body["error"]) == (404, "nobody_connected")
    await start(site)
    site.world.files.free = 0
    status, body = await start(site)
    assert (status, body["error"]) == (409, "archive_running")
    status, body = await start(site, multiArchiveTag="t")
    assert (status, body["code"]) == (503, 15951)


async def test_a_server_without_room_says_when_to_try_again(site):
    site.world.egress.room = 0
    body = {"sessionId": site.world.session.session_id, **INDIVIDUAL}
    async with site.client.post(site.path("/archive"), json=body, headers=site.legacy()) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "30")


@pytest.mark.parametrize(
    "members",
    [{"name": "n" * 1_001}, {"name": "\0"}, {"multiArchiveTag": "\0"}, {"resolution": "640x480"}],
)
async def test_what_cannot_be_stored_or_is_for_composed_archives_is_refused(site, members):
    status, body = await start(site, **members)
    assert (status, body["error"]) == (400, "invalid_parameter")


async def test_streams_are_chosen_one_by_one_in_manual_mode(site):
    _, made = await start(site, streamMode="manual")
    path = site.path(f"/archive/{made['id']}/streams")
    added = {"addStream": site.stream, "hasVideo": False}
    assert await site.call("PATCH", path, json=added) == (204, None)
    _, shown = await site.call("GET", site.path(f"/archive/{made['id']}"))
    streams = [{"streamId": site.stream, "hasAudio": True, "hasVideo": False}]
    assert shown["streams"] == streams
    assert await site.call("PATCH", path, json={"removeStream": site.stream}) == (204, None)
    for body in ({"addStream": "x"}, {"removeStream": site.stream}):
        status, answer = await site.call("PATCH", path, json=body)
        assert (status, answer["error"]) == (404, "stream_not_found")
    neither = {"addStream": site.stream, "hasAudio": False, "hasVideo": False}
    assert (await site.call("PATCH", path, json=neither))[0] == 400
    _, auto = await start(site, multiArchiveTag="auto")
    path = site.path(f"/archive/{auto['id']}/streams")
    status, answer = await site.call("PATCH", path, json=added)
    assert (status, answer["error"]) == (405, "stream_mode_auto")


async def test_an_individual_archive_has_no_layout(site):
    _, made = await start(site)
    layout = site.path(f"/archive/{made['id']}/layout")
    status, body = await site.call("PUT", layout, json={"type": "pip"})
    assert (status, body["error"]) == (400, "invalid_parameter")


async def test_what_a_project_starts_stops_and_deletes_is_in_the_audit_log(site, record):
    done = await available(site)
    await site.call("DELETE", site.path(f"/archive/{done['id']}"))
    lines = [line for line in record() if line["event"].startswith("archive ")]
    assert [line["event"] for line in lines] == [
        "archive started",
        "archive stopped",
        "archive deleted",
    ]
    assert {line["project"] for line in lines} == {site.project.api_key}


# --- downloads ----------------------------------------------------------------------------


async def test_a_file_is_downloaded_whole_in_part_and_not_at_all_when_it_has_not_changed(site):
    done = await available(site)
    link = done["url"].removeprefix("http://node.test")
    async with site.client.get(link) as answer:
        content = await answer.read()
        assert (answer.status, len(content)) == (200, done["size"])
        assert answer.headers["Content-Type"] == "application/zip"
        wanted = f'attachment; filename="{done["id"]}.zip"'
        assert answer.headers["Content-Disposition"] == wanted
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "no-store" in answer.headers["Cache-Control"]
    async with site.client.get(link, headers={"Range": "bytes=0-1"}) as answer:
        assert (answer.status, await answer.read()) == (206, b"PK")
        assert answer.headers["Content-Range"] == f"bytes 0-1/{done['size']}"
    async with site.client.head(link) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(done["size"]))
    async with site.client.get(link, headers={"Range": "bytes=9999-"}) as answer:
        assert (answer.status, (await answer.json())["error"]) == (416, "range_invalid")
    async with site.client.post(link) as answer:
        assert answer.status == 405


async def test_a_link_is_only_good_for_its_own_archive_and_for_ten_minutes(site):
    done = await available(site)
    project, archive = site.project, done["id"]
    now_s = int(site.world.house.time.unix_s())
    good = link_path(project, archive, now_s, "archive.zip")
    expiry, _, signature = good.split("/")[3].partition(".")
    later = str(int(expiry) + 1)
    wrong = [
        good.replace(signature, "0" * 64),
        good.replace(expiry, later),
        good.replace(archive, "00000000-0000-4000-8000-000000000000"),
        good.replace(signature, "ä" * 64),
        good.replace(signature, signature[:-1]),
        good.replace(expiry, "9" * 30),
        good.replace(expiry, ""),
        good.replace(expiry, "²"),
        "/archives/x/y/archive.zip",
    ]
    for path in wrong:
        async with site.client.get(path) as answer:
            assert (answer.status, (await answer.json())["error"]) == (404, "archive_not_found")


async def test_an_old_link_says_that_it_expired(site):
    done = await available(site)
    old = link_path(
        site.project, done["id"], int(site.world.house.time.unix_s()) - LINK_S, "archive.zip"
    )
    async with site.client.get(old) as answer:
        assert (answer.status, (await answer.json())["error"]) == (403, "link_expired")


async def test_a_file_that_expired_or_was_deleted_cannot_be_downloaded(site):
    done = await available(site)
    link = done["url"].removeprefix("http://node.test")
    await site.call("DELETE", site.path(f"/archive/{done['id']}"))
    async with site.client.get(link) as answer:
        assert answer.status == 404
    await settle()


async def test_a_link_in_the_place_of_a_file_is_not_followed(site, tmp_path):
    done = await available(site)
    (file,) = site.world.files._root.glob("*/*/archive.zip")
    secret = tmp_path / "secret"
    secret.write_text("the server's own")
    file.unlink()
    file.symlink_to(secret)
    async with site.client.get(done["url"].removeprefix("http://node.test")) as answer:
        assert (answer.status, (await answer.json())["error"]) == (404, "archive_not_found")
