"""Replay and identity (docs/e2ee.md section 7): what is remembered of a stream, or of the signals
of a connection, for the life of the Session. Pure: no keys, and time is a parameter.

Nothing that a server says resets it: it is looked up by the id alone.
"""

from collections import deque
from enum import StrEnum
from typing import Final

from sealroute_client.e2ee.secret import context_of, sender_of
from sealroute_client.rules import (
    AUDIO_WINDOW,
    DERIVATIONS_PER_S,
    MAX_ACTIVE_CONTEXTS,
    OLD_CONTEXT_S,
    SIGNAL_WINDOW,
    VIDEO_WINDOW,
)

WINDOWS: Final = {"audio": AUDIO_WINDOW, "video": VIDEO_WINDOW, "signal": SIGNAL_WINDOW}
"""Counters by kind: how far frames may be reordered."""
MAX_RETIRED: Final = 65_536
"""Half a megabyte for one stream and kind; beyond it no further key ids open."""


class Outcome(StrEnum):
    """What became of a received frame. All but OK are dropped; REPLAY is not counted."""

    OK = "ok"
    SECRET = "secret"  # noqa: S105
    AUTH = "auth"
    SENDER = "sender"
    FORMAT = "format"
    REPLAY = "replay"
    ADDRESSEE = "addressee"


class Budget:
    """At most `per_s` in any second."""

    def __init__(self, per_s: int, whole: "Budget | None" = None) -> None:
        self._per_s = per_s
        self._whole = whole
        self._taken_s: deque[float] = deque()

    def take(self, now_s: float) -> bool:
        while self._taken_s and self._taken_s[0] <= now_s - 1:
            self._taken_s.popleft()
        if len(self._taken_s) >= self._per_s or (self._whole and not self._whole.take(now_s)):
            return False
        self._taken_s.append(now_s)
        return True


class ReplayWindow:
    """Which of the newest counters were seen (as RFC 3711 section 3.3.2)."""

    __slots__ = ("_highest", "_seen", "_width")

    def __init__(self, width: int) -> None:
        self._width = width
        self._highest = -1
        self._seen = 0

    def is_fresh(self, ctr: int) -> bool:
        behind = self._highest - ctr
        return behind < 0 or (behind < self._width and not self._seen >> behind & 1)

    def record(self, ctr: int) -> None:
        ahead = ctr - self._highest
        if ahead > 0:
            shifted = self._seen << ahead if ahead < self._width else 0
            self._seen = (shifted | 1) & ((1 << self._width) - 1)
            self._highest = ctr
        elif -ahead < self._width:
            self._seen |= 1 << -ahead

    def copy(self) -> "ReplayWindow":
        other = ReplayWindow(self._width)
        other._highest, other._seen = self._highest, self._seen
        return other


def is_newer(context: int, other: int) -> bool:
    """Contexts are counted up modulo 2^16 (serial numbers, RFC 1982)."""
    return 0 < (context - other) & 0xFFFF < 0x8000


class KindHistory:
    """All that was decrypted of one stream and kind, over all its subscriptions."""

    def __init__(self, kind: str, whole: Budget | None = None) -> None:
        self.width = WINDOWS[kind]
        self.derivations = Budget(DERIVATIONS_PER_S, whole)
        self.decrypted: dict[int, ReplayWindow] = {}
        self._first_s: dict[int, float] = {}
        self._retired: set[int] = set()
        self._floor: int | None = None
        """Contexts that are older than this one are retired, those too that never were seen."""

    def is_retired(self, kid: int, now_s: float) -> bool:
        for active, first_s in list(self._first_s.items()):
            if now_s >= first_s + OLD_CONTEXT_S:
                self._raise_floor(context_of(active))
        is_old = self._floor is not None and is_newer(self._floor, context_of(kid))
        return is_old or kid in self._retired

    def may_open(self, kid: int) -> bool:
        return kid in self.decrypted or len(self._retired) < MAX_RETIRED

    def record(self, kid: int, ctr: int, now_s: float) -> None:
        if kid not in self.decrypted:
            self.decrypted[kid] = ReplayWindow(self.width)
            self._first_s[kid] = now_s
        self.decrypted[kid].record(ctr)
        if len(self.decrypted) > MAX_ACTIVE_CONTEXTS:
            self._drop_oldest(context_of(kid))

    def _drop_oldest(self, newest: int) -> None:
        def age(kid: int) -> int:
            behind = (newest - context_of(kid)) & 0xFFFF
            return behind - 0x10000 if behind >= 0x8000 else behind

        oldest, second = sorted(self.decrypted, key=age, reverse=True)[:2]
        self._retire(oldest)
        self._raise_floor(context_of(second))

    def _raise_floor(self, context: int) -> None:
        if self._floor is None or is_newer(context, self._floor):
            self._floor = context
        for kid in list(self.decrypted):
            if is_newer(self._floor, context_of(kid)):
                self._retire(kid)

    def _retire(self, kid: int) -> None:
        del self.decrypted[kid], self._first_s[kid]
        self._retired.add(kid)


class StreamHistory:
    """One stream id, or the signals of one connection id."""

    def __init__(self, *kinds: str, whole: Budget | None = None) -> None:
        self.sender: int | None = None
        self.kinds = {kind: KindHistory(kind, whole) for kind in kinds}


class Windows:
    """What one subscription may play of one kind: everything that was not decrypted before it
    began, once. A second m-line, a new offer or a new transport of it goes on with these."""

    def __init__(self, history: StreamHistory, kind: str) -> None:
        self._stream = history
        self._kind = history.kinds[kind]
        self._windows = {kid: window.copy() for kid, window in self._kind.decrypted.items()}

    def refusal(self, kid: int, ctr: int, now_s: float) -> Outcome | None:
        """Why a frame may not be played, before any key is derived for it."""
        if self._stream.sender is not None and sender_of(kid) != self._stream.sender:
            return Outcome.SENDER
        if self._kind.is_retired(kid, now_s):
            self._windows.pop(kid, None)
            return Outcome.REPLAY
        window = self._windows.get(kid)
        return Outcome.REPLAY if window is not None and not window.is_fresh(ctr) else None

    def is_active(self, kid: int) -> bool:
        return kid in self._kind.decrypted

    def may_derive(self, kid: int, now_s: float) -> bool:
        return self._kind.may_open(kid) and self._kind.derivations.take(now_s)

    def accept(self, kid: int, ctr: int, now_s: float) -> None:
        """The frame's tag verified."""
        self._stream.sender = sender_of(kid)
        self._windows.setdefault(kid, ReplayWindow(self._kind.width)).record(ctr)
        self._kind.record(kid, ctr, now_s)
