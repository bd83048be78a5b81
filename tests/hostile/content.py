"""Frames and audio that say whose they are.

Frames carry a number; each person counts in a range of its own, upwards. Audio is a tone that
climbs a staircase of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

import numpy as np
from av import AudioFrame
from sealroute_client.media.sources import draw_pattern

WIDTH, HEIGHT = 256, 64
FRAME_RATE = 12
RANGE = 8_000
STEP_HZ, STEPS, FRAMES_PER_STEP = 50, 32, 10
LASTING = FRAMES_PER_STEP // 2
RATE_HZ, SAMPLES = 48_000, 960


@dataclass(frozen=True, slots=True)
class Person:
    """`first`: where its frames begin to count. `base_hz`: the lowest of its tones."""

    name: str
    first: int
    base_hz: int

    def owns(self, number: int) -> bool:
        return self.first < number < self.first + RANGE


ADA = Person("ada", 1_000, 400)
BOB = Person("bob", 10_000, 2_100)
CID = Person("cid", 20_000, 5_500)
LIAR = Person("the server", 30_000, 3_800)
NOBODY = Person("nobody", 60_000, 20_000)
"""Owns streams that nobody published."""


@dataclass(frozen=True, slots=True)
class Seen:
    """`number`: of the frame; of audio the tone in steps; None: noise, black or silence."""

    at_s: float
    number: int | None


def image(number: int, position: int) -> Any:
    frame = draw_pattern(number, WIDTH, HEIGHT)
    frame.time_base = Fraction(1, 90_000)
    frame.pts = position * 90_000 // FRAME_RATE
    return frame


def read_image(frame: Any) -> int | None:
    if (frame.width, frame.height) != (WIDTH, HEIGHT):
        return None
    luma = frame.to_ndarray(format="yuv420p")[4:12]
    levels = [luma[:, 16 * bit + 4 : 16 * bit + 12].mean() for bit in range(16)]
    if any(60 < level < 190 for level in levels):
        return None
    number = sum(1 << bit for bit, level in enumerate(levels) if level > 125)
    bar = frame.to_ndarray(format="yuv420p")[
        20:30, number * 4 % WIDTH + 4 : number * 4 % WIDTH + 20
    ]
    # A frame that was put together from others has the bar elsewhere. One without any bit is what
    # a decoder makes of nothing; no person's frame is.
    return number if number and (bar.size == 0 or bar.mean() > 195) else None


def tone(base_hz: int, number: int) -> AudioFrame:
    hertz = base_hz + STEP_HZ * (number // FRAMES_PER_STEP % STEPS)
    at = number * SAMPLES + np.arange(SAMPLES)
    samples = (8_000 * np.sin(2 * np.pi * hertz * at / RATE_HZ)).astype(np.int16).reshape(1, -1)
    frame = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate = RATE_HZ
    frame.time_base = Fraction(1, RATE_HZ)
    frame.pts = number * SAMPLES
    return frame


def read_tone(frame: Any) -> int | None:
    """The tone in steps of `STEP_HZ`; None where no single tone stands out."""
    samples = frame.to_ndarray().reshape(-1)
    channels = len(frame.layout.channels)
    mono = samples.reshape(-1, channels).mean(axis=1)
    if np.sqrt(np.mean(mono**2)) < 500:
        return None
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono)), 4 * len(mono)))
    peak = int(spectrum.argmax())
    if spectrum[max(0, peak - 12) : peak + 13].sum() < 0.6 * spectrum.sum():
        return None
    hertz = peak * RATE_HZ / (4 * len(mono))
    return round(hertz / STEP_HZ)


def wrong_images(seen: Iterable[Seen], person: Person) -> list[str]:
    """What was shown and is not that person's. What was given to a decoder twice is known by its
    frame (`passed.py`): a decoder keeps frames, and shows them again when it goes on after a
    gap."""
    numbers = dict.fromkeys(one.number for one in seen if one.number is not None)
    return [f"frame {n} is not of {person.name}" for n in numbers if not person.owns(n)]


def wrong_tones(heard: Iterable[Seen], person: Person) -> list[str]:
    """What was heard and is not that person's. A tone counts when it is heard twice in a row:
    frames between two steps hold both. What was played twice is known by its frame, as of
    frames: a busy machine stretches audio, leaves some out, and has no time to tell which. What a
    browser makes up for the missing may lie a step beside the person's own, for a moment: such a
    tone counts when it lasts."""
    first = person.base_hz // STEP_HZ
    lasting: dict[int, int] = {}
    for number, frames in groupby(one.number for one in heard):
        if number is not None:
            lasting[number] = max(lasting.get(number, 0), sum(1 for _ in frames))
    beside = (first - 1, first + STEPS)
    wrong = [
        number
        for number, frames in lasting.items()
        if not first <= number < first + STEPS and frames >= (LASTING if number in beside else 2)
    ]
    return [f"a tone of {number * STEP_HZ} Hz is not of {person.name}" for number in wrong]
