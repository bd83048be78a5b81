"""End-to-end encryption of one Session: secrets, their change, replay protection, signals."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sealroute_client import events
from sealroute_client.e2ee.decryption import Decryptor
from sealroute_client.e2ee.identity import (
    Budget,
    Outcome,
    StreamHistory,
    Windows,
)
from sealroute_client.e2ee.keys import PendingContext, SecretRing
from sealroute_client.e2ee.secret import SessionSecret
from sealroute_client.e2ee.signals import SignalContent, SignalDecryptor, SignalEncryptor
from sealroute_client.e2ee.state import KeySwitch
from sealroute_client.errors import (
    EncryptionError,
    EncryptionSecretMissing,
    InvalidParameter,
    SealrouteError,
)
from sealroute_client.publisher import PublishedTrack, Publisher
from sealroute_client.rules import ALL_DERIVATIONS_PER_S, OLD_KIDS_S

logger = logging.getLogger(__name__)

Request = Callable[..., Awaitable[Any]]


@dataclass(slots=True)
class _SignalSender:
    decryptor: SignalDecryptor
    history: StreamHistory


class SessionEncryption:
    """Owns the secrets of one client and decides under which its senders encrypt.

    No step of a change waits for the server: it is told, and what it refuses is dropped by it.
    """

    def __init__(
        self,
        secret: SessionSecret,
        request: Request,
        publishers: Callable[[], Iterable[Publisher]],
        spawn: Callable[..., None],
    ) -> None:
        self.on_unknown_hint: Callable[[], None] = lambda: None
        """Called when a member announced a secret that this client does not have. The server can
        invent it."""
        self.ring = SecretRing()
        self.sending = secret
        self._clock = time.monotonic
        self._request = request
        self._publishers = publishers
        self._spawn = spawn
        self._switch = KeySwitch(secret.hint)
        self._timer: asyncio.TimerHandle | None = None
        self._withdrawals: set[asyncio.TimerHandle] = set()
        self._connection_id = ""
        self._signal_encryptor = SignalEncryptor("")
        self._signal_senders: dict[str, _SignalSender] = {}
        self._derivations = Budget(ALL_DERIVATIONS_PER_S)
        self._streams: dict[str, StreamHistory] = {}
        self.ring.add(secret, self._clock())

    @property
    def current(self) -> SessionSecret:
        """The newest secret, under which frames may be decrypted already."""
        secret = self.ring.current
        if secret is None:
            raise EncryptionSecretMissing("The encryption secret was not set")
        return secret

    def join(self, connection_id: str, hints: dict[str, int], present: Iterable[str]) -> None:
        """A welcome: of the first connection, or of another one of the same Session."""
        if connection_id != self._connection_id:
            self._connection_id = connection_id
            self._signal_encryptor = SignalEncryptor(connection_id)
        self._switch.keep_only(present)
        for connection, hint in hints.items():
            self.on_hint(connection, int(hint))

    async def announce(self) -> None:
        await self._request("e2eeReady", hint=self.current.hint)

    # --- a change of secret ------------------------------------------------------------

    def change(self, secret: SessionSecret, *, immediate: bool) -> bool:
        """From now on frames under the new secret open; senders follow when it is due, and with
        `immediate` have followed on return. False: it was the newest already."""
        now_s = self._clock()
        is_new = not self.current.is_same(secret)
        if not is_new and not immediate:
            return False
        self.ring.add(secret, now_s, immediate=immediate)
        if self.sending.is_same(self.current):
            self.sending = self.current
        self._switch.set(self.current.hint, now_s, immediate=immediate)
        if self.sending is not self.current and self._switch.deadline_s is None:
            # Two secrets with one hint: the rule sees none of it.
            self._move(immediate=immediate)
        self._switch_when_due(immediate=immediate)
        if self._switch.deadline_s is not None:
            self._prepare()
        self._spawn(self._best_effort(self.announce()))
        return is_new

    def _on_deadline(self) -> None:
        """The timer is the clock here: timers may be a little early by another one."""
        deadline_s = self._switch.deadline_s
        if deadline_s is not None and self._switch.take_due(max(self._clock(), deadline_s)):
            self._move(immediate=False)

    def _switch_when_due(self, *, immediate: bool = False) -> None:
        now_s = self._clock()
        if self._switch.take_due(now_s):
            self._move(immediate=immediate)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._switch.deadline_s is not None:
            delay_s = max(0.0, self._switch.deadline_s - now_s)
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(delay_s, self._on_deadline)

    def _move(self, *, immediate: bool) -> None:
        """All senders use the newest secret from their next frame on. One that cannot stops."""
        self.sending = self.current
        for publisher in list(self._publishers()):
            self._move_publisher(publisher, immediate=immediate)

    def _move_publisher(self, publisher: Publisher, *, immediate: bool) -> None:
        for track in publisher.tracks:
            try:
                if track.pending is None or track.pending.secret is not self.sending:
                    track.pending = PendingContext(self.sending, publisher.key_ids)
                track.switch(self._connection_id, publisher.stream_id, revoke=immediate)
            except SealrouteError as error:
                track.encryptor.close()
                publisher.emit(events.ErrorOccurred(error=error))
                continue
            if immediate:
                track.old_kids.clear()
            else:
                self._withdraw_later(publisher, track)
            self._declare_soon(publisher, track)

    def _withdraw_later(self, publisher: Publisher, track: PublishedTrack) -> None:
        old = list(track.old_kids)

        def withdraw() -> None:
            self._withdrawals.discard(timer)
            track.old_kids = [kid for kid in track.old_kids if kid not in old]
            if publisher in self._publishers():
                self._declare_soon(publisher, track)

        if old:
            timer = asyncio.get_running_loop().call_later(OLD_KIDS_S, withdraw)
            self._withdrawals.add(timer)

    def pending(self, publisher: Publisher) -> PendingContext:
        """A key id for a track that is about to be published."""
        return PendingContext(self.sending, publisher.key_ids)

    def activate(self, publisher: Publisher) -> None:
        """The stream has its id, and with it its keys. The secret may have changed since its key
        ids were chosen: those are left then, and not one frame goes out under them."""
        for track in publisher.tracks:
            if track.pending is None or track.pending.secret is not self.sending:
                track.pending = self.pending(publisher)
                self._declare_soon(publisher, track)
            track.switch(self._connection_id, publisher.stream_id)
        if self._switch.deadline_s is not None:
            self._prepare()

    def renew(self, publisher: Publisher, track: PublishedTrack) -> None:
        """A new key id under the same secret: the counter of the old one has ended."""
        if track.encryptor.is_exhausted:
            self._move_publisher(publisher, immediate=False)

    # --- messages to the server, best effort ----------------------------------------------

    async def declare_again(self) -> None:
        """After a resume: the server may have missed, or refused, any of it."""
        await self._best_effort(self.announce())
        for publisher in list(self._publishers()):
            for track in publisher.tracks:
                await self._best_effort(self._declare(publisher, track))

    def _prepare(self) -> None:
        """Chooses and declares the next key ids beside those in use, so that none is late."""
        for publisher in list(self._publishers()):
            for track in publisher.tracks:
                with contextlib.suppress(EncryptionError):
                    track.pending = PendingContext(self.current, publisher.key_ids)
                    self._declare_soon(publisher, track)

    def _declare_soon(self, publisher: Publisher, track: PublishedTrack) -> None:
        self._spawn(self._best_effort(self._declare(publisher, track)))

    async def _declare(self, publisher: Publisher, track: PublishedTrack) -> None:
        await self._request(
            "declareKids",
            streamId=publisher.stream_id,
            mid=track.mid,
            kids=track.declared_kids,
        )

    async def _best_effort(self, telling: Awaitable[None]) -> None:
        """What the server does not take it drops by its guard: nothing here depends on it."""
        try:
            await telling
        except SealrouteError as error:
            logger.info("the server did not take a key id: %s", error.code)

    # --- hints of others ----------------------------------------------------------------

    def on_hint(self, connection: str, hint: int) -> None:
        if connection != self._connection_id:
            if hint not in self.ring.hints:
                self.on_unknown_hint()
            self._switch.announced(connection, hint)
            self._switch_when_due()

    def on_left(self, connection: str) -> None:
        """What it ever said stays in its history: the same id may come back."""
        known = self._signal_senders.get(connection)
        if known is not None and known.history.sender is None:
            del self._signal_senders[connection]
        self._switch.left(connection)
        self._switch_when_due()

    # --- receiving ---------------------------------------------------------------------

    def openers(self, connection_id: str, stream_id: str) -> dict[str, Decryptor]:
        """By kind, for one subscription of a stream; made when it begins, kept through all m-lines
        and transports that carry it. `connection_id` is the publisher's."""
        history = self._streams.get(stream_id)
        if history is None:
            history = StreamHistory("audio", "video", whole=self._derivations)
            self._streams[stream_id] = history

        def base(secret: SessionSecret) -> bytes:
            return secret.stream_base(connection_id, stream_id)

        return {
            kind: Decryptor(self.ring, Windows(history, kind), base) for kind in ("audio", "video")
        }

    def encrypt_signal(self, content: SignalContent) -> bytes:
        try:
            encrypted = self._signal_encryptor.encrypt(self.sending, content)
        except ValueError:
            raise InvalidParameter("The signal type is too long") from None
        if encrypted is None:
            raise InvalidParameter("The signal cannot be encrypted")
        return encrypted

    def decrypt_signal(self, sender: str, encrypted: bytes) -> SignalContent | Outcome:
        known = self._signal_senders.get(sender)
        if known is None:
            history = StreamHistory("signal", whole=self._derivations)
            known = _SignalSender(SignalDecryptor(self.ring, sender, history), history)
            self._signal_senders[sender] = known
        return known.decryptor.decrypt(encrypted, self._connection_id, self._clock())

    def close(self) -> None:
        for timer in (self._timer, *self._withdrawals):
            if timer is not None:
                timer.cancel()
        self._timer = None
        self._withdrawals.clear()
