"""An Audio Connector without its sockets: voices and messages in, one step for each 20 ms; pure.

The peer hears all voices of its tap, in which its own stream is not; silence is sent as well. What
the peer sends is played in its time, and so published. Without anything to play a little silence
ends the speech, then a packet now and then says that the stream still is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sfu.egress.audio import messages
from sfu.egress.audio.messages import Audio, Clear, Notify, Transport
from sfu.egress.audio.pace import SLOT_US
from sfu.egress.audio.playout import Playout
from sfu.egress.audio.resample import BLOCK, Decimator, Interpolator, Samples
from sfu.egress.audio.voices import Voices, position

_FULL = 32_767
_ENDING = 10
_SIGN_OF_LIFE = 20
"""Slots: a stream that is silent for longer than 400 ms would be taken for one that has ended."""


@dataclass(frozen=True, slots=True)
class Form:
    """What the application asked for."""

    rate_hz: int
    is_bidirectional: bool
    transport: Transport = field(default_factory=Transport)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """What goes out in one slot: to the peer, and, as samples at 48 kHz, to the session."""

    to_peer: list[str | bytes]
    speech: Samples | None


class Connector:
    def __init__(self, form: Form) -> None:
        self._form = form
        self._voices = Voices()
        self._narrow = Decimator(form.rate_hz)
        self._wide = Interpolator(form.rate_hz)
        self._playout = Playout(form.rate_hz)
        self._answers: list[str | bytes] = [messages.connected(form.rate_hz, form.headers)]
        self._silent_slots = 0
        self.has_spoken = False
        self.may_speak = False
        self.ignored_messages = 0

    @property
    def dropped_bytes(self) -> int:
        """What the peer sent too fast."""
        return self._playout.dropped_bytes

    def add_voice(self, track: int) -> None:
        self._voices.add(track)

    def remove_voice(self, track: int) -> None:
        self._voices.remove(track)

    def has_voice(self, track: int) -> bool:
        return self._voices.has(track)

    def hear(self, track: int, pts_us: int, now_us: int, samples: Samples) -> None:
        """Decoded audio of a track."""
        self._voices.hear(track, pts_us, now_us, samples)

    def handle_message(self, message: str | bytes) -> None:
        match messages.read(message, self._form.transport):
            case Audio(data) if self._form.is_bidirectional:
                self._playout.add(data)
                self.has_spoken |= bool(data)
            case Clear(is_answered):
                if self._playout.clear() or is_answered:
                    self._answers.append(messages.CLEARED)
            case Notify(payload) if self._playout.mark(payload):
                pass
            case _:
                self.ignored_messages += 1

    def step(self, slot: int) -> Step:
        """Once for each slot, in order."""
        speech = self._speak() if self.may_speak else None
        notified = [messages.notified(payload) for payload in self._playout.reached()]
        answers, self._answers = self._answers, []
        return Step([*answers, *notified, self._heard(slot)], speech)

    def _heard(self, slot: int) -> str | bytes:
        narrow = self._narrow.convert(self._voices.mixed(position(slot * SLOT_US)))
        audio = np.round(np.clip(narrow, -1.0, 1.0) * _FULL).astype("<i2").tobytes()
        return self._form.transport.encode(audio)

    def _speak(self) -> Samples | None:
        frame = self._playout.take()
        if frame is not None:
            self._silent_slots = 0
            samples = np.frombuffer(frame, "<i2").astype(np.float32)
            return self._wide.convert(samples / np.float32(_FULL + 1))
        if not self.has_spoken:
            return None
        self._silent_slots += 1
        if self._silent_slots > _ENDING and self._silent_slots % _SIGN_OF_LIFE:
            return None
        silence = np.zeros(BLOCK * self._form.rate_hz // 48_000, np.float32)
        return self._wide.convert(silence)
