"""Where an Audio Connector connects to, and what it says there."""

import asyncio
import socket

import pytest

from sfu.target_policy import TargetPolicy, TargetRefused, networks
from signaling.domain.audio_connecting import Target, check_headers, target_of
from signaling.domain.errors import DomainError, ErrorCode
from signaling.egress.dialing import Dialer


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("ws://example.com", Target("example.com", 80, "/", False)),
        ("wss://Example.com/a/b?c=d&e", Target("example.com", 443, "/a/b?c=d&e", True)),
        ("wss://example.com:8443?x", Target("example.com", 8443, "/?x", True)),
        ("ws://[2001:db8::1]:9/", Target("2001:db8::1", 9, "/", False)),
        ("ws://bücher.example/", Target("xn--bcher-kva.example", 80, "/", False)),
    ],
)
def test_an_address_is_read_as_its_parts(uri, target):
    assert target_of(uri) == target


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "example.com",
        "http://example.com",
        "file:///etc/passwd",
        "ws://",
        "ws:///path",
        "ws://user:pass@example.com/",
        "ws://user@example.com/",
        "ws://example.com/#part",
        "ws://example.com:0/",
        "ws://example.com:99999/",
        "ws://example.com:x/",
        "ws://example.com/a b",
        "ws://example.com/\u00fc",
        "ws://example.com/" + "x" * 2_048,
        "ws://" + "x" * 64 + ".example/",
        "ws://[::1/",
    ],
)
def test_what_is_no_address_of_a_websocket_is_refused(uri):
    with pytest.raises(DomainError) as refused:
        target_of(uri)
    assert refused.value.code is ErrorCode.INVALID_PARAMETER


def test_no_part_of_an_address_makes_a_line_of_its_own():
    for uri in ("ws://example.com/a\r\nX: y", "ws://example.com/\x00"):
        try:
            target = target_of(uri)
        except DomainError:
            continue
        assert target.resource.isprintable()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "x"},
        {"sec-websocket-key": "x"},
        {"Connection": "close"},
        {"X-OpenTok-WS-SessionId": "x"},
        {"transfer-encoding": "chunked"},
        {"X": "a\r\nHost: b"},
        {"X": "a\nb"},
        {"X": "\x00"},
        {"X: Y": "z"},
        {"": "z"},
        {"X": "y" * 512},
    ],
)
def test_headers_of_the_connection_itself_are_not_the_callers(headers):
    with pytest.raises(DomainError) as refused:
        check_headers(headers)
    assert refused.value.code is ErrorCode.INVALID_PARAMETER


def test_other_headers_are_taken_as_they_are():
    check_headers({"Authorization": "Bearer x", "X-Bot": "a b, c", "x_y": ""})


class Resolver:
    def __init__(self, *hosts):
        self.hosts = hosts
        self.asked = 0

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.asked += 1
        at = self.hosts[min(self.asked, len(self.hosts)) - 1]
        return [
            {"hostname": host, "host": at, "port": port, "family": family, "proto": 0, "flags": 0}
        ]

    async def close(self):
        pass


async def test_a_name_that_means_another_address_the_second_time_is_refused_then():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    policy = TargetPolicy(networks("127.0.0.1/32"))
    dialer = Dialer(policy, Resolver("127.0.0.1", "127.0.0.2"))
    with await dialer.dial("rebinding.test", port) as connection:
        assert connection.getpeername() == ("127.0.0.1", port)
        assert not connection.getblocking()
    with pytest.raises(TargetRefused):
        await dialer.dial("rebinding.test", port)
    listener.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "a.localhost", "::1", "10.0.0.1"])
async def test_without_permission_no_inner_address_is_dialed(host):
    with pytest.raises(TargetRefused):
        await Dialer(TargetPolicy()).dial(host, 9)


async def test_a_port_where_nobody_is_leaves_no_descriptor(recwarn):
    dialer = Dialer(TargetPolicy(networks("127.0.0.1/32")))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(OSError):
        await dialer.dial("127.0.0.1", port)
    await asyncio.sleep(0)
    assert not recwarn
