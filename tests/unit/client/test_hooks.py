"""The private names of the media library that sealing leans on, and what it does without them."""

import pytest
from aioice import ice
from aiortc import RTCPeerConnection
from aiortc.rtcrtpreceiver import RemoteStreamTrack
from sealroute_client.errors import DecryptionInternalError, EncryptionInternalError
from sealroute_client.media import inbound, loopback, outbound


async def test_the_names_the_hooks_need_exist_in_this_aiortc() -> None:
    peer = RTCPeerConnection()
    try:
        for kind in ("audio", "video"):
            transceiver = peer.addTransceiver(kind)
            outbound.check_sender(transceiver.sender)
            inbound.InboundTap(transceiver.receiver)
            assert hasattr(RemoteStreamTrack(kind), "_queue")
            mapper = getattr(transceiver.receiver, inbound.TIMESTAMPS)
            assert hasattr(mapper, "_origin")
            assert hasattr(mapper, "_last")
    finally:
        await peer.close()


def test_a_sender_without_them_is_refused() -> None:
    with pytest.raises(EncryptionInternalError):
        outbound.attach(object(), lambda _codec, frame: frame, lambda _size: None)


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
