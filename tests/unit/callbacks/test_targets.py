"""Callbacks reach the public net and what the operator names, however an address is written."""

import re
import socket
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver
from hypothesis import given
from hypothesis import strategies as st

from sfu.target_policy import TargetPolicy, TargetRefused, networks
from signaling.callbacks.targets import GuardedResolver

PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"]
PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "168.63.129.16",
    "::ffff:168.63.129.16",
    "64:ff9b::a83f:8110",
    "192.88.99.1",
    "::127.0.0.1",
    "::10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b:1::7f00:1",
    "64:ff9b:1:ffff::1",
    "100::1",
    "100:0:0:1::1",
    "5f00::1",
    "fec0::1",
    "feff::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "not an address",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_permitted(address):
    assert TargetPolicy().permits(address)


UNSPECIFIED = "::"
"""coturn refuses it by itself, and reads a range that begins with it as every address there is."""


@pytest.mark.parametrize("address", [one for one in PRIVATE[:-1] if one != UNSPECIFIED])
def test_the_turn_server_relays_to_none_of_them_either(address):
    inner = ip_address(address.partition("%")[0])
    text = (Path(__file__).parents[3] / "deploy" / "turnserver.conf").read_text()
    ranges = [
        row.partition("-") for row in re.findall(r"^denied-peer-ip=(\S+)", text, re.MULTILINE)
    ]
    assert all(first != UNSPECIFIED for first, _, _ in ranges)
    bounds = [(ip_address(first), ip_address(last or first)) for first, _, last in ranges]
    assert any(first.version == inner.version and first <= inner <= last for first, last in bounds)


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_of_inner_networks_are_not(address):
    assert not TargetPolicy().permits(address)


def test_the_operator_names_inner_networks_that_are_meant():
    policy = TargetPolicy(networks("10.0.0.0/8 fd00::/8"))
    assert policy.permits("10.1.2.3")
    assert policy.permits("::ffff:10.1.2.3")
    assert policy.permits("fd00::7")
    assert not policy.permits("192.168.1.1")
    with pytest.raises(ValueError):
        networks("10.0.0.0/99")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "x.localhost"])
def test_this_machine_is_refused_by_any_of_its_names(host):
    with pytest.raises(TargetRefused):
        TargetPolicy().check_host(host)
    TargetPolicy(networks("127.0.0.0/8 ::1/128")).check_host(host)


@given(st.text(max_size=60))
def test_no_text_breaks_the_policy(text):
    TargetPolicy(networks("10.0.0.0/8")).permits(text)


class Book(AbstractResolver):
    def __init__(self, *addresses):
        self.addresses = addresses

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [{"hostname": host, "host": one, "port": port} for one in self.addresses]

    async def close(self):
        pass


async def test_a_name_resolves_to_its_permitted_addresses_alone():
    resolver = GuardedResolver(TargetPolicy(), Book("10.0.0.1", "93.184.216.34"))
    assert [one["host"] for one in await resolver.resolve("a.test")] == ["93.184.216.34"]


async def test_a_name_with_inner_addresses_alone_is_refused():
    with pytest.raises(TargetRefused):
        await GuardedResolver(TargetPolicy(), Book("127.0.0.1")).resolve("rebinding.test")
