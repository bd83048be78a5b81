"""Decoded audio of several streams on one clock, and their mix in blocks of 20 ms; pure.

Times are µs of the host's monotonic clock, positions are samples at 48 kHz of the same clock.
Each voice is behind by what its network needs: frames that come too late make it wait longer, and
in silence it catches up. Clocks of publishers are a little off: a voice is stretched or cut by
one sample in a frame, which nobody hears, and moved only where it jumps.
"""

from collections import deque

import numpy as np

from sfu.egress.audio.resample import BLOCK, Samples
from sfu.egress.child.mix import LOOKAHEAD, Limiter

SAMPLES_PER_MS = 48
MAX_VOICES = 60
"""Mixed at a time, with some room: a session tells which 50 are heard."""
_RING = 2_000 * SAMPLES_PER_MS
MIN_DELAY = 60 * SAMPLES_PER_MS
MAX_DELAY = 300 * SAMPLES_PER_MS
"""Speech that is later answers a question that was asked long ago."""
_MARGIN = 10 * SAMPLES_PER_MS
_JUMP = 20 * SAMPLES_PER_MS
"""From here on the time of a frame is believed, not what came before it."""
_DRIFT = SAMPLES_PER_MS
_REMEMBERED_FRAMES = 500
"""Ten seconds: how long a late frame keeps a voice behind."""
_SILENT = 1e-3


def position(time_us: int) -> int:
    return time_us * SAMPLES_PER_MS // 1_000


class Voice:
    """The audio of one track."""

    def __init__(self) -> None:
        self._ring = np.zeros(_RING, np.float32)
        self._end: int | None = None
        self._taken: int | None = None
        self._needed: deque[int] = deque(maxlen=_REMEMBERED_FRAMES)
        self.delay = MIN_DELAY
        self.late_frames = 0

    def add(self, pts_us: int, now_us: int, samples: Samples) -> None:
        """A decoded frame that begins at `pts_us`."""
        at = position(pts_us)
        self._needed.append(position(now_us) - at + BLOCK + _MARGIN)
        self._wait_longer(min(MAX_DELAY, self._needed[-1]))
        if self._end is not None and abs(at - self._end) < _JUMP:
            samples = _stretched(samples, at - self._end)
            at = self._end
        taken = at if self._taken is None else self._taken
        if at + len(samples) <= taken or at > taken + _RING - MAX_DELAY:
            self.late_frames += 1
            return
        samples, at = samples[max(0, taken - at) :], max(at, taken)
        self._put(at, samples)
        self._end = at + len(samples)

    def take(self, at: int) -> Samples | None:
        """The block that is heard at this position; None: there is nothing to hear."""
        begin = at - self.delay
        if self._end is None or begin >= self._end:
            self._taken = begin
            self._catch_up()
            return None
        if self._taken is not None and begin > self._taken:
            self._drop(self._taken, begin)
        self._taken = begin + BLOCK
        where = np.arange(begin, begin + BLOCK) % _RING
        block: Samples = self._ring[where]
        self._ring[where] = 0
        if not np.any(np.abs(block) > _SILENT):
            self._catch_up()
        return block

    def _wait_longer(self, delay: int) -> None:
        """What was taken for silence meanwhile can still be filled."""
        if delay > self.delay:
            if self._taken is not None:
                self._taken -= delay - self.delay
            self.delay = delay

    def _catch_up(self) -> None:
        """Nobody hears that a silence is shorter."""
        needed = max(MIN_DELAY, min(MAX_DELAY, max(self._needed, default=MIN_DELAY)))
        self.delay = max(needed, self.delay - BLOCK // 4)

    def _put(self, at: int, samples: Samples) -> None:
        self._ring[np.arange(at, at + len(samples)) % _RING] = samples

    def _drop(self, begin: int, end: int) -> None:
        self._ring[np.arange(begin, min(end, begin + _RING)) % _RING] = 0


def _stretched(samples: Samples, ahead: int) -> Samples:
    """By one sample, if its clock is `ahead` of what came before by more than a millisecond."""
    if ahead > _DRIFT:
        return np.append(samples, samples[-1:])
    return samples[:-1] if ahead < -_DRIFT else samples


class Mix:
    """The sum of all voices, turned down where they are too loud."""

    def __init__(self) -> None:
        self._limiter = Limiter()
        self._seen = np.zeros(LOOKAHEAD, np.float32)

    def of(self, blocks: list[Samples]) -> Samples:
        """The sum, later by what the limiter has to see beforehand, a millisecond."""
        mixed = np.zeros(LOOKAHEAD + BLOCK, np.float32)
        mixed[:LOOKAHEAD] = self._seen
        for block in blocks:
            mixed[LOOKAHEAD:] += block
        self._seen = mixed[-LOOKAHEAD:].copy()
        limited: Samples = self._limiter.limit(mixed[:, None])[:, 0]
        return limited


class Voices:
    """Those of the tracks of a session, and what they sound like together."""

    def __init__(self) -> None:
        self._voices: dict[int, Voice] = {}
        self._mix = Mix()

    def add(self, track: int) -> None:
        if len(self._voices) < MAX_VOICES:
            self._voices[track] = Voice()

    def remove(self, track: int) -> None:
        self._voices.pop(track, None)

    def has(self, track: int) -> bool:
        return track in self._voices

    def hear(self, track: int, pts_us: int, now_us: int, samples: Samples) -> None:
        """Decoded audio of a track."""
        voice = self._voices.get(track)
        if voice is not None:
            voice.add(pts_us, now_us, samples)

    def mixed(self, at: int) -> Samples:
        """The block that is heard at this position."""
        blocks = [block for voice in self._voices.values() if (block := voice.take(at)) is not None]
        return self._mix.of(blocks)
