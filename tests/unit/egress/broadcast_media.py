"""What an encoder of a broadcast gives: real H.264 at 30 frames a second and real AAC."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av

from sfu.egress.child.tracks import AudioTrack, Tracks, VideoTrack, record_of

av.logging.set_level(None)

FPS, GOP, RATE, BLOCK = 30, 60, 48_000, 1_024
SIZE = (64, 48)
_GLOBAL_HEADER = 1 << 22


@dataclass(frozen=True, slots=True)
class Encoded:
    kind: str
    data: bytes
    at: int
    duration: int
    key: bool


@cache
def encoded(seconds: float, *, video: bool = True, audio: bool = True):
    """The tracks, and the packets of both in the order in which they are made."""
    frames, video_track = _video(round(seconds * FPS)) if video else ((), None)
    blocks, audio_track = _audio(int(seconds * RATE / BLOCK)) if audio else ((), None)
    both = [(one.at / FPS, one) for one in frames] + [(one.at / RATE, one) for one in blocks]
    ordered = tuple(one for _, one in sorted(both, key=lambda pair: pair[0]))
    return Tracks(video_track, audio_track), ordered


def _video(count):
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *SIZE, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), FPS
    encoder.gop_size, encoder.thread_count = GOP, 1
    encoder.flags |= _GLOBAL_HEADER
    options = {"preset": "ultrafast", "bf": "0", "sc_threshold": "0", "forced-idr": "1"}
    encoder.options = {**options, "profile": "main"}
    packets = []
    for number in range(count):
        frame = av.VideoFrame(*SIZE, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([number * 7 % 256]) * plane.buffer_size)
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    found = tuple(Encoded("video", bytes(one), one.pts, 1, one.is_keyframe) for one in packets)
    return found, VideoTrack(*SIZE, FPS, record_of(bytes(encoder.extradata)), 200_000)


def _audio(count):
    encoder = av.CodecContext.create("aac", "w")
    encoder.layout, encoder.sample_rate, encoder.format = "stereo", RATE, "fltp"
    encoder.bit_rate, encoder.time_base = 64_000, Fraction(1, RATE)
    encoder.flags |= _GLOBAL_HEADER
    packets = []
    for number in range(count):
        frame = av.AudioFrame("fltp", "stereo", BLOCK)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts, frame.sample_rate, frame.time_base = number * BLOCK, RATE, Fraction(1, RATE)
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    found = tuple(
        Encoded("audio", bytes(one), one.pts, BLOCK, key=True) for one in packets if one.pts >= 0
    )
    return found, AudioTrack(RATE, 2, bytes(encoder.extradata), 64_000)
