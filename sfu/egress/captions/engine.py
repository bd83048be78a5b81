"""What recognizes speech, as captions see it."""

from typing import Protocol

RATE_HZ = 16_000
BLOCK = RATE_HZ // 50
"""Samples of 20 ms."""


class Engine(Protocol):
    """One phrase at a time: `begin`, `hear` again and again, `finish`."""

    def begin(self) -> None: ...

    def hear(self, audio: bytes) -> None:
        """Signed 16-bit samples at 16 kHz, mono."""

    def partial(self) -> str:
        """The phrase so far; it may still change."""

    def finish(self) -> str:
        """The phrase. Empty: nothing was recognized."""
