"""A captioned session without its sockets: decoded audio in, captions out; pure.

A recognizer hears one phrase at a time. Whoever begins to speak gets a free one, else waits: audio
of some seconds is kept and recognized faster than it was spoken. When the machine does not keep up,
first captions that are not final are left out, then the oldest audio.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sfu.egress.audio.resample import BLOCK as WIDE_BLOCK
from sfu.egress.audio.resample import RATE_HZ as WIDE_RATE_HZ
from sfu.egress.audio.resample import Decimator, Samples
from sfu.egress.caption_lines import MAX_CAPTION_CHARS, CaptionCount
from sfu.egress.captions.engine import RATE_HZ, Engine
from sfu.egress.captions.phrases import Block, Phrases

MAX_VOICES = 50
MAX_WAITING = 250
"""Blocks of a voice, 5 s."""
PARTIAL_US = 300_000
"""Not more often: fewer than four in a second, for each stream."""
BEHIND = 50
"""Waiting blocks from which on nothing is said that is not final."""
GAP_US = 20_000
LOST_US = 400_000
"""Without audio for so long a phrase ends: nobody speaks, or nothing arrives."""
_FULL = 32_767


@dataclass(frozen=True, slots=True)
class Spoken:
    track: int
    text: str = field(repr=False)
    is_final: bool


class _Voice:
    """`waiting`: audio for a recognizer; None ends a phrase."""

    def __init__(self) -> None:
        self.waiting: deque[bytes | None] = deque()
        self.engine: Engine | None = None
        self.said = ""
        self.partial_us = 0
        self.heard_us = 0
        self.end_us: int | None = None
        self.waits_since_us = 0
        self._phrases = Phrases()
        self._narrow = Decimator(RATE_HZ)
        self._rest = np.zeros(0, np.float32)

    def add(self, samples: Samples) -> None:
        """Sound at 48 kHz, without a gap to what came before."""
        whole = np.concatenate((self._rest, samples))
        count = len(whole) // WIDE_BLOCK
        for number in range(count):
            narrow = self._narrow.convert(whole[number * WIDE_BLOCK : (number + 1) * WIDE_BLOCK])
            self._add_block(np.round(np.clip(narrow, -1.0, 1.0) * _FULL).astype("<i2"))
        self._rest = whole[count * WIDE_BLOCK :]

    def _add_block(self, block: Block) -> None:
        of_phrase = self._phrases.hear(block)
        self.waiting.extend(one.tobytes() for one in of_phrase)
        if of_phrase and not self._phrases.is_open:
            self.waiting.append(None)

    def end_phrase(self) -> None:
        if self._phrases.is_open:
            self._phrases.end()
            self.waiting.append(None)
        self._rest = self._rest[:0]

    def drop_oldest(self) -> int:
        """What is more than may wait; the ends of phrases stay. How many blocks that are."""
        excess = len(self.waiting) - MAX_WAITING
        if excess <= 0:
            return 0
        oldest = [self.waiting.popleft() for _ in range(excess)]
        if None in oldest:
            self.waiting.appendleft(None)
        return sum(one is not None for one in oldest)


class Captioner:
    """`counts`: phrases, and what could not be used."""

    def __init__(self, engines: Sequence[Engine], *, partials: bool) -> None:
        self.counts: Counter[CaptionCount] = Counter()
        self._free = list(engines)
        self._partials = partials
        self._voices: dict[int, _Voice] = {}

    @property
    def is_busy(self) -> bool:
        """Audio waits that a recognizer could take now."""
        return any(
            voice.waiting and (voice.engine is not None or self._free)
            for voice in self._voices.values()
        )

    def add_voice(self, track: int) -> None:
        if len(self._voices) < MAX_VOICES:
            self._voices[track] = _Voice()
        else:
            self.counts["streams_left_out"] += 1

    def remove_voice(self, track: int) -> None:
        """What it was saying is not said any more: its stream has no subscribers now."""
        voice = self._voices.pop(track, None)
        if voice is not None and voice.engine is not None:
            voice.engine.finish()
            self._free.append(voice.engine)

    def has_voice(self, track: int) -> bool:
        return track in self._voices

    def hear(self, track: int, pts_us: int, now_us: int, samples: Samples) -> None:
        """Decoded audio of a track."""
        voice = self._voices.get(track)
        if voice is None or not len(samples):
            return
        gap_us = 0 if voice.end_us is None else pts_us - voice.end_us
        if gap_us < -GAP_US:
            self.counts["late_packets"] += 1
            return
        if gap_us > LOST_US:
            voice.end_phrase()
        elif gap_us > GAP_US:
            voice.add(np.zeros(gap_us * WIDE_RATE_HZ // 1_000_000, np.float32))
        voice.add(samples)
        voice.heard_us = now_us
        voice.end_us = pts_us + len(samples) * 1_000_000 // WIDE_RATE_HZ
        self.counts["blocks_dropped"] += voice.drop_oldest()

    def step(self, now_us: int, blocks: int) -> list[Spoken]:
        """What has been said. `blocks`: that many of each speaker are recognized at most, so that
        the caller can look after its sockets in between."""
        spoken: list[Spoken] = []
        # Who has waited longest for a recognizer comes first.
        for track, voice in sorted(self._voices.items(), key=lambda one: one[1].waits_since_us):
            if now_us - voice.heard_us > LOST_US:
                voice.end_phrase()
            self._give_engine(voice)
            if voice.engine is not None:
                spoken.extend(self._recognize(track, voice, voice.engine, now_us, blocks))
        return spoken

    def _give_engine(self, voice: _Voice) -> None:
        if voice.waiting and voice.engine is None and self._free:
            voice.engine = self._free.pop()
            voice.said = ""
            voice.engine.begin()

    def _recognize(
        self, track: int, voice: _Voice, engine: Engine, now_us: int, blocks: int
    ) -> list[Spoken]:
        for _ in range(min(blocks, len(voice.waiting))):
            audio = voice.waiting.popleft()
            if audio is None:
                return self._finish(track, voice, engine, now_us)
            engine.hear(audio)
        is_due = now_us >= voice.partial_us and len(voice.waiting) < BEHIND
        if not (self._partials and is_due):
            return []
        voice.partial_us = now_us + PARTIAL_US
        text = engine.partial()[:MAX_CAPTION_CHARS]
        if not text or text == voice.said:
            return []
        voice.said = text
        return [Spoken(track, text, is_final=False)]

    def _finish(self, track: int, voice: _Voice, engine: Engine, now_us: int) -> list[Spoken]:
        voice.engine = None
        voice.waits_since_us = now_us
        self._free.append(engine)
        self.counts["phrases"] += 1
        text = engine.finish()[:MAX_CAPTION_CHARS]
        return [Spoken(track, text, is_final=True)] if text else []
