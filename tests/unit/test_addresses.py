"""Which addresses clients are told to send media to."""

import pytest

from config.load import ConfigurationError
from signaling.addresses import public_addresses


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
