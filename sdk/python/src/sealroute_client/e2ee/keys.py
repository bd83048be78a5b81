"""Keys in use: what a sender seals with, and what a receiver may open with."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sealroute_client.e2ee import frames
from sealroute_client.e2ee.bitstream import FormatError
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.secret import SessionSecret, key_context, key_id, new_context_id
from sealroute_client.e2ee.sframe import (
    AuthenticationError,
    Header,
    HeaderError,
    KeyContext,
    decode_header,
)

CTR_LIMIT: Final = 2**32
REPLAY_WINDOW: Final = 1024
MAX_SECRETS: Final = 3
MAX_ACTIVE_KIDS: Final = 8
DERIVATIONS_PER_S: Final = 20
RETIRE_AFTER_S: Final = 10.0
MAX_OVERLAP_S: Final = 60.0
MAX_RETIRED: Final = 65_536
"""Half a megabyte per track; a track that reaches it opens no further key ids."""

BaseKey = Callable[[SessionSecret], bytes]


class Outcome(StrEnum):
    """What became of a received frame. All but OK are dropped; REPLAY is not counted."""

    OK = "ok"
    SECRET = "secret"  # noqa: S105
    AUTH = "auth"
    FORMAT = "format"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class Opened:
    outcome: Outcome
    frame: bytes = b""


class Sealer:
    """Seals one sender's frames. Without a key, or past the counter's end, it gives nothing.

    Called from encoder threads while the event loop swaps keys, hence the lock.
    """

    def __init__(self, limit: int = CTR_LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._context: KeyContext | None = None
        self._ctr = 0
        self.sealed_frames = 0
        self.dropped_frames = 0

    @property
    def kid(self) -> int | None:
        return self._context.kid if self._context else None

    @property
    def is_exhausted(self) -> bool:
        return self._context is not None and self._ctr >= self._limit

    def use(self, context: KeyContext) -> None:
        """Swaps key id, key and counter at once, between two frames.

        Errors: ValueError for the key id in use, whose counter must not start again.
        """
        with self._lock:
            if self._context is not None and self._context.kid == context.kid:
                raise ValueError("a key id is used once")
            self._context = context
            self._ctr = 0

    def seal(self, codec: CodecId, frame: bytes) -> bytes | None:
        """None: the frame must not be sent. Errors: none for bad frames; they are dropped."""
        with self._lock:
            context = self._context
            if context is None or self._ctr >= self._limit:
                self.dropped_frames += 1
                return None
            ctr = self._ctr
            # Taken before anything can fail: a counter is never used twice.
            self._ctr += 1
        try:
            wire = frames.seal(codec, frame, lambda meta, part: context.seal(ctr, meta, part))
        except FormatError:
            self.dropped_frames += 1
            return None
        self.sealed_frames += 1
        return wire


class PendingContext:
    """A key id chosen before the stream id, and so the key, is known."""

    def __init__(self, secret: SessionSecret) -> None:
        self.secret = secret
        self.kid = key_id(new_context_id(), secret.hint)

    @property
    def kid_bytes(self) -> bytes:
        return self.kid.to_bytes(8, "big")

    def context(self, base_key: bytes) -> KeyContext:
        return key_context(base_key, self.kid)


@dataclass(slots=True)
class _HeldSecret:
    secret: SessionSecret
    replaced_s: float | None = None
    last_opened_s: float | None = None

    def has_expired(self, now_s: float) -> bool:
        if self.replaced_s is None:
            return False
        last = self.replaced_s if self.last_opened_s is None else self.last_opened_s
        return (
            now_s >= self.replaced_s + MAX_OVERLAP_S
            or now_s >= max(last, self.replaced_s) + RETIRE_AFTER_S
        )


class SecretRing:
    """The secrets a client may open with, newest first (section 5.9)."""

    def __init__(self) -> None:
        self._held: list[_HeldSecret] = []

    @property
    def current(self) -> SessionSecret | None:
        return self._held[0].secret if self._held else None

    @property
    def hints(self) -> frozenset[int]:
        return frozenset(held.secret.hint for held in self._held)

    def add(self, secret: SessionSecret, now_s: float, *, immediate: bool = False) -> None:
        """`immediate` forgets the older ones at once: for the eviction of a member."""
        # A secret that comes back keeps its identity, and with it the replay state of its keys.
        secret = next((held.secret for held in self._held if held.secret.is_same(secret)), secret)
        older = [held for held in self._held if held.secret is not secret]
        for held in older:
            if held.replaced_s is None:
                held.replaced_s = now_s
        self._held = [_HeldSecret(secret), *([] if immediate else older)][:MAX_SECRETS]

    def candidates(self, hint: int, now_s: float) -> list[SessionSecret]:
        self._held = [held for held in self._held if not held.has_expired(now_s)]
        return [held.secret for held in self._held if held.secret.hint == hint]

    def holds(self, secret: SessionSecret, now_s: float) -> bool:
        return any(held.secret is secret and not held.has_expired(now_s) for held in self._held)

    def opened_with(self, secret: SessionSecret, now_s: float) -> None:
        for held in self._held:
            if held.secret is secret:
                held.last_opened_s = now_s


class ReplayWindow:
    """Which of the last 1024 counters were seen (as RFC 3711 section 3.3.2)."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = -1
        self._seen = 0

    def is_fresh(self, ctr: int) -> bool:
        behind = self._highest - ctr
        return behind < 0 or (behind < REPLAY_WINDOW and not self._seen >> behind & 1)

    def record(self, ctr: int) -> None:
        ahead = ctr - self._highest
        if ahead > 0:
            shifted = self._seen << ahead if ahead < REPLAY_WINDOW else 0
            self._seen = (shifted | 1) & ((1 << REPLAY_WINDOW) - 1)
            self._highest = ctr
        else:
            self._seen |= 1 << -ahead


