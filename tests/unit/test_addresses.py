"""Which addresses clients are told to send media to."""

from types import SimpleNamespace

import ifaddr
import pytest

from config.load import ConfigurationError
from config.settings import MediaSettings, Settings
from signaling.addresses import lasting, only_loopback, public_addresses, short_lived
from signaling.cli.doctor import examine


def test_configured_addresses_win_in_their_order():
    assert public_addresses("203.0.113.7, 10.0.0.1", "0.0.0.0") == ("203.0.113.7", "10.0.0.1")


def test_a_socket_bound_to_one_address_advertises_that_one():
    assert public_addresses("", "127.0.0.1") == ("127.0.0.1",)


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])
def test_a_wildcard_advertises_every_local_address_with_loopback_last(bound):
    assert public_addresses("", bound)[-1] == "127.0.0.1"


@pytest.mark.parametrize("wrong", ["example.org", "0.0.0.0", "224.0.0.1", "1.2.3"])
def test_what_clients_cannot_reach_is_refused(wrong):
    with pytest.raises(ConfigurationError):
        public_addresses(wrong, "0.0.0.0")


def test_a_media_host_that_is_a_name_is_refused():
    with pytest.raises(ConfigurationError, match="media host"):
        public_addresses("", "localhost")


@pytest.mark.parametrize(
    ("addresses", "lonely"),
    [
        (("127.0.0.1",), True),
        (("127.0.0.1", "::1", "127.0.0.2"), True),
        (("192.168.1.5", "127.0.0.1"), False),
        (("203.0.113.7",), False),
    ],
)
def test_loopback_alone_is_distinguished(addresses, lonely):
    assert only_loopback(addresses) is lonely


@pytest.mark.parametrize(
    "media", [MediaSettings(public_ips="127.0.0.1"), MediaSettings(host="127.0.0.1")]
)
def test_the_doctor_warns_of_loopback_as_the_only_media_address(tmp_path, media):
    found = examine(Settings(media=media), None)
    (finding,) = [one for one in found if one.check == "public ip"]
    assert (finding.state, "Firefox" in finding.advice) == ("warning", True)


def test_of_the_ipv6_addresses_those_that_last_and_reach_far_are_reported():
    names = ["2001:db8::7", "fd00::7", "fe80::7", "::1", "2001:db8::dead", "::ffff:192.0.2.1"]
    assert lasting(names, {"2001:db8::dead"}) == ["2001:db8::7", "fd00::7"]


def test_temporary_and_deprecated_addresses_are_found_in_the_kernels_table():
    table = (
        "00000000000000000000000000000001 01 80 10 80       lo\n"
        "20010db8000000000000000000000007 02 40 00 80     eth0\n"
        "20010db800000000000000000000dead 02 40 00 01     eth0\n"
        "20010db800000000000000000000beef 02 40 00 20     eth0\n"
    )
    assert short_lived(table) == {"2001:db8::dead", "2001:db8::beef"}


def test_only_a_socket_that_takes_ipv6_reports_it(monkeypatch):
    adapter = SimpleNamespace(
        ips=[
            ifaddr.IP("192.0.2.7", 24, "eth0"),
            ifaddr.IP(("2001:db8::7", 0, 0), 64, "eth0"),
        ]
    )
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [adapter])
    assert public_addresses("", "0.0.0.0") == ("192.0.2.7", "127.0.0.1")
    assert public_addresses("", "::") == ("192.0.2.7", "2001:db8::7", "127.0.0.1")
