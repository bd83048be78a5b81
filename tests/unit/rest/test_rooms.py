"""Rooms of the page: created and joined without credentials, encrypted, limited, and disabled."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict

from config.settings import HttpSettings, RoomsSettings
from signaling.administration import create_project
from signaling.domain.tokens import verify_client_token
from signaling.http.client_networks import (
    MAX_NETWORKS,
    NetworkBuckets,
    client_networks,
    networks_of,
)
from signaling.rest.rooms import Rooms
from tests.fakes.clock import FakeClock
from tests.migrated import open_migrated
from tests.rest_server import open_rest_server

NOW_S = 1_800_000_000.0


@pytest.fixture
async def store(tmp_path):
    opened = await open_migrated(tmp_path, busy_timeout_ms=1_000)
    yield opened
    await opened.close()


def rooms_of(store, clock, http=None, **settings):
    limits = RoomsSettings(**({"enabled": True} | settings))
    return Rooms(store, clock, limits, http or HttpSettings())


async def enter(rooms, session=None, body=b"{}", remote="192.0.2.7", headers=(), pieces=1):
    async def segments():
        size = max(1, len(body) // pieces)
        for begin in range(0, len(body), size):
            yield body[begin : begin + size]

    request = SimpleNamespace(
        protocol=None,
        match_info={} if session is None else {"session": session},
        content=SimpleNamespace(iter_any=segments),
        body_exists=True,
        content_length=len(body),
        headers=CIMultiDict(headers),
        remote=remote,
    )
    answer = await rooms.handle(request)
    return answer.status, json.loads(answer.body)


async def test_a_room_is_an_encrypted_session_and_its_link_lets_others_in(store):
    rooms = rooms_of(store, FakeClock(NOW_S))
    status, opened = await enter(rooms, body=b'{"name": "Ada"}')
    assert status == 200
    record = await store.session(opened["sessionId"])
    assert record.options.e2ee is True
    status, joined = await enter(rooms, opened["sessionId"])
    assert status == 200
    project = await store.project_named(joined["apiKey"])
    claims = [
        verify_client_token(way["token"], project, opened["sessionId"], NOW_S)
        for way in (opened, joined)
    ]
    assert [claim.role.value for claim in claims] == ["moderator", "publisher"]


async def test_sessions_of_applications_cannot_be_joined_through_rooms(store):
    rooms = rooms_of(store, FakeClock(NOW_S))
    await enter(rooms)
    assert (await enter(rooms, "2_somebody-elses"))[0] == 404


async def test_first_visitors_at_once_share_one_project(store):
    rooms = rooms_of(store, FakeClock(NOW_S))
    entered = await asyncio.gather(*(enter(rooms) for _ in range(3)))
    assert len({answer["apiKey"] for _, answer in entered}) == 1
    assert len(await store.projects()) == 1


async def test_a_project_of_somebody_else_with_the_name_is_not_that_of_the_rooms(store):
    clock = FakeClock(NOW_S)
    other = await create_project(store, clock, name="rooms of the page")
    opened = await enter(rooms_of(store, clock))
    assert opened[1]["apiKey"] != other.api_key


async def test_rooms_keep_their_project_over_a_restart(store):
    first = await enter(rooms_of(store, FakeClock(NOW_S)))
    again = await enter(rooms_of(store, FakeClock(NOW_S)))
    assert first[1]["apiKey"] == again[1]["apiKey"]


async def test_rooms_are_limited_and_come_back_with_time(store):
    clock = FakeClock(NOW_S)
    rooms = rooms_of(store, clock, per_minute=2)
    statuses = [(await enter(rooms))[0] for _ in range(3)]
    assert statuses == [200, 200, 429]
    clock.now_s += 60
    assert (await enter(rooms))[0] == 200


async def test_rooms_that_are_switched_off_do_not_exist(store):
    clock = FakeClock(NOW_S)
    _, opened = await enter(rooms_of(store, clock))
    off = Rooms(store, clock, RoomsSettings(), HttpSettings())
    for room in (None, opened["sessionId"]):
        status, answer = await enter(off, room)
        assert (status, answer["error"]) == (404, "not_found")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[" * 5_000,
        b'{"name": 5}',
        b'{"name": "a", "name": "b"}',
        b'{"name": "a\\nb"}',
        b"x" * 5_000,
        b"[]",
    ],
)
async def test_bad_bodies_get_an_error_with_a_message(store, body):
    status, answer = await enter(rooms_of(store, FakeClock(NOW_S)), body=body)
    assert status in (400, 413)
    assert answer["message"]


async def test_a_body_may_come_in_pieces(store):
    rooms = rooms_of(store, FakeClock(NOW_S))
    assert (await enter(rooms, body=b'{"name": "Ada"}', pieces=2))[0] == 200


async def test_a_body_that_does_not_end_has_a_deadline(store):
    rooms = rooms_of(store, FakeClock(NOW_S), HttpSettings(read_timeout_ms=100))

    async def never():
        yield b"{"
        await asyncio.Event().wait()

    request = SimpleNamespace(
        protocol=None,
        match_info={},
        content=SimpleNamespace(iter_any=never),
        body_exists=True,
        content_length=None,
        headers=CIMultiDict(),
        remote="192.0.2.7",
    )
    answer = await rooms.handle(request)
    assert (answer.status, json.loads(answer.body)["error"]) == (400, "body_invalid")


async def test_one_network_does_not_take_the_turns_of_others(store):
    rooms = rooms_of(store, FakeClock(NOW_S), per_minute=60, per_minute_of_network=3)
    assert [(await enter(rooms))[0] for _ in range(5)] == [200, 200, 200, 429, 429]
    assert (await enter(rooms, remote="192.0.2.200"))[0] == 429
    assert (await enter(rooms, remote="198.51.100.1"))[0] == 200


async def test_joins_of_rooms_that_are_not_there_take_nobodys_turn(store):
    rooms = rooms_of(
        store, FakeClock(NOW_S), per_minute=1, joins_per_room=5, per_minute_of_network=1
    )
    _, opened = await enter(rooms, remote="198.51.100.1")
    statuses = [(await enter(rooms, f"2_{n}"))[0] for n in range(10)]
    assert statuses == [404] * 5 + [429] * 5
    assert (await enter(rooms, opened["sessionId"], remote="198.51.100.1"))[0] == 200


@pytest.mark.parametrize(
    ("remote", "forwarded", "network"),
    [
        ("192.0.2.7", "", "192.0.2.0/24"),
        ("2001:db8::1:2", "", "2001:db8::/64"),
        ("::ffff:192.0.2.7", "", "192.0.2.0/24"),
        ("192.0.2.7", "198.51.100.1", "192.0.2.0/24"),
        ("10.0.0.5", "198.51.100.1", "198.51.100.0/24"),
        ("10.0.0.5", "203.0.113.9, 198.51.100.1", "198.51.100.0/24"),
        ("10.0.0.5", "198.51.100.1, 10.0.0.6", "198.51.100.0/24"),
        ("10.0.0.5", "not an address", "10.0.0.0/24"),
        ("10.0.0.5", "203.0.113.9, unknown", "10.0.0.0/24"),
        ("10.0.0.5", "203.0.113.9,", "10.0.0.0/24"),
        ("10.0.0.5", "203.0.113.9, 198.51.100.1:4711", "198.51.100.0/24"),
        ("10.0.0.5", "203.0.113.9, [2001:db8::1]:4711", "2001:db8::/64"),
        ("10.0.0.5", "203.0.113.9, [2001:db8::1]", "2001:db8::/64"),
        ("10.0.0.5", "203.0.113.9, unknown, 10.0.0.6:80", "10.0.0.0/24"),
        (None, "", ""),
    ],
)
def test_the_network_of_a_client_is_not_what_it_says_itself(remote, forwarded, network):
    found = client_networks(remote, forwarded, networks_of("10.0.0.0/8"))
    assert [one for one in found if one.endswith(("/24", "/64")) or not one] == [network]


def test_networks_are_forgotten_so_that_they_take_bounded_memory():
    buckets = NetworkBuckets(1.0, 1.0)
    for number in range(MAX_NETWORKS + 10):
        buckets.takes((f"10.{number >> 8}.{number & 255}.0/24",), 0)
    assert len(buckets) == MAX_NETWORKS


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/rooms"),
        ("POST", "/v1/rooms/2_x"),
        ("POST", "/whip/2_x"),
        ("POST", "/admin/v1/projects"),
        ("POST", "/session/create"),
        ("POST", "/v2/project/1/archive"),
        ("GET", "/healthz"),
        ("PUT", "/nothing"),
    ],
)
async def test_compressed_bodies_are_refused_everywhere(tmp_path, method, path, encoding):
    server = await open_rest_server(tmp_path)
    async with TestClient(TestServer(server.app)) as client:
        headers = {"Content-Encoding": encoding}
        async with client.request(method, path, data=b"\x1f\x8b", headers=headers) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"] == "body_invalid"
    await server.store.close()
