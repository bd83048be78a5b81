"""TURN credentials: whose, how long, and that the shared secret stays inside."""

import base64
import hashlib
import hmac

import pytest

from config.load import ConfigurationError
from config.secret import Secret
from config.settings import IceSettings
from signaling.ice_servers import ice_servers_of
from signaling.protocol.messages import IceServer

SETTINGS = IceSettings(
    stun_urls="stun:t.example:3478",
    turn_urls="turn:t.example turns:t.example:5349?transport=tcp",
    turn_secret=Secret("shared"),
    turn_lifetime_s=600,
)


def test_without_servers_clients_learn_of_none() -> None:
    assert ice_servers_of(IceSettings()).for_client("c", 1) == ()


def test_credentials_name_their_end_and_their_connection_and_carry_the_hmac() -> None:
    stun, turn = ice_servers_of(SETTINGS).for_client("c0ffee", 1_000)
    assert stun == IceServer(urls=("stun:t.example:3478",))
    assert turn.urls == ("turn:t.example", "turns:t.example:5349?transport=tcp")
    assert turn.username == "1600:c0ffee"
    digest = hmac.new(b"shared", b"1600:c0ffee", hashlib.sha1).digest()
    assert base64.b64decode(turn.credential or "") == digest


def test_two_connections_share_no_credential() -> None:
    servers = ice_servers_of(SETTINGS)
    assert servers.for_client("a", 1)[1].credential != servers.for_client("b", 1)[1].credential


def test_the_secret_is_not_printed() -> None:
    assert "shared" not in repr(SETTINGS) + repr(ice_servers_of(SETTINGS))


@pytest.mark.parametrize(
    ("members", "hint"),
    [
        ({"turn_urls": "turn:t.example"}, "turn_secret"),
        ({"turn_urls": "https://t.example", "turn_secret": Secret("s")}, "turn:"),
        ({"turn_urls": "turn:", "turn_secret": Secret("s")}, "turn:"),
        ({"stun_urls": "stun://t.example"}, "stun:"),
        ({"stun_urls": "turn:t.example"}, "stun:"),
    ],
)
def test_what_no_client_could_use_is_refused_at_the_start(
    members: dict[str, object], hint: str
) -> None:
    with pytest.raises(ConfigurationError, match=hint):
        ice_servers_of(IceSettings(**members))
