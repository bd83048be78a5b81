"""Which addresses clients are told to send media to."""

import pytest

from config.load import ConfigurationError
from config.settings import MediaSettings, Settings
from signaling.addresses import only_loopback, public_addresses
from signaling.doctor import examine


def test_configured_addresses_win_in_their_order():
    assert public_addresses("203.0.113.7, 10.0.0.1", "0.0.0.0") == ("203.0.113.7", "10.0.0.1")


def test_a_socket_bound_to_one_address_advertises_that_one():
    assert public_addresses("", "127.0.0.1") == ("127.0.0.1",)


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])
def test_a_wildcard_advertises_every_local_address_with_loopback_last(bound):
    assert public_addresses("", bound)[-1] == "127.0.0.1"


@pytest.mark.parametrize("wrong", ["example.org", "0.0.0.0", "224.0.0.1", "1.2.3"])
def test_what_clients_can_not_reach_is_refused(wrong):
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
def test_loopback_alone_is_told_apart(addresses, lonely):
    assert only_loopback(addresses) is lonely


@pytest.mark.parametrize(
    "media", [MediaSettings(public_ips="127.0.0.1"), MediaSettings(host="127.0.0.1")]
)
def test_the_doctor_warns_of_loopback_as_the_only_media_address(tmp_path, media):
    found = examine(Settings(media=media), None)
    (finding,) = [one for one in found if one.check == "public ip"]
    assert (finding.state, "Firefox" in finding.advice) == ("warning", True)
