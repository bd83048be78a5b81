"""What REST sees and does in a session that somebody is in."""

import json

import pytest

from signaling.domain.session_options import MediaMode, SessionOptions, SessionRecord
from signaling.rest.live_sessions import LiveSession

# --- what is going on in a session --------------------------------------------------------


async def test_a_stream_is_explained_with_codes_sentences_and_figures(room):
    status, body = await room.call("GET", room.path(room.room + "/stream/str-1/explain"))
    assert status == 200
    assert (body["streamId"], body["measuredMs"]) == ("str-1", 1000)
    assert body["tracks"][0]["encodings"] == [
        {
            "rid": "f",
            "bitrate": 700_000,
            "live": True,
            "wanted": True,
            "width": 640,
            "height": 360,
            "frameRate": 29.97,
        }
    ]
    (subscriber,) = body["subscribers"]
    assert subscriber["decryption"] == {"mismatch": False, "decrypted": 0, "failed": 0}
    (received,) = subscriber["received"]
    assert (received["flowing"], received["lossPercent"]) == (False, 12.5)
    assert received["reasons"] == [
        {
            "code": "withheld",
            "message": "The media core does not forward the track to the subscriber.",
            "detail": "paused",
        }
    ]


def in_use(number: int, *, relayed: bool = False) -> LiveSession:
    mode = MediaMode.RELAYED if relayed else MediaMode.ROUTED
    record = SessionRecord(f"2_{number}", "1", SessionOptions(media_mode=mode, e2ee=True), number)
    return LiveSession(record, connections=2, streams=1)


async def test_the_sessions_with_clients_are_listed_page_by_page(caller):
    live = caller.server.live
    assert await caller.call("GET", caller.path("/session")) == (200, {"count": 0, "items": []})
    live.live_sessions = [in_use(1), in_use(2, relayed=True), in_use(3)]
    assert live.asked[-1] == ("sessions", caller.server.project.api_key)
    status, body = await caller.call("GET", caller.path("/session?offset=1&count=1"))
    assert (status, body["count"]) == (200, 3)
    assert body["items"] == [
        {
            "sessionId": "2_2",
            "mediaMode": "relayed",
            "e2ee": True,
            "createdAt": 2,
            "connectionCount": 2,
            "streamCount": 1,
        }
    ]
    _, one = await caller.call("GET", caller.path("/session?sessionId=2_3"))
    assert [item["sessionId"] for item in one["items"]] == ["2_3"]
    assert (await caller.call("GET", caller.path("/session?count=-1")))[0] == 400


async def test_an_unknown_stream_and_anothers_session_are_not_explained(room):
    path = room.path(room.room + "/stream/nobody/explain")
    assert (await room.call("GET", path))[0] == 404
    assert (await room.call("GET", room.path("/session/2_x/stream/str-1/explain")))[0] == 404


async def test_a_signal_reaches_all_or_one(room):
    status, _ = await room.call(
        "POST", room.path(room.room + "/signal"), json={"type": "chat", "data": "hi"}
    )
    assert (status, room.raw) == (204, b"")
    path = room.path(room.room + "/connection/conn-1/signal")
    assert (await room.call("POST", path, json={"type": None, "data": ""}))[0] == 204
    assert room.server.live.asked == [
        ("signal", None, "chat", "hi"),
        ("signal", "conn-1", None, ""),
    ]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"type": "chat"}, 400, 15202),
        ({"data": 5}, 400, 400),
        ({"data": "x" * 8_193}, 413, 413),
        ({"data": "ü" * 4_097}, 413, 413),
        ({"data": "", "type": "t" * 129}, 413, 413),
        ([], 400, 400),
    ],
)
async def test_a_signal_within_no_limits_is_refused(room, body, status, code):
    answer = await room.call("POST", room.path(room.room + "/signal"), json=body)
    assert (answer[0], answer[1]["code"]) == (status, code)


