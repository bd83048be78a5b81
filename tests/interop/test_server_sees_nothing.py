"""What the server could see of an encrypted session, with SRTP taken off: nothing of the media.

A canary is planted in every encoded frame before it is encrypted, and every packet that a client
hands to SRTP or takes from it is kept. The clear session shows that the test can find both.
"""

import random

import av
import numpy as np
import pylibsrtp
import pytest
from aiortc.codecs.vpx import VpxPayloadDescriptor
from sealroute_client import Session, read_counter
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.publisher import PublishedTrack

from tests.served import NEEDS_THE_MEDIA_CORE, SECRET, Server, psnr, subscribed, until

pytestmark = [
    pytest.mark.interop,
    NEEDS_THE_MEDIA_CORE,
]
CANARY = random.Random(20_251).randbytes(64)
SEI = b"\x00\x00\x00\x01\x06"
PLANTED = {
    CodecId.VP8: lambda frame: frame + CANARY,
    CodecId.OPUS: lambda frame: frame + CANARY,
    CodecId.H264: lambda frame: frame + SEI + CANARY,
}


@pytest.fixture
def wire(monkeypatch):
    """RTP packets without SRTP: `sent` by clients (the server received them) and `received`."""
    packets = {"sent": [], "received": []}
    protect, unprotect = pylibsrtp.Session.protect, pylibsrtp.Session.unprotect
    encrypt = PublishedTrack.encrypt

    def keep_sent(self, packet):
        packets["sent"].append(bytes(packet))
        return protect(self, packet)

    def keep_received(self, packet):
        packets["received"].append(unprotect(self, packet))
        return packets["received"][-1]

    monkeypatch.setattr(pylibsrtp.Session, "protect", keep_sent)
    monkeypatch.setattr(pylibsrtp.Session, "unprotect", keep_received)
    monkeypatch.setattr(
        PublishedTrack,
        "encrypt",
        lambda self, codec, frame: encrypt(self, codec, PLANTED[codec](frame)),
    )
    return packets


async def call(tmp_path, *, e2ee: bool, codec: str) -> None:
    """Half a hundred frames from one client to another."""
    server = Server(tmp_path / "data", e2ee=e2ee)
    await server.start()
    sessions: list[Session] = []
    try:
        sessions += [await server.join(SECRET if e2ee else None) for _ in range(2)]
        await sessions[0].publish(video_codec=codec)
        viewer = await subscribed(sessions[1])
        viewer.record(tmp_path)
        await until(lambda: viewer.tracks["video"].frames > 50, 15)
    finally:
        for session in sessions:
            await session.disconnect()
        await server.stop()


def payloads(packets: list[bytes]) -> list[bytes]:
    """Behind header and extension; padding is not used."""
    found = []
    for packet in packets:
        end = 12 + 4 * (packet[0] & 0x0F)
        if packet[0] & 0x10:
            end += 4 + 4 * int.from_bytes(packet[end + 2 : end + 4], "big")
        found.append(packet[end:])
    return found


def images(packets: list[bytes]) -> list:
    """What a VP8 decoder makes of the video among them, frame by frame."""
    frames: dict[tuple[int, int], bytearray] = {}
    for packet, payload in zip(packets, payloads(packets), strict=True):
        if len(payload) < 200 and not (packet[1] & 0x80):
            continue
        timestamp, ssrc = packet[4:8], packet[8:12]
        try:
            descriptor, rest = VpxPayloadDescriptor.parse(payload)
        except ValueError:
            continue
        key = (int.from_bytes(ssrc, "big"), int.from_bytes(timestamp, "big"))
        frames.setdefault(key, bytearray()).extend(rest)
        del descriptor
    decoder, shown = av.CodecContext.create("vp8", "r"), []
    for frame in frames.values():
        try:
            shown += decoder.decode(av.Packet(bytes(frame)))
        except av.FFmpegError:
            continue
    return shown


def recognisable(shown: list) -> int:
    """How many frames are the published pattern."""
    return sum(p.width == 640 and psnr(p, read_counter(p)) > 25 for p in shown)


@pytest.mark.parametrize("codec", ["vp8", pytest.param("h264", marks=pytest.mark.long)])
async def test_an_encrypted_session_shows_the_server_neither_canary_nor_frame(
    wire, tmp_path, codec
) -> None:
    await call(tmp_path, e2ee=True, codec=codec)
    assert min(len(wire["sent"]), len(wire["received"])) > 100
    for packets in wire.values():
        joined = b"".join(payloads(packets))
        assert CANARY not in joined
        assert CANARY[:16] not in joined
        assert recognisable(images(packets)) == 0


async def test_the_same_eyes_see_everything_of_a_clear_session(wire, tmp_path) -> None:
    await call(tmp_path, e2ee=False, codec="vp8")
    for packets in wire.values():
        assert sum(CANARY in payload for payload in payloads(packets)) > 50
    shown = images(wire["sent"])
    assert recognisable(shown) > 30
    assert np.isfinite([psnr(p, read_counter(p)) for p in shown]).all()
