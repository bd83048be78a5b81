"""A moderator's application mutes a session before, between and after its clients are there."""

import pytest

from sfu.core_api import MediaKind
from signaling.domain.session_ids import new_session_id
from signaling.protocol import messages as m
from signaling.rest.live_actors import LiveActors
from signaling.sessions.directory import MAX_MUTED
from tests.conversation import House, settle


@pytest.fixture
def house() -> House:
    return House(linger_ms=1_000)


async def mute(house: House, *, active: bool = True) -> None:
    live = LiveActors(house.directory, house.time)
    await live.force_mute_all(house.record, active=active, excluded=())


async def audio_is_forwarded(house: House) -> bool:
    """Whether a client that joins now and publishes is heard."""
    client = await house.joined()
    published = await client.publish()
    return house.stream(published).forwarding.get(MediaKind.AUDIO, True)


async def test_streams_published_after_the_mute_of_an_empty_session_are_muted(house) -> None:
    await mute(house)
    assert not await audio_is_forwarded(house)


async def test_who_joins_a_muted_session_is_notified(house) -> None:
    await mute(house)
    client = await house.joined()
    (welcome,) = client.seen(m.Welcome)
    assert welcome.mute_forced


async def test_an_unmute_of_an_empty_session_is_remembered_too(house) -> None:
    await mute(house)
    await mute(house, active=False)
    assert await audio_is_forwarded(house)


async def test_the_mute_outlasts_the_last_client_until_it_is_lifted(house) -> None:
    await mute(house)
    first = await house.joined()
    first.ask(m.Bye)
    await settle()
    house.time.advance(5)
    assert house.directory.find(house.record.session_id) is None
    assert not await audio_is_forwarded(house)
    await mute(house, active=False)
    assert await audio_is_forwarded(house)


async def test_what_is_remembered_of_empty_sessions_is_bounded(house) -> None:
    for number in range(MAX_MUTED + 10):
        house.directory.mute_all(f"2_{number}", active=True, excluded=())
    assert len(house.directory._muted) == MAX_MUTED


async def test_the_mutes_of_one_project_do_not_push_out_those_of_another(
    house, monkeypatch
) -> None:
    monkeypatch.setattr("signaling.sessions.directory.MAX_MUTED", 10)
    quiet = new_session_id("1", "", 0, bytes(16))
    loud = [new_session_id("2", "", 0, bytes([number] * 16)) for number in range(30)]
    house.directory.mute_all(quiet, active=True, excluded=())
    for session in loud:
        house.directory.mute_all(session, active=True, excluded=())
    assert [one in house.directory._muted for one in (quiet, *loud[:21], *loud[21:])] == [
        True,
        *[False] * 21,
        *[True] * 9,
    ]
