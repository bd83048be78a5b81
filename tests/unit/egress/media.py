"""Real encoded media, as a reader of the tap gives it."""

import json
from fractions import Fraction
from functools import cache

import av

av.logging.set_level(None)

US = Fraction(1, 1_000_000)
VIDEO_US = 33_333
AUDIO_US = 20_000
ENCODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9", "h264": "libx264", "av1": "libsvtav1"}
OPTIONS = {
    "vp8": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
    "vp9": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
    "h264": {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "repeat-headers=1"},
    "av1": {"preset": "12", "svtav1-params": "pred-struct=1:lp=1"},
}


@cache
def video(codec: str, frames: int, size: tuple[int, int] = (64, 48), every: int = 10):
    """(key, data) of each frame; every tenth is a key frame."""
    encoder = av.CodecContext.create(ENCODERS[codec], "w")
    encoder.width, encoder.height = size
    encoder.thread_count = 1  # threads of libvpx wait for each other in a loop that takes a core
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", US, 30
    encoder.gop_size, encoder.options = every, OPTIONS[codec]
    packets = []
    for number in range(frames):
        frame = av.VideoFrame(*size, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([number * 7 % 256]) * plane.buffer_size)
        frame.pts, frame.time_base = number * VIDEO_US, US
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    assert len(packets) == frames
    return tuple((packet.is_keyframe, bytes(packet)) for packet in packets)


def video_items(codec, frames, *, start_us=0, ssrc=1, size=(64, 48), first=0, every=10):
    """Items of a track, from its frame `first` on."""
    encoded = video(codec, first + frames, size, every)[first:]
    return [
        frame(
            ssrc, codec, data, start_us + number * VIDEO_US, key=key, size=size if key else (0, 0)
        )
        for number, (key, data) in enumerate(encoded)
    ]


def audio_items(frames, *, start_us=0, ssrc=2):
    silence = b"\xfc\xff\xfe"
    return [frame(ssrc, "opus", silence, start_us + number * AUDIO_US) for number in range(frames)]


def frame(ssrc, codec, data, at_us, *, key=True, size=(0, 0), degrees=None):
    kind, lasts = ("audio", AUDIO_US) if codec == "opus" else ("video", VIDEO_US)
    return ("frame", ssrc, kind, codec, key, at_us, lasts, data, 0, *size, degrees)


def in_order(*tracks):
    return sorted((item for track in tracks for item in track), key=lambda item: item[5])


def added(stream="s1", *, video_ssrc=1, audio_ssrc=2, codec="vp8", **more):
    tracks = []
    if video_ssrc:
        tracks.append({"ssrc": video_ssrc, "kind": "video", "codec": codec, "clockRate": 90000})
    if audio_ssrc:
        tracks.append({"ssrc": audio_ssrc, "kind": "audio", "codec": "opus", "clockRate": 48000})
    return {"event": "streamAdded", "stream": stream, "tracks": tracks, **more}


def json_item(event, at_us=0):
    return ("json", at_us, json.dumps(event).encode())


def read_back(path):
    """Times in microseconds of each track's packets, and how many frames decode."""
    times: dict[str, list[int]] = {}
    with av.open(str(path)) as container:
        codecs = {one.type: one.codec_context.codec.canonical_name for one in container.streams}
        first = {}
        for packet in container.demux():
            if packet.size:
                kind = packet.stream.type
                first.setdefault(kind, packet.is_keyframe)
                times.setdefault(kind, []).append(round(packet.pts * packet.time_base / US))
        duration = container.duration
    decoded = {}
    for kind in times:
        with av.open(str(path)) as container:
            decoded[kind] = sum(1 for _ in container.decode(**{kind: 0}))
    return Back(times, decoded, codecs, first, duration)


class Back:
    def __init__(self, times, decoded, codecs, first_is_key, duration_us):
        self.times, self.decoded, self.codecs = times, decoded, codecs
        self.first_is_key, self.duration_us = first_is_key, duration_us