async def test_half_a_surrogate_pair_is_refused(room):
    path = room.path(room.room + "/signal")
    assert (await room.call("POST", path, data=b'{"data":"\\ud800"}'))[0] == 400


async def test_a_signal_to_nobody_is_404(room):
    path = room.path(room.room + "/connection/gone/signal")
    assert (await room.call("POST", path, json={"data": ""}))[0] == 404
    room.server.live.connections_of.clear()
    path = room.path(room.room + "/signal")
    assert (await room.call("POST", path, json={"data": ""}))[0] == 404


STREAM = {"id": "str-1", "videoType": "screen", "name": "Bob", "layoutClassList": []}


async def test_streams_are_listed_and_read(room):
    path = room.path(room.room + "/stream")
    assert await room.call("GET", path) == (200, {"count": 1, "items": [STREAM]})
    assert await room.call("GET", path + "/str-1") == (200, STREAM)
    assert (await room.call("GET", path + "/other"))[0] == 404


async def test_the_sdk_that_parses_twice_gets_a_stream_as_text(room):
    agent = {"User-Agent": "OpenTok-Node-SDK/2.23.2"}
    await room.call("GET", room.path(room.room + "/stream/str-1"), extra=agent)
    assert room.content_type == "text/plain; charset=utf-8"
    assert json.loads(room.raw) == STREAM


async def test_layout_classes_are_set_or_refused_as_a_whole(room):
    path = room.path(room.room + "/stream")
    items = [{"id": "str-1", "layoutClassList": ["focus"]}]
    changed = {**STREAM, "layoutClassList": ["focus"]}
    assert await room.call("PUT", path, json={"items": items}) == (
        200,
        {"count": 1, "items": [changed]},
    )
    for bad in ([{"id": 1}], ["x"], "x", [{"id": "str-1", "layoutClassList": "focus"}]):
        assert (await room.call("PUT", path, json={"items": bad}))[0] == 400
    status, _ = await room.call("PUT", path, json={"items": [{"id": "gone"}]})
    assert status == 404


async def test_connections_are_listed_in_the_dialect_of_the_project(room):
    path = room.path(room.room + "/connection")
    status, body = await room.call("GET", path)
    assert (status, body["count"], body["projectId"]) == (200, 1, room.project.api_key)
    assert body["items"] == [
        {"connectionId": "conn-1", "connectionState": "Connected", "createdAt": 1234}
    ]
    _, body = await room.call("GET", path, headers=room.unified())
    assert body["applicationId"] == room.project.application_id


async def test_a_client_is_disconnected_with_204_and_an_unknown_one_404(room):
    path = room.path(room.room + "/connection/")
    status, _ = await room.call("DELETE", path + "conn-1")
    assert (status, room.raw) == (204, b"")
    assert (await room.call("DELETE", path + "gone"))[0] == 404


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"active": True, "excludedStreams": ["A"]}, (True, ("A",))),
        ({"active": True, "excludedStreamIds": None}, (True, ())),
        ({"active": True, "excludedStreamIds": ["B"]}, (True, ("B",))),
        ({"active": False}, (False, ())),
    ],
)
async def test_all_are_muted_in_both_dialects(room, body, asked):
    status, answer = await room.call("POST", room.path(room.room + "/mute"), json=body)
    assert (status, answer["status"]) == (200, "ACTIVE")
    assert room.server.live.asked == [("force_mute_all", *asked)]


async def test_one_stream_is_muted_whatever_the_body(room):
    path = room.path(room.room + "/stream/str-1/mute")
    for body in (b"", b"{}", b"anything"):
        assert (await room.call("POST", path, data=body))[0] == 200
    assert (await room.call("POST", path.replace("str-1", "gone")))[0] == 404


async def test_tones_have_no_leg_to_go_to(room):
    path = room.path(room.room + "/play-dtmf")
    assert (await room.call("POST", path, json={"digits": "12p#*"}))[0] == 404
    assert (await room.call("POST", path, json={"digits": "x"}))[0] == 400
    assert (await room.call("POST", path, json={}))[0] == 400
