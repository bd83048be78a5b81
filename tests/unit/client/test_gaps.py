"""Video after packets that were lost for good, through aiortc's own receiver."""

from types import SimpleNamespace

import pytest
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import RemoteStreamTrack, RTCRtpReceiver
from aiortc.rtp import RtpPacket
from sealroute_client.media import inbound
from sealroute_client.media.inbound import Gap, InboundTap

VP8 = RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90_000, payloadType=97)
FRAMES_PER_S = 20


class Viewer:
    """A receiver with its tap, on a clock of its own. Frames of two packets, 20 a second."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.shown: list[bytes] = []
        self.gaps_s: list[float] = []
        self.number = 100
        transport = SimpleNamespace(
            state="connected",
            _register_rtp_receiver=lambda *_: None,
            _unregister_rtp_receiver=lambda *_: None,
            _send_rtp=self._send,
        )
        self.receiver = RTCRtpReceiver("video", transport)
        self.receiver._track = RemoteStreamTrack("video")
        self.tap = InboundTap(self.receiver)
        self.tap._clock = lambda: self.now_s
        self.tap.give_to(self._take, lambda: self.gaps_s.append(self.now_s))

    async def _send(self, _data: bytes) -> None:
        """Nobody answers what is asked for."""

    def _take(self, frame: inbound.EncodedFrame) -> None:
        self.shown.append(frame.data)

    async def start(self) -> None:
        await self.receiver.receive(RTCRtpReceiveParameters(codecs=[VP8]))

    async def frame(self, lost: tuple[int, ...] = ()) -> None:
        self.now_s += 1 / FRAMES_PER_S
        for part in (0, 1):
            self.number += 1
            payload = bytes([0x10 if part == 0 else 0, self.number & 0xFF])
            packet = RtpPacket(97, part, self.number, round(self.now_s * 90_000), 7, payload)
            if part not in lost:
                await self.receiver._handle_rtp_packet(packet, arrival_time_ms=0)


@pytest.fixture
async def viewer():
    made = Viewer()
    await made.start()
    yield made
    await made.receiver.stop()


@pytest.mark.parametrize("lost", [(0,), (1,), (0, 1)])
async def test_video_goes_on_a_second_after_packets_that_nobody_sends_again(viewer, lost) -> None:
    for _ in range(10):
        await viewer.frame()
    before = len(viewer.shown)
    await viewer.frame(lost)
    for _ in range(2 * FRAMES_PER_S):
        await viewer.frame()
    assert len(viewer.gaps_s) == 1
    assert len(viewer.shown) > before + FRAMES_PER_S // 2
    assert all(len(data) == 2 for data in viewer.shown)  # whole frames, of both packets


async def test_a_while_without_a_word_is_a_gap_too(viewer) -> None:
    """As after an offer that took the m-line away for a while."""
    for _ in range(10):
        await viewer.frame()
    viewer.receiver._enabled = False
    for _ in range(2 * FRAMES_PER_S):
        await viewer.frame()
    viewer.receiver._enabled = True
    before = len(viewer.shown)
    for _ in range(2 * FRAMES_PER_S):
        await viewer.frame()
    assert len(viewer.shown) > before + FRAMES_PER_S // 2


async def test_video_without_loss_has_no_gap_however_slow_it_is(viewer) -> None:
    for _ in range(5):
        await viewer.frame()
        viewer.now_s += 5.0
    assert (len(viewer.shown), viewer.gaps_s) == (4, [])


async def test_packets_of_no_codec_that_was_agreed_on_are_no_gap(viewer) -> None:
    for number in range(100):
        viewer.now_s += 0.1
        packet = RtpPacket(0, 1, number, number * 900, 7, b"x")
        await viewer.receiver._handle_rtp_packet(packet, arrival_time_ms=0)
    assert viewer.gaps_s == []


def test_a_gap_is_given_up_once_and_the_next_one_has_its_own_time() -> None:
    gap = Gap()
    reported = [at for at in range(400) if gap.on_packet(at, at / 100)]
    assert reported == [100, 201, 302]


def test_a_frame_ends_a_gap() -> None:
    gap = Gap()
    for at in range(400):
        assert not gap.on_packet(at, at / 100)
        if at % 50 == 0:
            gap.on_frame()
