"""Keys in use: what a sender encrypts with, and the secrets a receiver may open with."""

import threading
from dataclasses import dataclass

from sealroute_client.e2ee import frames
from sealroute_client.e2ee.bitstream import FormatError
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.e2ee.secret import KeyIds, SessionSecret, key_context
from sealroute_client.e2ee.sframe import KeyContext
from sealroute_client.rules import MAX_COUNTER, MAX_SECRETS, SECRET_IDLE_S, SECRET_OVERLAP_S


class Encryptor:
    """Encrypts one sender's frames. Without a key, or past the counter's end, it gives nothing.

    Called from encoder threads while the event loop swaps keys, hence the lock.
    """

    def __init__(self, limit: int = MAX_COUNTER) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._context: KeyContext | None = None
        self._ctr = 0
        self._epoch = 0
        """What was encrypted in an earlier one must not go out any more."""
        self._given_in: set[int] = set()
        self.dropped_frames = 0

    @property
    def kid(self) -> int | None:
        return self._context.kid if self._context else None

    @property
    def is_exhausted(self) -> bool:
        return self._context is not None and self._ctr >= self._limit

    def may_send(self) -> bool:
        """Whether all that was given since the last call may go out still."""
        with self._lock:
            given, self._given_in = self._given_in, set()
            return given <= {self._epoch}

    def use(self, context: KeyContext, *, revoke: bool = False) -> None:
        """Swaps key id, key and counter at once, between two frames. `revoke`: frames that are
        encrypted already, or right now, under the key before are dropped.

        Errors: ValueError for the key id in use, whose counter must not start again.
        """
        with self._lock:
            if self._context is not None and self._context.kid == context.kid:
                raise ValueError("a key id is used once")
            self._context = context
            self._ctr = 0
            self._epoch += revoke

    def close(self) -> None:
        """Gives nothing any more."""
        with self._lock:
            self._context = None
            self._epoch += 1

    def encrypt(self, codec: CodecId, frame: bytes) -> bytes | None:
        """None: the frame must not be sent. Errors: none for bad frames; they are dropped."""
        with self._lock:
            context = self._context
            if context is None or self._ctr >= self._limit:
                self.dropped_frames += 1
                return None
            ctr = self._ctr
            # Taken before anything can fail: a counter is never used twice.
            self._ctr += 1
            epoch = self._epoch
        try:
            wire = frames.encrypt(codec, frame, lambda meta, part: context.encrypt(ctr, meta, part))
        except FormatError:
            self.dropped_frames += 1
            return None
        with self._lock:
            if epoch != self._epoch:
                self.dropped_frames += 1
                return None
            self._given_in.add(epoch)
        return wire


class PendingContext:
    """A key id chosen before the stream id, and so the key, is known."""

    def __init__(self, secret: SessionSecret, ids: KeyIds) -> None:
        """Errors: EncryptionInternalError when the publication has no key id left."""
        self.secret = secret
        self.kid = ids.next(secret.hint)

    @property
    def kid_bytes(self) -> bytes:
        return self.kid.to_bytes(8, "big")

    def context(self, base_key: bytes) -> KeyContext:
        return key_context(base_key, self.kid)


@dataclass(slots=True)
class _HeldSecret:
    secret: SessionSecret
    replaced_s: float | None = None
    last_decrypted_s: float | None = None

    def has_expired(self, now_s: float) -> bool:
        if self.replaced_s is None:
            return False
        last = self.replaced_s if self.last_decrypted_s is None else self.last_decrypted_s
        return (
            now_s >= self.replaced_s + SECRET_OVERLAP_S
            or now_s >= max(last, self.replaced_s) + SECRET_IDLE_S
        )


class SecretRing:
    """The secrets a client may open with, newest first (section 9)."""

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

    def decrypted_with(self, secret: SessionSecret, now_s: float) -> None:
        for held in self._held:
            if held.secret is secret:
                held.last_decrypted_s = now_s
