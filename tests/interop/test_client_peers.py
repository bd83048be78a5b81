"""Peer connections of the Python client end with their sockets, whenever they end."""

import asyncio
import contextlib

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from sealroute_client.media import loopback
from sealroute_client.peers import PeerConnections

from tests.descriptors import open_descriptors

pytestmark = pytest.mark.interop


def sockets() -> set[tuple[str, str]]:
    return open_descriptors("socket:")


class SlowSockets:
    """Each socket takes 50 ms more to open."""

    def __init__(self, monkeypatch) -> None:
        self.decrypted = 0
        loop = asyncio.get_running_loop()
        create = loop.create_datagram_endpoint

        async def slowly(*args, **options):
            made = await create(*args, **options)
            self.decrypted += 1
            await asyncio.sleep(0.05)
            return made

        monkeypatch.setattr(loop, "create_datagram_endpoint", slowly)

    async def first(self) -> None:
        async with asyncio.timeout(5):
            while not self.decrypted:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


@pytest.fixture
async def peers():
    loopback.install()
    loopback.loopback_wanted.set(True)
    return PeerConnections(RTCConfiguration(iceServers=[]))


async def gather(peer) -> None:
    peer.addTransceiver("audio")
    await peer.setLocalDescription(await peer.createOffer())


async def test_who_is_cancelled_while_sockets_open_leaves_none_behind(peers, monkeypatch) -> None:
    before = sockets()
    slow = SlowSockets(monkeypatch)
    asked = asyncio.create_task(gather(peers.open()))
    await slow.first()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await peers.close()
    assert slow.decrypted
    assert sockets() - before == set()


async def test_a_peer_connection_that_is_closed_while_sockets_open_leaves_none_behind(
    peers, monkeypatch
) -> None:
    before = sockets()
    slow = SlowSockets(monkeypatch)
    peer = peers.open()
    asked = asyncio.create_task(gather(peer))
    await slow.first()
    await peer.close()
    await asyncio.gather(asked, return_exceptions=True)
    assert sockets() - before == set()


async def test_a_close_that_is_cancelled_goes_on(peers) -> None:
    before = sockets()
    peer = peers.open()
    await gather(peer)
    assert sockets() - before
    asked = asyncio.create_task(peer.close())
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await peers.close()
    assert sockets() - before == set()


async def test_who_closes_what_is_closing_or_closed_waits_for_no_more_than_that(peers) -> None:
    peer = peers.open()
    await asyncio.gather(peer.close(), peer.close())
    await peer.close()
    assert peer.connectionState == "closed"
    await peers.close()


async def test_a_handshake_that_the_other_end_leaves_unfinished_is_reported(
    peers, monkeypatch
) -> None:
    """ICE connects, and then nothing comes: it would wait forever."""
    monkeypatch.setattr("sealroute_client.peers.CONNECT_TIMEOUT_S", 2.0)
    reported: list[Exception] = []
    near = peers.open()
    near.on_unreachable = reported.append
    far = RTCPeerConnection(RTCConfiguration(iceServers=[]))

    async def silence(*_parameters: object) -> None:
        await asyncio.sleep(60)

    try:
        await gather(near)
        await far.setRemoteDescription(near.localDescription)
        for transceiver in far.getTransceivers():
            monkeypatch.setattr(transceiver.receiver.transport, "start", silence)
        await far.setLocalDescription(await far.createAnswer())
        await near.setRemoteDescription(far.localDescription)
        async with asyncio.timeout(10):
            while near.iceConnectionState != "completed":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert near.connectionState == "connecting"
            while not reported:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        await far.close()
        await peers.close()
    assert [error.code for error in reported] == ["handshake_failed"]


async def deaf(hears_the: int) -> None:
    """A task that goes on when it is cancelled, but for the last of so many times."""
    for _ in range(hears_the):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3_600)


async def goes_on_sending(peer, hears_the: int) -> "asyncio.Task[None]":
    """A peer connection one of whose sender's tasks ends when it was cancelled so often."""
    sender = peer.addTransceiver("audio").sender
    await peer.setLocalDescription(await peer.createOffer())
    task = asyncio.create_task(deaf(hears_the))
    await asyncio.sleep(0)
    sender._RTCRtpSender__started = True
    sender._RTCRtpSender__rtp_task = task
    sender._RTCRtpSender__rtcp_task = task
    for name in ("rtp_started", "rtcp_started", "rtp_exited"):
        getattr(sender, f"_RTCRtpSender__{name}").set()
    task.add_done_callback(lambda _: sender._RTCRtpSender__rtcp_exited.set())
    return task


async def test_a_sender_that_goes_on_when_cancelled_is_cancelled_again(peers) -> None:
    before = sockets()
    peer = peers.open()
    peer.close_timeout_s = 0.2
    task = await goes_on_sending(peer, 2)
    async with asyncio.timeout(5):
        await peers.close()
        await task
    assert sockets() == before


async def test_a_sender_that_never_ends_holds_nobody_up_and_no_socket(peers, caplog) -> None:
    before = sockets()
    peer = peers.open()
    peer.close_timeout_s = 0.2
    task = await goes_on_sending(peer, 1_000)
    async with asyncio.timeout(5):
        await peers.close()
    assert sockets() == before
    assert "A peer connection's end failed" in caplog.text
    for _ in range(1_000):
        task.cancel()
        await asyncio.sleep(0)
