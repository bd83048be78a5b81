"""A tap as the core writes it: records with RTP, sender reports and events."""

import itertools
import json
import struct

from tests.unit.egress.media import audio_items, video_items

RECORD = struct.Struct("<BBHIQ")
RTP, RTCP, JSON, LOST, END = 1, 2, 3, 4, 5
PAYLOAD_TYPES = {"vp8": 96, "vp9": 98, "h264": 102, "av1": 45, "opus": 111}
PACKET_BYTES = 1_100
NTP_SECONDS = 3_900_000_000


def record(kind, ssrc, at_us, body=b""):
    return RECORD.pack(kind, 0, 1, ssrc, at_us) + body


def event(body, at_us):
    return record(JSON, 0, at_us, json.dumps(body).encode())


def cut(data):
    return [data[at : at + PACKET_BYTES] for at in range(0, len(data), PACKET_BYTES)]


def of_vp8(data, number, *, is_key):
    """RFC 7741, with a picture id."""
    head = b"\x80" + (0x8000 | number).to_bytes(2)
    return [bytes([0x90 if at == 0 else 0x80]) + head + one for at, one in enumerate(cut(data))]


def of_vp9(data, number, *, is_key):
    """RFC 9628, without layers, with a picture id."""
    pieces = cut(data)
    found = []
    for at, one in enumerate(pieces):
        first, last = 8 * (at == 0), 4 * (at == len(pieces) - 1)
        head = 0x80 | 0x40 * (not is_key) | first | last
        found.append(bytes([head]) + (0x8000 | number).to_bytes(2) + one)
    return found


def of_h264(data, _number, *, is_key):
    """RFC 6184: a unit is a packet, or fragments (FU-A)."""
    found = []
    for unit in data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]:
        if len(unit) <= PACKET_BYTES:
            found.append(unit)
            continue
        pieces = cut(unit[1:])
        for at, one in enumerate(pieces):
            bits = 0x80 * (at == 0) | 0x40 * (at == len(pieces) - 1)
            found.append(bytes([unit[0] & 0x60 | 28, bits | unit[0] & 0x1F]) + one)
    return found


def of_av1(data, _number, *, is_key):
    """The AV1 RTP format: units without sizes of their own, in one packet, each with its length."""
    packet, at = bytes([8 * is_key]), 0
    while at < len(data):
        head, at = data[at], at + 1
        size, shift = 0, 0
        while True:
            byte, at = data[at], at + 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        unit, at = bytes([head & ~2]) + data[at : at + size], at + size
        if head >> 3 & 15 != 2:  # the temporal delimiter stays at home
            packet += leb128(len(unit)) + unit
    return [packet]


def leb128(value):
    found = []
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def of_opus(data, _number, *, is_key):
    return [data]


PACKETIZERS = {
    "vp8": of_vp8,
    "vp9": of_vp9,
    "h264": of_h264,
    "av1": of_av1,
    "opus": of_opus,
}


class Track:
    """RTP of one track. `clock` is the time of the publisher's first frame on its RTP clock."""

    def __init__(self, ssrc, codec, start_us, clock):
        self.ssrc, self.codec, self.start_us, self.clock = ssrc, codec, start_us, clock
        self._sequence = itertools.count(60_000)
        self._frame = itertools.count(1)

    def rtp_time(self, at_us):
        return (
            self.clock
            + (at_us - self.start_us) * (48_000 if self.codec == "opus" else 90_000) // 1_000_000
        ) % 2**32

    def packets(self, item, late_us=0):
        """The records of one frame, which arrive so much after they were captured."""
        at_us, data = item[5], item[7]
        pieces = PACKETIZERS[self.codec](data, next(self._frame), is_key=item[4])
        for at, piece in enumerate(pieces):
            marker = 0x80 * (at == len(pieces) - 1)
            payload_type = marker | PAYLOAD_TYPES[self.codec]
            sequence = next(self._sequence) % 65_536
            rtp = struct.pack(
                ">BBHII", 0x80, payload_type, sequence, self.rtp_time(at_us), self.ssrc
            )
            yield at_us + late_us, record(RTP, self.ssrc, at_us + late_us, rtp + piece)

    def report(self, at_us, epoch_us, late_us=0):
        """A sender report: the publisher's clock says that `epoch_us` was `NTP_SECONDS`."""
        since_us = at_us - epoch_us
        fraction = (since_us % 1_000_000 << 32) // 1_000_000
        body = struct.pack(
            ">BBHIIIIII", 0x80, 200, 6, self.ssrc, NTP_SECONDS + since_us // 1_000_000,
            fraction, self.rtp_time(at_us), 0, 0,
        )  # fmt: skip
        return at_us + late_us, record(RTCP, self.ssrc, at_us + late_us, body)


def call_of(seconds, start_us, *, codec="vp8", video_late_us=0, audio_late_us=0, every=30):
    """Records in order of arrival. Both tracks begin at `start_us` and are captured together."""
    video = Track(1, codec, start_us, clock=4_294_900_000)
    audio = Track(2, "opus", start_us, clock=1_234)
    found = []
    for item in video_items(codec, 30 * seconds, start_us=start_us, every=every):
        found += video.packets(item, video_late_us)
    for item in audio_items(50 * seconds, start_us=start_us):
        found += audio.packets(item, audio_late_us)
    for half in range(seconds * 2):
        at_us = start_us + half * 500_000 + 10
        found.append(video.report(at_us, start_us, video_late_us))
        found.append(audio.report(at_us, start_us, audio_late_us))
    return [body for _, body in sorted(found, key=lambda one: one[0])]
