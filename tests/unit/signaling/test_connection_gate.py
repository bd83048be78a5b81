"""Whose connection gives way where there are more of strangers than there may be."""

import random
from collections import Counter

import pytest

from config.settings import HttpSettings
from signaling.http.client_networks import MAX_NETWORKS, NetworkBuckets, client_networks
from signaling.http.connection_gate import ROOM, ConnectionGate, Ending
from tests.fakes.clock import FakeClock


class Hall:
    """A gate, and the connections that came through it in the order of their names."""

    def __init__(self, **settings):
        self.clock, self.counted, self.open = FakeClock(), Counter(), {}
        made = {"requests_per_s_of_network": 0, **settings}
        self.gate = ConnectionGate(HttpSettings(**made), self.clock, self._count)

    def _count(self, ending):
        self.counted[ending] += 1

    def come(self, name, network=1):
        """Whether it was taken; `self.open` has those that still are."""
        return self.come_from(f"10.0.{network}.{len(name)}", name)

    def come_from(self, address, name):
        place = self.gate.take(address, lambda: self.open.pop(name))
        if place is not None:
            self.open[name] = place
        return place is not None


@pytest.fixture
def small():
    return Hall(pending_connections=6, pending_connections_of_network=3)


def test_in_a_full_network_the_one_that_waits_longest_gives_way(small):
    for name in "abc":
        assert small.come(name)
    small.open["a"].work()
    small.open["a"].wait()
    assert small.come("d")
    assert small.come("e")
    assert sorted(small.open) == ["a", "d", "e"]
    assert small.counted == {Ending.GAVE_WAY: 2}


def test_whom_the_server_works_for_does_not_give_way_to_neighbors(small):
    for name in "abc":
        small.come(name)
        small.open[name].work()
    assert not small.come("d")
    assert (sorted(small.open), small.counted) == (["a", "b", "c"], {Ending.NETWORK_LIMIT: 1})
    small.open.pop("b").leave()
    assert small.come("d")


def test_in_a_full_server_somebody_of_the_largest_network_gives_way(small):
    for name in "abc":
        small.come(name, network=1)
    small.come("x", network=2)
    for name in "yz":
        small.come(name, network=3)
    assert small.come("new", network=4)
    assert small.come("other", network=5)
    assert sorted(small.open) == ["b", "c", "new", "other", "x", "z"]


def test_even_one_that_is_worked_for_gives_way_to_another_network(small):
    for name, network in (("a", 1), ("b", 1), ("c", 1), ("x", 2), ("y", 2), ("z", 2)):
        small.come(name, network)
        small.open[name].work()
    assert small.come("new", network=3)
    assert sorted(small.open) == ["b", "c", "new", "x", "y", "z"]


def test_of_more_than_can_be_served_those_who_came_first_are_served():
    """A crowd of networks with one connection each, all of them in work."""
    hall = Hall(pending_connections=4, pending_connections_of_network=0)
    for number in range(4):
        hall.come(f"c{number}", network=number)
        hall.open[f"c{number}"].work()
    assert not hall.come("late", network=9)
    assert (len(hall.open), hall.counted) == (4, {Ending.LIMIT: 1})
    # Of networks that have one each the one that waits longest gives way, wherever it stands.
    hall.open["c2"].wait()
    assert hall.come("next", network=9)
    assert sorted(hall.open) == ["c0", "c1", "c3", "next"]


def test_a_network_that_has_the_most_takes_no_other_networks_place():
    hall = Hall(pending_connections=2, pending_connections_of_network=0)
    hall.come("a", network=1)
    hall.come("x", network=2)
    for number in range(20):
        assert hall.come(f"b{number}", network=1)
    assert sorted(hall.open) == ["b19", "x"]
    hall.open["b19"].work()
    assert not hall.come("c", network=1)
    assert hall.counted[Ending.LIMIT] == 1


def test_an_admitted_client_has_left_and_gives_way_to_nobody(small):
    small.come("member")
    small.open["member"].leave()
    for number in range(50):
        small.come(f"s{number}")
    assert "member" in small.open
    assert len(small.gate) == 3
    # The gate does not see what it does later.
    small.open["member"].wait()
    small.open["member"].leave()
    assert len(small.gate) == 3


def test_connections_of_one_network_have_a_rate_that_time_gives_back():
    hall = Hall(requests_per_s_of_network=2)
    taken = [hall.come(f"a{number}") for number in range(25)]
    assert taken == [True] * 20 + [False] * 5
    assert hall.counted == {Ending.NETWORK_RATE: 5}
    assert hall.come("x", network=2)
    hall.clock.now_s += 1
    assert [hall.come(f"b{number}") for number in range(3)] == [True, True, False]


def test_a_trusted_proxy_opens_as_many_as_it_likes():
    hall = Hall(
        pending_connections=2, pending_connections_of_network=1, trusted_proxies="10.0.9.0/24"
    )
    assert all(hall.come(f"p{number}", network=9) for number in range(100))
    assert (len(hall.gate), len(hall.open)) == (0, 100)


