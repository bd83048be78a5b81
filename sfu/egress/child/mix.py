"""The audio of a composed job: streams on one time axis, added, and kept below full scale; pure.

Samples are 32-bit floats, stereo, 48 kHz, as arrays of shape (count, 2); positions are numbers of
samples from the beginning of the job. Where a stream has nothing there is silence: time is never
left out.
"""

from collections import deque
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

CHANNELS = 2
CEILING = 10 ** (-1 / 20)
"""-1 dBFS: room for what an encoder adds."""
JOIN_SAMPLES = 4_800
"""Within 100 ms a stream goes on where it ended, and is brought back to its time by and by; beyond
it there is a gap."""
MAX_STRETCH = 5
"""Samples that a block of 20 ms is lengthened or shortened by: half a percent is not audible."""
STRETCH_BEYOND = 24
"""Half a millisecond: rounding is not followed."""
LOOKAHEAD = 64
"""Samples beyond a block that the limiter has to see."""
_RELEASE = 1.0 / 150
"""How much of full gain comes back in 64 samples: all of it in 0.2 s."""


class Lane:
    """The decoded audio of one stream."""

    def __init__(self) -> None:
        self._chunks: deque[tuple[int, Samples]] = deque()
        self._end: int | None = None

    def add(self, at: int, samples: Samples) -> None:
        """What was captured at that position. A publisher's clock that runs a little fast or slow
        is followed without a click."""
        if self._end is not None:
            off = at - self._end
            if abs(off) <= JOIN_SAMPLES:
                samples = _stretched(samples, _correction(off, len(samples)))
                at = self._end
            elif off < 0:
                # It goes back: what is there already stays.
                samples, at = samples[-off:], self._end
        if len(samples):
            self._chunks.append((at, samples))
            self._end = at + len(samples)

    def add_to(self, mixed: Samples, start: int) -> bool:
        """Adds what it has from `start` on. False: it has nothing there."""
        stop, found = start + len(mixed), False
        for at, samples in self._chunks:
            first, last = max(at, start), min(at + len(samples), stop)
            if first < last:
                mixed[first - start : last - start] += samples[first - at : last - at]
                found = True
        return found

    def forget_before(self, position: int) -> None:
        while self._chunks and self._chunks[0][0] + len(self._chunks[0][1]) <= position:
            self._chunks.popleft()


def _correction(off: int, length: int) -> int:
    """By how many samples a block is changed to come nearer to its time."""
    if abs(off) <= STRETCH_BEYOND or length < 2 * MAX_STRETCH:
        return 0
    return max(-MAX_STRETCH, min(MAX_STRETCH, off))


def _stretched(samples: Samples, by: int) -> Samples:
    if not by:
        return samples
    wanted = np.linspace(0, len(samples) - 1, len(samples) + by)
    there = np.arange(len(samples))
    columns = [np.interp(wanted, there, samples[:, channel]) for channel in range(CHANNELS)]
    return np.stack(columns, axis=1).astype(np.float32)


class Limiter:
    """Lowers the gain before a peak and lets it rise after it, so that nothing is above `CEILING`
    and nothing is cut off. What is quieter stays as it is."""

    def __init__(self) -> None:
        self._gain = 1.0

    def limit(self, samples: Samples) -> Samples:
        """The block without its last `LOOKAHEAD` samples, which come again with the next one. Its
        length is a multiple of `LOOKAHEAD`."""
        pieces = np.abs(samples).max(axis=1).reshape(-1, LOOKAHEAD).max(axis=1)
        if self._gain >= 1.0 and pieces.max() <= CEILING:
            return samples[:-LOOKAHEAD]
        allowed = np.minimum(1.0, CEILING / np.maximum(pieces, CEILING))
        gains = [min(self._gain, float(allowed[0]))]
        for here, following in pairwise(allowed):
            # At its end a piece must suit the next one too.
            risen = min(1.0, gains[-1] + _RELEASE)
            gains.append(min(risen, float(here), float(following)))
        self._gain = gains[-1]
        places = np.arange(len(gains)) * LOOKAHEAD
        curve = np.interp(np.arange(len(samples) - LOOKAHEAD), places, gains)
        limited: Samples = (samples[:-LOOKAHEAD] * curve[:, None]).astype(np.float32)
        return limited


class Mixer:
    """Takes the lanes of all streams, block after block, without a gap."""

    def __init__(self, start: int = 0) -> None:
        self._at = start
        self._limiter = Limiter()

    @property
    def position(self) -> int:
        """Where the next block begins."""
        return self._at

    def mix(self, lanes: Iterable[Lane], count: int) -> Samples:
        """The next `count` samples, a multiple of `LOOKAHEAD`. What the lanes have before them is
        forgotten."""
        mixed: Samples = np.zeros((count + LOOKAHEAD, CHANNELS), np.float32)
        for lane in lanes:
            lane.add_to(mixed, self._at)
            lane.forget_before(self._at + count)
        self._at += count
        return self._limiter.limit(mixed)
