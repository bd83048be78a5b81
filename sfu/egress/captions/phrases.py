"""Where a phrase begins and ends in the sound of one voice; pure.

Loudness decides, against the noise of the room, which is followed as it rises and falls. What is
quiet reaches no recognizer: silence costs nothing.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.int16]
"""20 ms."""

QUIETEST_DB = -50.0
"""Below it nobody speaks, however quiet the room is."""
ABOVE_NOISE_DB = 9.0
_NOISE_FALLS = 0.2
_NOISE_RISES_DB = 0.06
"""In each block, 3 dB a second: the pauses of a speaker keep it down, a fan is noise soon."""
BEFORE = 15
"""Blocks in front of the loud ones that belong to the phrase: quiet consonants."""
_LOUD_OF_LAST, _LAST = 3, 5
"""So many loud blocks of the last ones begin a phrase; a click does not."""
PAUSE = 22
"""Quiet blocks that end a phrase, 440 ms."""
SHORT_PAUSE = 8
LONG = 400
"""From this many blocks on, 8 s, a short pause ends it too."""
LONGEST = 750


class Phrases:
    """Of one voice. `is_open`: somebody speaks."""

    def __init__(self) -> None:
        self.is_open = False
        self._noise_db = QUIETEST_DB
        self._before: deque[Block] = deque(maxlen=BEFORE)
        self._loud: deque[bool] = deque(maxlen=_LAST)
        self._length = 0
        self._quiet = 0

    def hear(self, block: Block) -> list[Block]:
        """The blocks that belong to a phrase now: none, or those that begin it, or this one. The
        phrase has ended when `is_open` is False afterwards."""
        is_loud = self._is_loud(block)
        self._loud.append(is_loud)
        if not self.is_open:
            self._before.append(block)
            if sum(self._loud) < _LOUD_OF_LAST:
                return []
            self.is_open, self._quiet = True, 0
            begun = list(self._before)
            self._length = len(begun)
            self._before.clear()
            return begun
        self._length += 1
        self._quiet = 0 if is_loud else self._quiet + 1
        pause = SHORT_PAUSE if self._length >= LONG else PAUSE
        if self._quiet >= pause or self._length >= LONGEST:
            self.end()
        return [block]

    def end(self) -> None:
        """What comes next begins another phrase."""
        self.is_open = False
        self._loud.clear()
        self._before.clear()

    def _is_loud(self, block: Block) -> bool:
        power = float(np.mean(np.square(block.astype(np.float32) / 32_768)))
        level_db = 10 * np.log10(max(power, 1e-12))
        if level_db < self._noise_db:
            self._noise_db += (level_db - self._noise_db) * _NOISE_FALLS
        else:
            self._noise_db += _NOISE_RISES_DB
        return bool(level_db > max(QUIETEST_DB, self._noise_db + ABOVE_NOISE_DB))
