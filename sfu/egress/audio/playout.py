"""What a peer sent, until it is played, and the answers that wait for it; pure."""

from collections import deque

MAX_S = 60
"""Of audio that waits. More is dropped: a peer that sends too fast would fill the memory."""
MAX_MARKS = 100
_BEFORE_PLAYING = 2
"""Frames: what a peer may be late without a gap."""


class Playout:
    """Bytes of signed 16-bit samples, in frames of 20 ms."""

    def __init__(self, rate_hz: int) -> None:
        self.frame_bytes = rate_hz // 50 * 2
        self._limit = MAX_S * rate_hz * 2
        self._waiting = bytearray()
        self._played = 0
        self._marks: deque[tuple[int, object]] = deque()
        self._is_playing = False
        self._waited = 0
        self.dropped_bytes = 0

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    def add(self, audio: bytes) -> None:
        """Any number of bytes. What does not fit is dropped, and counted."""
        room = self._limit - len(self._waiting)
        self._waiting += audio[:room]
        self.dropped_bytes += max(0, len(audio) - room)

    def mark(self, payload: object) -> bool:
        """`take` gives it once all that is here now was played. False: too many wait."""
        if len(self._marks) >= MAX_MARKS:
            return False
        self._marks.append((self._played + len(self._waiting), payload))
        return True

    def clear(self) -> bool:
        """Forgets what was not played, with its marks. False: there was nothing."""
        had_some = bool(self._waiting or self._marks)
        self._waiting.clear()
        self._marks.clear()
        self._is_playing = False
        return had_some

    def take(self) -> bytes | None:
        """The next frame, the last one filled with silence; None while there is none."""
        if not self._waiting:
            self._is_playing, self._waited = False, 0
            return None
        if not self._is_playing:
            self._waited += 1
            enough = len(self._waiting) >= _BEFORE_PLAYING * self.frame_bytes
            if not enough and self._waited <= _BEFORE_PLAYING:
                return None
            self._is_playing = True
        frame = bytes(self._waiting[: self.frame_bytes])
        del self._waiting[: self.frame_bytes]
        self._played += len(frame)
        return frame.ljust(self.frame_bytes, b"\0")

    def reached(self) -> list[object]:
        """The marks of what was played by now, in order."""
        found = []
        while self._marks and self._marks[0][0] <= self._played:
            found.append(self._marks.popleft()[1])
        return found
