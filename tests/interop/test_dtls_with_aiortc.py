"""aiortc's ICE and DTLS against the plane, over loopback UDP, with no packet forwarded."""

import asyncio

import aioice.ice
import pytest
from aioice import stun
from aiortc import RTCPeerConnection, RTCSessionDescription

from sfu import core_api
from sfu.core_api import Codec, DtlsDatagram, IceValidated, MediaKind
from sfu.media_plane import TrackOffer
from sfu.native_plane import NativeMediaPlane
from sfu.peer_transport import MediaPlaneSettings
from tests.fakes.media_router import FakeMediaRouter

pytestmark = pytest.mark.interop


class WiredCore(FakeMediaRouter, asyncio.DatagramProtocol):
    """The core in memory with a socket: answers checks and carries DTLS, as the real one does."""

    def connection_made(self, socket):
        self.socket = socket
        self.local_port = socket.get_extra_info("sockname")[1]
        self.address_of = {}

    def datagram_received(self, data, address):
        if data[0] < 4:
            self._check(data, address)
        elif 20 <= data[0] < 64:
            known = [h for h, a in self.address_of.items() if a == address]
            for handle in known:
                self.deliver(DtlsDatagram(handle, data))

    def _check(self, data, address):
        request = stun.parse_message(data)
        local = request.attributes["USERNAME"].partition(":")[0]
        ((handle, transport),) = [
            (h, t) for h, t in self.transports.items() if t.local_ufrag == local
        ]
        key = transport.local_pwd.encode()
        assert request.check_message_integrity(key)
        response = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = address
        response.add_message_integrity(key)
        self.socket.sendto(bytes(response), address)
        if handle not in self.address_of:
            self.address_of[handle] = address
            self.deliver(IceValidated(handle))

    def submit(self, command):
        super().submit(command)
        if isinstance(command, core_api.SendDtls):
            self.socket.sendto(command.datagram, self.address_of[command.transport])


class Listener:
    def __init__(self):
        self.reported = asyncio.Queue()

    def on_downlink_offer(self, offer):
        self.reported.put_nowait(offer)

    def on_active_speaker(self, stream):
        pass

    def on_stream_live(self, stream):
        self.reported.put_nowait(("live", stream))

    def on_subscriber_connected(self, subscriber):
        self.reported.put_nowait(("connected", subscriber))

    def on_transport_lost(self, direction):
        self.reported.put_nowait(("lost", direction.value))

    async def next(self):
        return await asyncio.wait_for(self.reported.get(), 10)


async def connected(peer):
    """Our side has its keys one flight before the client."""
    changed = asyncio.Event()
    peer.on("connectionstatechange", changed.set)
    while peer.connectionState != "connected":
        await asyncio.wait_for(changed.wait(), 10)
        changed.clear()


async def test_both_transports_connect_and_say_good_bye(monkeypatch):
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    loop = asyncio.get_running_loop()
    wire, core = await loop.create_datagram_endpoint(WiredCore, local_addr=("127.0.0.1", 0))
    plane = NativeMediaPlane([core], MediaPlaneSettings(("127.0.0.1",)))
    listener = Listener()
    client = plane.open_session("S", e2ee=False).open_client("ann", listener)
    up, down = RTCPeerConnection(), RTCPeerConnection()
    up.addTransceiver("audio", direction="sendonly")
    up.addTransceiver("video", direction="sendonly")
    await up.setLocalDescription(await up.createOffer())
    tracks = [TrackOffer(t.mid, MediaKind(t.kind)) for t in up.getTransceivers()]
    answer = await client.publish("st", up.localDescription.sdp, tracks)
    await up.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
    assert await listener.next() == ("live", "st")

    client.subscribe("su", "st", frozenset(MediaKind), frozenset(Codec))
    offer = await listener.next()
    await down.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
    await down.setLocalDescription(await down.createAnswer())
    client.answer_downlink(offer.number, down.localDescription.sdp)
    assert await listener.next() == ("connected", "su")
    await connected(up)
    await connected(down)

    await down.close()
    assert await listener.next() == ("lost", "downlink")
    await up.close()
    assert await listener.next() == ("lost", "uplink")
    await plane.close()
    wire.close()
    assert core.transports == {}
