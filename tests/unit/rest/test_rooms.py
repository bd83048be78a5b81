"""Rooms of the page: opened and joined without credentials, sealed, limited, and switched off."""

import json
from types import SimpleNamespace

import pytest

from config.settings import RoomsSettings
from signaling.domain.tokens import verify_client_token
from signaling.rooms import Rooms
from signaling.storage.sqlite import open_sqlite


class FakeClock:
    now_s = 1_800_000_000.0

    def monotonic_s(self):
        return self.now_s

    def unix_s(self):
        return self.now_s


@pytest.fixture
async def store(tmp_path):
    opened = await open_sqlite(tmp_path, busy_timeout_ms=1_000)
    yield opened
    await opened.close()


async def enter(rooms, session=None, body=b"{}"):
    async def read(_limit):
        return body

    match_info = {} if session is None else {"session": session}
    request = SimpleNamespace(match_info=match_info, content=SimpleNamespace(read=read))
    answer = await rooms.handle(request)
    return answer.status, json.loads(answer.body)


async def test_a_room_is_a_sealed_session_and_its_link_lets_others_in(store):
    rooms = Rooms(store, FakeClock(), RoomsSettings())
    status, opened = await enter(rooms, body=b'{"name": "Ada"}')
    assert status == 200
    record = await store.session(opened["sessionId"])
    assert record.options.e2ee is True
    status, joined = await enter(rooms, opened["sessionId"])
    assert status == 200
    project = await store.project_named(joined["apiKey"])
    claims = [
        verify_client_token(way["token"], project, opened["sessionId"], FakeClock.now_s)
        for way in (opened, joined)
    ]
    assert [claim.role.value for claim in claims] == ["moderator", "publisher"]


async def test_sessions_of_applications_can_not_be_joined_through_rooms(store):
    rooms = Rooms(store, FakeClock(), RoomsSettings())
    await enter(rooms)
    assert (await enter(rooms, "2_somebody-elses"))[0] == 404


async def test_rooms_keep_their_project_over_a_restart(store):
    first = await enter(Rooms(store, FakeClock(), RoomsSettings()))
    again = await enter(Rooms(store, FakeClock(), RoomsSettings()))
    assert first[1]["apiKey"] == again[1]["apiKey"]


async def test_rooms_are_limited_and_come_back_with_time(store):
    clock = FakeClock()
    rooms = Rooms(store, clock, RoomsSettings(per_minute=2))
    statuses = [(await enter(rooms))[0] for _ in range(3)]
    assert statuses == [200, 200, 429]
    clock.now_s += 60
    assert (await enter(rooms))[0] == 200


async def test_rooms_that_are_switched_off_do_not_exist(store):
    rooms = Rooms(store, FakeClock(), RoomsSettings(enabled=False))
    assert (await enter(rooms))[0] == 404


@pytest.mark.parametrize(
    "body", [b"{", b"[" * 5_000, b'{"name": 5}', b'{"name": "a\\nb"}', b"x" * 5_000, b"[]"]
)
async def test_bad_bodies_get_an_error_with_a_message(store, body):
    status, answer = await enter(Rooms(store, FakeClock(), RoomsSettings()), body=body)
    assert status in (400, 413)
    assert answer["message"]
