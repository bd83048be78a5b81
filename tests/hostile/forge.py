"""Media that the server makes itself, in clear: what it would love to have played."""

from functools import cache

from aiortc.codecs.opus import OpusEncoder
from aiortc.codecs.vpx import Vp8Encoder

from tests.hostile import content
from tests.hostile.media import Rtp
from tests.hostile.tracks import DownLine, UpTrack

CANARY_FRAMES = 12


@cache
def clear_images() -> tuple[Rtp, ...]:
    """A second of the server's own pattern, the first frame a key frame."""
    encoder, packets = Vp8Encoder(), []
    for number in range(1, CANARY_FRAMES + 1):
        image = content.image(content.LIAR.first + number, number)
        payloads, timestamp = encoder.encode(image, number == 1)
        for index, payload in enumerate(payloads):
            packets.append(Rtp(0, 0, timestamp, 0, payload, index == len(payloads) - 1))
    return tuple(packets)


@cache
def clear_tones() -> tuple[Rtp, ...]:
    encoder, packets = OpusEncoder(), []
    for number in range(1, 41):
        payloads, timestamp = encoder.encode(content.tone(content.LIAR.base_hz, number))
        packets += [Rtp(0, 0, timestamp, 0, payload) for payload in payloads]
    return tuple(packets)


def clear(kind: str) -> list[Rtp]:
    return list(clear_tones() if kind == "audio" else clear_images())


def recorded(source: UpTrack | DownLine, packets: int = 200) -> list[Rtp]:
    """The beginning of what a client sent, or of what another was sent."""
    return source.kept[:packets]


def garbage(packet: Rtp, seed: bytes = b"\x5a") -> Rtp:
    """Of the same length; what depacketizers look at is left."""
    head = packet.payload[:3]
    rest = bytes(byte ^ seed[0] for byte in packet.payload[3:])
    return packet.but(payload=head + rest)
