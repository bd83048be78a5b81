"""The private names of the media library that encryption depends on, and refusals without them."""

from fractions import Fraction

import pytest
from aioice import ice
from aiortc import RTCPeerConnection, VideoStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtcrtpreceiver import RemoteStreamTrack
from av import VideoFrame
from sealroute_client import peers
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.errors import DecryptionInternalError, EncryptionInternalError
from sealroute_client.media import inbound, loopback, outbound, paths


async def test_the_names_the_hooks_need_exist_in_this_aiortc() -> None:
    peer = RTCPeerConnection()
    try:
        for kind in ("audio", "video"):
            transceiver = peer.addTransceiver(kind)
            outbound.check_sender(transceiver.sender)
            assert all(hasattr(transceiver.sender, name) for name in peers.SENDER_TASKS)
            inbound.InboundTap(transceiver.receiver)
            assert hasattr(RemoteStreamTrack(kind), "_queue")
            mapper = getattr(transceiver.receiver, inbound.TIMESTAMPS)
            assert hasattr(mapper, "_origin")
            assert hasattr(mapper, "_last")
            assert (
                getattr(transceiver.receiver.transport.transport._connection, paths.NOMINATED) == {}
            )
    finally:
        await peer.close()


def test_a_sender_without_them_is_refused() -> None:
    with pytest.raises(EncryptionInternalError):
        outbound.attach(object(), lambda _codec, frame: frame, lambda _size: None)


async def test_an_idle_sender_takes_frames_and_encodes_none() -> None:
    encrypted: list[bytes] = []

    def encrypt(_codec: CodecId, frame: bytes) -> bytes:
        encrypted.append(frame)
        return frame

    class Camera(VideoStreamTrack):
        taken = 0

        async def recv(self) -> VideoFrame:
            self.taken += 1
            frame = VideoFrame(width=64, height=64)
            frame.pts, frame.time_base = self.taken * 3_000, Fraction(1, 90_000)
            return frame

    peer, camera, idle = RTCPeerConnection(), Camera(), True
    try:
        sender = peer.addTransceiver(camera).sender
        outbound.attach(sender, encrypt, lambda _size: None, outbound.Gate(lambda: idle))
        vp8 = RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90_000, payloadType=96)
        take = sender._next_encoded_frame
        assert [await take(vp8) for _ in range(5)] == [None] * 5
        assert (camera.taken, encrypted) == (5, [])
        idle = False
        assert await take(vp8) is not None
        assert len(encrypted) == 1
    finally:
        await peer.close()


def test_a_receiver_without_them_is_refused() -> None:
    with pytest.raises(DecryptionInternalError):
        inbound.InboundTap(object())


def test_loopback_is_offered_when_there_is_no_other_address() -> None:
    only_lo = loopback.with_loopback(lambda use_ipv4, use_ipv6: [])
    assert only_lo(True, True) == ["127.0.0.1"]


def test_loopback_is_left_out_when_another_address_serves() -> None:
    networked = loopback.with_loopback(lambda use_ipv4, use_ipv6: ["192.0.2.1"])
    assert networked(True, True) == ["192.0.2.1"]
    token = loopback.loopback_wanted.set(True)
    assert networked(True, True) == ["192.0.2.1", "127.0.0.1"]
    loopback.loopback_wanted.reset(token)


def test_the_address_hook_is_installed_once() -> None:
    loopback.install()
    hooked = ice.get_host_addresses
    loopback.install()
    assert ice.get_host_addresses is hooked
