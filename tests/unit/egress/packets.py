"""A tap as the core writes it: records with RTP, sender reports and events."""

import itertools
import json
import struct

from tests.unit.egress.media import AUDIO_US, VIDEO_US, audio_items, video_items

RECORD = struct.Struct("<BBHIQ")
RTP, RTCP, JSON, LOST, END = 1, 2, 3, 4, 5
PAYLOAD_TYPES = {"vp8": 96, "opus": 111}
CLOCKS = {"vp8": 90_000, "opus": 48_000}
PACKET_BYTES = 1_100
NTP_SECONDS = 3_900_000_000


def record(kind, ssrc, at_us, body=b""):
    return RECORD.pack(kind, 0, 1, ssrc, at_us) + body


def event(body, at_us):
    return record(JSON, 0, at_us, json.dumps(body).encode())


class Track:
    """RTP of one track. `clock` is the time of the publisher's first frame on its RTP clock."""

    def __init__(self, ssrc, codec, start_us, clock):
        self.ssrc, self.codec, self.start_us, self.clock = ssrc, codec, start_us, clock
        self._sequence = itertools.count(60_000)
        self._frame = itertools.count(1)

    def rtp_time(self, at_us):
        return (self.clock + (at_us - self.start_us) * CLOCKS[self.codec] // 1_000_000) % 2**32

    def packets(self, item, late_us=0):
        """The records of one frame, which arrive so much after they were captured."""
        at_us, data = item[5], item[7]
        number = next(self._frame)
        pieces = [data]
        if self.codec == "vp8":
            cut = [data[at : at + PACKET_BYTES] for at in range(0, len(data), PACKET_BYTES)]
            head = b"\x80" + (0x8000 | number).to_bytes(2)
            pieces = [bytes([0x80 | 0x10 * (not at)]) + head + one for at, one in enumerate(cut)]
        for at, piece in enumerate(pieces):
            marker = 0x80 * (self.codec == "opus" or at == len(pieces) - 1)
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


def vp8_and_opus(seconds, start_us, *, video_late_us=0, audio_late_us=0, every=30):
    """Records in order of arrival. Both tracks begin at `start_us` and are captured together."""
    video = Track(1, "vp8", start_us, clock=4_294_900_000)
    audio = Track(2, "opus", start_us, clock=1_234)
    found = []
    for item in video_items("vp8", 30 * seconds, start_us=start_us, every=every):
        found += video.packets(item, video_late_us)
    for item in audio_items(50 * seconds, start_us=start_us):
        found += audio.packets(item, audio_late_us)
    for half in range(seconds * 2):
        at_us = start_us + half * 500_000 + 10
        found.append(video.report(at_us, start_us, video_late_us))
        found.append(audio.report(at_us, start_us, audio_late_us))
    return [body for _, body in sorted(found, key=lambda one: one[0])]


__all__ = ["AUDIO_US", "VIDEO_US", "Track", "event", "record", "vp8_and_opus"]