def test_without_limits_everybody_is_taken():
    hall = Hall(pending_connections=0, pending_connections_of_network=0)
    assert all(hall.come(f"a{number}") for number in range(5_000))
    assert not hall.counted


def test_where_the_system_has_no_descriptor_many_give_way_together():
    """One at a time would let a flood that waits in front of the others keep its pace."""
    hall = Hall()
    assert not hall.gate.make_room()
    for number in range(100):
        hall.come(f"a{number}")
    hall.come("x", network=2)
    assert hall.gate.make_room()
    assert len(hall.open) == 101 - ROOM
    assert "x" in hall.open
    assert hall.counted == {Ending.NO_DESCRIPTORS: 2, Ending.GAVE_WAY: ROOM}


def test_a_listener_without_a_descriptor_takes_those_of_another_listener():
    full, empty = Hall(), Hall()
    full.gate.beside.append(empty.gate)
    empty.gate.beside = full.gate.beside
    full.come("a")
    empty.come("x")
    full.come("b")
    assert empty.gate.make_room()
    assert (sorted(full.open), sorted(empty.open)) == ([], ["x"])


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_and_goes_the_limits_hold_and_the_books_balance(seed):
    draw = random.Random(seed)
    hall = Hall(pending_connections=40, pending_connections_of_network=15)
    networks = {}
    for number in range(3_000):
        act = draw.randrange(4)
        if act < 2 or not hall.open:
            name, network = f"c{number}", draw.choice([1, 1, 1, 2, 3, draw.randrange(4, 60)])
            if hall.come(name, network):
                networks[name] = network
        else:
            name = draw.choice(list(hall.open))
            place = hall.open[name]
            (place.work, place.wait)[draw.randrange(2)]()
            if act == 3:
                hall.open.pop(name).leave()
        of_networks = Counter(networks[name] for name in hall.open)
        assert len(hall.gate) == len(hall.open) <= 40
        assert max(of_networks.values(), default=0) <= 15
        assert hall.gate.crowd.largest_size == max(of_networks.values(), default=0)


def test_65536_networks_in_one_of_ipv6_are_one_crowd():
    """Each has one connection, as the honest ones have: they would all be the largest network."""
    draw, hall = random.Random(1), Hall()
    for number in range(20):
        assert hall.come_from(f"2001:db8:{number + 1:x}::1", f"honest{number}")
    for number in range(10_000):
        address = f"2a00:0:1:{draw.randrange(1 << 16):x}::1"
        hall.come_from(address, f"flood{number}")
        if number % 100 == 0:
            assert hall.come_from(f"2001:db9:{number:x}::1", f"new{number}")
            hall.open[f"new{number}"].leave()
    assert all(f"honest{number}" in hall.open for number in range(20))
    assert len(hall.gate) <= HttpSettings().pending_connections
    flooding = sum(name.startswith("flood") for name in hall.open)
    assert flooding == HttpSettings().pending_connections_of_network


def test_neighbors_of_a_flood_in_the_same_network_keep_their_places():
    """Behind one carrier's NAT, in one /48, in one /56."""
    draw, hall = random.Random(2), Hall(pending_connections_of_network=50)
    honest = {
        "v4": "198.51.100.9",
        "other /56": "2001:db8:1:900::1",
        "same /56": "2001:db8:1:109::1",
    }
    for name, address in honest.items():
        assert hall.come_from(address, name)
    for number in range(2_000):
        hall.come_from("198.51.100.7", f"v4 flood {number}")
        hall.come_from("2001:db8:1:107::7", f"v6 flood {number}")
    for number in range(2_000):
        hall.come_from(f"2001:db8:1:1{draw.randrange(16, 256):02x}::1", f"/56 flood {number}")
        assert "other /56" in hall.open
        if number % 100 == 0:
            assert hall.come_from("2001:db8:1:a00::1", f"new {number}")
            hall.open[f"new {number}"].leave()
    assert {"v4", "other /56"} <= set(hall.open)


def test_rates_hold_for_larger_networks_of_ipv6_too_and_are_bounded_in_number():
    draw, buckets = random.Random(3), NetworkBuckets(10.0, 1.0)
    taken = 0
    for _ in range(12_000):
        address = f"2a00:0:1:{draw.randrange(1 << 16):x}::1"
        taken += buckets.takes(client_networks(address, "", ()), 1_000)
    assert taken == 4 * 10
    assert buckets.takes(client_networks("2001:db8::1", "", ()), 1_000)
    assert len(buckets) <= 3 * MAX_NETWORKS
    # A /56 has the turns of two networks.
    of_56 = [
        buckets.takes(client_networks(f"2001:db8:5:{n:x}::1", "", ()), 1_000) for n in range(99)
    ]
    assert of_56.count(True) == 2 * 10
