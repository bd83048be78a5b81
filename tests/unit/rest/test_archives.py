"""The routes of archives on a server that records: what callers get."""

import pytest

from sfu.egress.composition import Composition, Layout
from sfu.egress.stylesheets import StylesheetError
from signaling.egress.styles import Styles
from tests.archive_site import INDIVIDUAL, available, open_archive_site, start


@pytest.fixture
async def site(tmp_path):
    async with open_archive_site(tmp_path) as opened:
        yield opened


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
    site.world.stylesheets.faults["stream"] = StylesheetError("rule", 1)
    styled = {"type": "custom", "stylesheet": "stream"}
    status, body = await site.call("PUT", path + "/layout", json=styled)
    assert (status, body["error"], body["code"]) == (400, "invalid_stylesheet", 15955)
    assert "Line 1 " in body["message"]
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
    assert not site.world.egress.jobs


async def test_a_server_that_reads_no_stylesheets_says_so(site):
    object.__setattr__(site.world.archives._parts, "styles", Styles(None, site.world.metrics))
    status, body = await composed(site, layout={"type": "custom", "stylesheet": "stream {}"})
    assert (status, body["code"]) == (501, 15950)
    assert "'custom'" in body["message"]
    assert not site.world.egress.jobs


async def test_a_composed_archive_has_a_custom_layout(site):
    stylesheet = "stream.instructor { position: absolute; width: 100%; height: 50% }"
    _, made = await composed(site, layout={"type": "custom", "stylesheet": stylesheet})
    job = site.world.egress.jobs[made["id"]].job
    assert job.composition.layout == Layout("custom", stylesheet=stylesheet)
    assert [one.stylesheet for one in site.world.stylesheets.asked] == [stylesheet] * 2
    long = {"type": "custom", "stylesheet": " " * 65_537}
    assert (await composed(site, layout=long, multiArchiveTag="long"))[0] == 400


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
