"""A composed archive without its process, streams of one color, and what is in the file."""

import functools
from dataclasses import dataclass

import av
import numpy as np

from sfu.egress.child.completion import complete
from sfu.egress.child.events import Began
from sfu.egress.child.journal import Journal, read_journal
from sfu.egress.child.manifest import history_of
from sfu.egress.composer.assembly import Mp4
from sfu.egress.composer.composed import ComposedArchive, ComposedJob
from sfu.egress.composer.kind import open_encoders
from sfu.egress.composition import Composition, Layout
from tests.unit.egress.media import AUDIO_US, ENCODERS, OPTIONS, US, VIDEO_US, frame

ORIGIN_US = 5_000_000_000
HOLD_MS = 100
WIDTH, HEIGHT = 320, 240
STEP_US = 100_000


def composition(kind="bestFit", **more):
    screenshare = more.pop("screenshare", None)
    return Composition(WIDTH, HEIGHT, Layout(kind, screenshare), **more)


class Composing:
    """One process of a job; `kill` ends it as the kernel would."""

    def __init__(self, folder, wanted=None):
        self.folder = folder
        self.journal = Journal(folder)
        self.history = history_of(read_journal(folder))
        began = Began("a1", "the-session", "a name", 1_795_240_000_000, ORIGIN_US)
        self.journal.write(began)
        self.history.apply(began)
        wanted = wanted or composition()
        job = ComposedJob(HOLD_MS, wanted, open_encoders(wanted))
        self.archive = ComposedArchive(folder, self.journal, self.history, job)
        self.wanted_key_frames = []

    def play(self, *items, until_us=None):
        """Items at their times, as a reader gives them; then time goes on."""
        ordered = sorted(items, key=time_of)
        at_us = time_of(ordered[0]) if ordered else 0
        for item in ordered:
            while time_of(item) > at_us + STEP_US:
                at_us += STEP_US
                self._step(at_us)
            self.archive.handle_item(shifted(item), ORIGIN_US + time_of(item))
            at_us = time_of(item)
            self._step(at_us)
        while until_us is not None and at_us < until_us:
            at_us += STEP_US
            self._step(at_us)
        return self

    def _step(self, at_us):
        self.archive.handle_time(ORIGIN_US + at_us)
        self.wanted_key_frames += self.archive.take_wanted_key_frames()

    def kill(self):
        """What the process had not given to the system is lost; here, the rest of its last part."""
        self.journal.close()
        self.archive._part = None

    def finish(self):
        self.archive.close()
        self.journal.close()
        return self.complete()

    def complete(self):
        result = complete(self.folder, form=Mp4(), reserve_bytes=0)
        return result and Film(self.folder / "archive.mp4", result)


def time_of(item):
    return item[5] if item[0] == "frame" else item[1]


def shifted(item):
    at = 5 if item[0] == "frame" else 1
    return (*item[:at], item[at] + ORIGIN_US, *item[at + 1 :])


@dataclass
class Film:
    """A finished file, decoded."""

    path: object
    result: object

    @functools.cached_property
    def frames(self):
        """Time in seconds and luma of each frame."""
        with av.open(str(self.path)) as container:
            return [(one.time, luma_of(one)) for one in container.decode(video=0)]

    @functools.cached_property
    def audio(self):
        """Samples of the left channel, from the beginning of the file."""
        with av.open(str(self.path)) as container:
            frames = list(container.decode(audio=0))
        assert round(frames[0].time * 48_000) == 0
        return np.concatenate([one.to_ndarray()[0] for one in frames])

    @property
    def times(self):
        return [time for time, _ in self.frames]

    def at(self, seconds):
        """The luma of the frame at that time."""
        return min(self.frames, key=lambda one: abs(one[0] - seconds))[1]


def luma_of(decoded):
    plane = decoded.planes[0]
    lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return lines[: decoded.height, : decoded.width].astype(int)


@functools.cache
def encoded(codec, lumas, size):
    """(key, data) for a frame of each luma; every tenth is a key frame."""
    encoder = av.CodecContext.create(ENCODERS[codec], "w")
    encoder.width, encoder.height = size
    encoder.thread_count = 1
    if codec != "av1":  # which has no such thing with low delay
        encoder.bit_rate = 1_000_000
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", US, 30
    encoder.gop_size, encoder.options = 10, OPTIONS[codec]
    packets = []
    for number, luma in enumerate(lumas):
        one = av.VideoFrame(*size, "yuv420p")
        for plane, value in zip(one.planes, (luma, 128, 128), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        one.pts, one.time_base = number * VIDEO_US, US
        packets += encoder.encode(one)
    packets += encoder.encode(None)
    assert len(packets) == len(lumas)
    return tuple((packet.is_keyframe, bytes(packet)) for packet in packets)


def color(luma, frames, *, ssrc=1, start_us=0, codec="vp8", size=(160, 120), degrees=None):
    """A stream of one luma, or of those in a list."""
    lumas = (luma,) * frames if isinstance(luma, int) else tuple(luma)
    return [
        frame(
            ssrc,
            codec,
            data,
            start_us + number * VIDEO_US,
            key=key,
            size=size if key else (0, 0),
            degrees=degrees,
        )
        for number, (key, data) in enumerate(encoded(codec, lumas, size))
    ]


@functools.cache
def opus(levels):
    """Blocks of 20 ms of a tone, each with its level."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "flt"
    encoder.options = {"application": "lowdelay", "frame_duration": "20"}
    packets = []
    for number, level in enumerate(levels):
        times = (np.arange(960) + number * 960) / 48_000
        tone = (level * np.sin(2 * np.pi * 1_000 * times)).astype(np.float32)
        one = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[None, :], "flt", "stereo")
        one.sample_rate, one.pts = 48_000, number * 960
        packets += encoder.encode(one)
    packets += encoder.encode(None)
    return tuple(bytes(packet) for packet in packets)[: len(levels)]


def tone(level, blocks, *, ssrc=2, start_us=0):
    """A tone of one level, or of those in a list."""
    levels = (level,) * blocks if isinstance(level, float) else tuple(level)
    return [
        frame(ssrc, "opus", data, start_us + number * AUDIO_US)
        for number, data in enumerate(opus(levels))
    ]
