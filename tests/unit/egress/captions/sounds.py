"""Voices that are tones, and a recognizer that says how long it heard them."""

import numpy as np

RATE_HZ = 48_000


def tone(ms: int, loud: float = 0.3) -> np.ndarray:
    at = np.arange(RATE_HZ * ms // 1_000) / RATE_HZ
    return (loud * np.sin(2 * np.pi * 300 * at)).astype(np.float32)


def silence(ms: int) -> np.ndarray:
    return np.zeros(RATE_HZ * ms // 1_000, np.float32)


class Stopwatch:
    """An engine: the text is the number of milliseconds that were loud."""

    def __init__(self) -> None:
        self.heard_ms = 0
        self.is_open = False

    def begin(self) -> None:
        assert not self.is_open
        self.is_open, self.heard_ms = True, 0

    def hear(self, audio: bytes) -> None:
        assert self.is_open
        samples = np.frombuffer(audio, "<i2").astype(np.float32)
        if np.sqrt(np.mean(samples**2)) > 1_000:
            self.heard_ms += 20

    def partial(self) -> str:
        assert self.is_open
        return f"{self.heard_ms}" if self.heard_ms else ""

    def finish(self) -> str:
        assert self.is_open
        self.is_open = False
        return f"{self.heard_ms}" if self.heard_ms else ""
