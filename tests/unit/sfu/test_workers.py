"""A plane over several cores: which session goes where, and what is told of all of them."""

from itertools import count

import pytest

from sfu import core_api
from sfu.core_api import CommandFailed, ConsentExpired, Direction, PayloadAccess
from sfu.native_plane import NativeMediaPlane
from sfu.peer_transport import MediaPlaneSettings
from tests.fakes.media_router import FakeMediaRouter


class Farm:
    """A plane over `number` cores in memory."""

    def __init__(self, peers, number, port=None):
        self.peers = peers
        handles = count(1)
        ports = range(20_000, 20_000 + number)
        self.routers = [FakeMediaRouter(local_port=port, handles=handles) for port in ports]
        self.clock = peers.VirtualScheduler()
        settings = MediaPlaneSettings(("192.0.2.1",), port=port)
        self.plane = NativeMediaPlane(self.routers, settings, self.clock)

    async def publisher(self, session, name="ann"):
        """A client of the session with an uplink, and the answer it got."""
        media = session.open_client(name, self.peers.Listener())
        answer = await media.publish(
            f"st-{name}", self.peers.PeerConnection().offer(), self.peers.TRACKS
        )
        return media, answer


@pytest.fixture
def two(peers):
    return Farm(peers, 2)


async def test_a_new_session_goes_where_the_fewest_clients_are(two):
    first = two.plane.open_session("one", e2ee=True)
    for name in ("ann", "ben"):
        await two.publisher(first, name)
    second = two.plane.open_session("two", e2ee=True)
    await two.publisher(second)
    third = two.plane.open_session("three", e2ee=True)
    dumps = [await session.dump() for session in (first, second, third)]
    assert [dump.worker for dump in dumps] == [0, 1, 1]


async def test_empty_sessions_are_dealt_out_in_turn_and_give_their_place_back(two):
    sessions = [two.plane.open_session(name, e2ee=True) for name in "abcd"]
    assert [(await session.dump()).worker for session in sessions] == [0, 1, 0, 1]
    sessions[1].close()
    sessions[3].close()
    dump = await two.plane.open_session("e", e2ee=True).dump()
    assert dump.worker == 1
    access = core_api.OpenRouter(two.plane.sessions["e"].handle, PayloadAccess.OPAQUE)
    assert two.routers[1].commands[-1] == access


async def test_clients_learn_the_port_of_their_own_sessions_worker(two):
    ports = []
    for name in ("one", "two"):
        _, answer = await two.publisher(two.plane.open_session(name, e2ee=True))
        ports.append({line.split()[5] for line in answer.sdp.splitlines() if "candidate:" in line})
    assert ports == [{"20000"}, {"20001"}]
    assert two.plane.ports == (20_000, 20_001)


async def test_a_mapped_port_counts_up_with_the_worker(peers):
    farm = Farm(peers, 2, port=443)
    farm.plane.open_session("one", e2ee=True)
    _, answer = await farm.publisher(farm.plane.open_session("two", e2ee=True))
    assert " 192.0.2.1 444 typ host" in answer.sdp


async def test_what_a_worker_says_of_anothers_handle_means_nothing(two):
    clients = [
        (await two.publisher(two.plane.open_session(name, e2ee=True)))[0] for name in ("a", "b")
    ]
    handles = [client.dump().transports[0].handle for client in clients]
    assert handles[0] != handles[1]
    two.routers[1].deliver(ConsentExpired(handles[0]), ConsentExpired(handles[1]))
    assert [len(client.dump().transports) for client in clients] == [1, 0]
    assert two.plane.contexts[0].transports[handles[0]].direction is Direction.UPLINK


async def test_the_counters_are_those_of_all_workers_together(two):
    for name in ("one", "two"):
        await two.publisher(two.plane.open_session(name, e2ee=True))
    counters = two.plane.counters()
    assert (counters["transports"], counters["publishers"]) == (2, 2)


async def test_a_worker_that_has_ended_is_given_no_more_sessions(two):
    two.routers[0].deliver(CommandFailed("worker", 0, "thread_ended"))
    sessions = [two.plane.open_session(name, e2ee=True) for name in "abc"]
    assert [(await session.dump()).worker for session in sessions] == [1, 1, 1]
    assert two.plane.counters()["commands_failed.worker"] == 1


async def test_closing_the_plane_closes_every_worker(two):
    two.plane.open_session("one", e2ee=True)
    await two.plane.close()
    assert [router.closed for router in two.routers] == [True, True]
