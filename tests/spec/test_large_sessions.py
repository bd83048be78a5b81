"""Large sessions: connection events are batched, and no message overtakes them."""

import pytest

from signaling.protocol import messages as m
from signaling.sessions.actor import LARGE_SESSION, MAX_BATCH_S
from tests.conversation import House, settle

CONNECTIONS = (m.ConnectionCreated, m.ConnectionDestroyed)


@pytest.fixture
async def crowd():
    """A house with as many members as make it large, and what they heard so far forgotten."""
    house = House()
    clients = []
    for _ in range(LARGE_SESSION + 1):
        house.time.advance(1)
        clients.append(await house.joined())
    house.time.advance(1)
    for client in clients:
        client.inbox.clear()
    return house, clients


def connections(client) -> list[str]:
    """Of whom it heard, in order."""
    found = []
    for message in client.inbox:
        if isinstance(message, m.ConnectionCreated):
            found.append(f"+{message.connection.connection_id}")
        elif isinstance(message, m.ConnectionDestroyed):
            found.append(f"-{message.connection_id}")
    return found


async def test_who_comes_and_goes_is_reported_after_a_moment_in_order(crowd):
    house, (ann, ben, *_) = crowd
    new = [await house.joined() for _ in range(3)]
    new[0].ask(m.Bye)
    await settle()
    assert connections(ann) == []
    house.time.advance(MAX_BATCH_S)
    expected = [*(f"+{one.connection}" for one in new), f"-{new[0].connection}"]
    assert connections(ann) == connections(ben) == expected
    house.time.advance(MAX_BATCH_S)
    assert connections(ann) == expected


async def test_nothing_overtakes_the_events_of_a_connection(crowd):
    _, (ann, *_) = crowd
    house = ann.house
    new = await house.joined()
    new.ask(m.Signal, type="x", data="hello")
    kinds = [type(message) for message in ann.inbox]
    assert kinds.index(m.ConnectionCreated) < kinds.index(m.SignalReceived)
    house.time.advance(MAX_BATCH_S)
    assert len(connections(ann)) == 1


async def test_who_joins_meanwhile_learns_of_each_member_once(crowd):
    house, _ = crowd
    first, second = await house.joined(), await house.joined()
    house.time.advance(MAX_BATCH_S)
    assert connections(first) == [f"+{second.connection}"]
    assert connections(second) == []
    assert first.connection in {one.connection_id for one in second.welcome.connections}


async def test_who_comes_back_meanwhile_learns_it_by_its_welcome(crowd):
    house, (ann, *_) = crowd
    new = await house.joined()
    ann.lose_socket()
    assert ann.resume()
    house.time.advance(MAX_BATCH_S)
    assert connections(ann) == []
    assert new.connection in {one.connection_id for one in ann.welcome.connections}


async def test_a_small_session_waits_for_nothing():
    house = House()
    ann = await house.joined()
    ben = await house.joined()
    assert connections(ann) == [f"+{ben.connection}"]


async def test_the_first_event_after_a_quiet_time_waits_for_nothing_and_the_next_ones_do(crowd):
    house, (ann, *_) = crowd
    first = await house.joined()
    house.time.advance(0)
    assert connections(ann) == [f"+{first.connection}"]
    later = [await house.joined() for _ in range(2)]
    house.time.advance(0)
    assert connections(ann) == [f"+{first.connection}"]
    house.time.advance(MAX_BATCH_S)
    assert connections(ann) == [f"+{one.connection}" for one in (first, *later)]
