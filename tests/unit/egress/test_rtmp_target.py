"""RTMP targets over real sockets: alive, gone, back, hanging, forbidden."""

import threading
import time

import pytest

from sfu.egress.child.rtmp_target import RtmpOutput, address_of
from sfu.egress.live_outputs import RtmpTarget
from sfu.target_policy import TargetPolicy, networks
from tests.rtmp_server import RtmpServer
from tests.unit.egress.broadcast_media import encoded

LOOPBACK = TargetPolicy(networks("127.0.0.0/8"))
TRACKS, PACKETS = encoded(4)


class Watch:
    """An output, and the statuses that it reported."""

    def __init__(self, url, policy=LOOPBACK, give_up_s=60.0):
        self.statuses = []
        self._changed = threading.Condition()
        self.output = RtmpOutput(
            RtmpTarget("foo", url, "secret-key"), TRACKS, policy, self._report, give_up_s
        )
        self.output.start()

    def _report(self, status):
        with self._changed:
            self.statuses.append(status)
            self._changed.notify_all()

    def until(self, status, count=1):
        with self._changed:
            assert self._changed.wait_for(lambda: self.statuses.count(status) >= count, 30)


@pytest.fixture
def server():
    made = RtmpServer()
    yield made
    made.close()


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_put_arrives_and_the_end_is_said(server):
    watch = Watch(server.url)
    watch.until("live")
    for packet in PACKETS:
        watch.output.put(packet)
    watch.output.end(10.0)
    assert watch.statuses == ["connecting", "live", "offline"]
    (peer,) = server.peers
    until(lambda: peer.commands[-1][0] == "deleteStream")
    assert len(peer.video) == 1 + sum(one.kind == "video" for one in PACKETS)
    assert len(peer.audio) == 1 + sum(one.kind == "audio" for one in PACKETS)


def test_a_target_that_comes_back_goes_on_with_a_key_frame(server):
    watch = Watch(server.url)
    watch.until("live")
    for packet in PACKETS[:30]:
        watch.output.put(packet)
    until(lambda: len(server.peers[0].video) > 2)
    server.hang_up()
    watch.until("offline")
    for packet in PACKETS[30:]:
        watch.output.put(packet)
    watch.until("live", 2)
    until(lambda: len(server.peers[1].video) > 1)
    assert server.peers[1].video[1].body[0] == 0x17
    watch.output.end(10.0)
    assert watch.statuses == ["connecting", "live", "offline", "live", "offline"]


def test_a_target_that_refuses_is_given_up():
    server = RtmpServer()
    server.refuses = "connect"
    watch = Watch(server.url, give_up_s=0.5)
    watch.until("error")
    assert watch.statuses == ["connecting", "error"]
    watch.output.end()
    server.close()


def test_a_target_that_nobody_listens_at_is_given_up():
    server = RtmpServer()
    server.close()
    watch = Watch(server.url, give_up_s=0.2)
    watch.until("error")
    assert watch.statuses == ["connecting", "error"]


def test_a_target_that_hangs_holds_nobody_up(server):
    watch = Watch(server.url)
    watch.until("live")
    server.reads.clear()
    began = time.monotonic()
    large = [
        type(one)(one.kind, one.data + bytes(20_000), one.at, one.duration, one.key)
        for one in PACKETS
    ]
    for turn in range(10):
        for packet in large:
            hz = 30 if packet.kind == "video" else 48_000
            watch.output.put(
                type(packet)(
                    packet.kind, packet.data, packet.at + 4 * hz * turn, packet.duration, packet.key
                )
            )
    assert watch.output.lost_groups > 5
    watch.output.end(0.1)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("policy", [TargetPolicy(), TargetPolicy(networks("10.0.0.0/8"))])
def test_an_address_that_is_not_allowed_is_never_connected_to(server, policy):
    for host in ("127.0.0.1", "localhost"):
        watch = Watch(server.url.replace("127.0.0.1", host), policy, give_up_s=0.2)
        watch.until("error")
    assert server.peers == []


def test_the_application_is_the_path_with_its_query():
    found = address_of(RtmpTarget("x", "rtmp://host:1936/live/a?b=c", "k"))
    assert (found.app, found.key) == ("live/a?b=c", "k")


def test_no_representation_shows_the_name_of_the_stream():
    assert "secret" not in repr(RtmpTarget("foo", "rtmp://host/live", "secret"))