@dataclass(slots=True)
class _ActiveKid:
    context: KeyContext
    secret: SessionSecret
    window: ReplayWindow
    last_opened_s: float


class Opener:
    """Opens one track's frames. A key id that was left is never accepted again."""

    def __init__(self, secrets: SecretRing, base_key: BaseKey) -> None:
        self._secrets = secrets
        self._base_key = base_key
        self._active: dict[int, _ActiveKid] = {}
        self._retired: set[int] = set()
        self._derivations_s: deque[float] = deque()
        self.current_kid: int | None = None

    def open(self, codec: CodecId, wire: bytes, now_s: float) -> Opened:
        try:
            sealed = frames.split(codec, wire)
            header = decode_header(sealed.sframe)
        except (FormatError, HeaderError):
            return Opened(Outcome.FORMAT)
        self._retire(now_s)
        outcome, plaintext = self._open_part(header, sealed, now_s)
        if outcome is not Outcome.OK:
            return Opened(outcome)
        return Opened(outcome, frames.join(codec, sealed, plaintext))

    def _open_part(
        self, header: Header, sealed: frames.Sealed, now_s: float
    ) -> tuple[Outcome, bytes]:
        if header.kid in self._retired:
            return Outcome.REPLAY, b""
        active = self._active.get(header.kid)
        if active is None:
            return self._open_unknown(header, sealed, now_s)
        if not active.window.is_fresh(header.ctr):
            return Outcome.REPLAY, b""
        try:
            plaintext = active.context.open(header, sealed.metadata, sealed.sframe)
        except AuthenticationError:
            return Outcome.AUTH, b""
        self._accept(header, active, now_s)
        return Outcome.OK, plaintext

    def _open_unknown(
        self, header: Header, sealed: frames.Sealed, now_s: float
    ) -> tuple[Outcome, bytes]:
        candidates = self._secrets.candidates(header.kid & 0xFFFF, now_s)
        if not candidates:
            return Outcome.SECRET, b""
        if header.kid_bytes != 8 or not header.kid >> 63:
            return Outcome.FORMAT, b""
        for secret in candidates:
            if not self._may_derive(now_s):
                break
            context = key_context(self._base_key(secret), header.kid)
            try:
                plaintext = context.open(header, sealed.metadata, sealed.sframe)
            except AuthenticationError:
                continue
            self._accept(header, _ActiveKid(context, secret, ReplayWindow(), now_s), now_s)
            return Outcome.OK, plaintext
        return Outcome.AUTH, b""

    def _accept(self, header: Header, active: _ActiveKid, now_s: float) -> None:
        if header.kid not in self._active:
            if len(self._active) >= MAX_ACTIVE_KIDS:
                oldest = min(self._active, key=lambda kid: self._active[kid].last_opened_s)
                self._forget(oldest)
            self._active[header.kid] = active
            self.current_kid = header.kid
        active.window.record(header.ctr)
        active.last_opened_s = now_s
        self._secrets.opened_with(active.secret, now_s)

    def _may_derive(self, now_s: float) -> bool:
        while self._derivations_s and self._derivations_s[0] <= now_s - 1:
            self._derivations_s.popleft()
        if len(self._derivations_s) >= DERIVATIONS_PER_S or len(self._retired) >= MAX_RETIRED:
            return False
        self._derivations_s.append(now_s)
        return True

    def _retire(self, now_s: float) -> None:
        """The sender has moved on and 10 s passed, or the secret is gone."""
        for kid, active in list(self._active.items()):
            has_moved_on = (
                kid != self.current_kid and now_s >= active.last_opened_s + RETIRE_AFTER_S
            )
            if has_moved_on or not self._secrets.holds(active.secret, now_s):
                self._forget(kid)

    def _forget(self, kid: int) -> None:
        del self._active[kid]
        self._retired.add(kid)
