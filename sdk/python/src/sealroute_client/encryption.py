"""End-to-end encryption of one joined Session: secrets, their change, sealed signals."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from sealroute_client.e2ee.keys import Outcome, PendingContext, SecretRing
from sealroute_client.e2ee.secret import SessionSecret
from sealroute_client.e2ee.signals import SignalOpener, SignalSealer
from sealroute_client.e2ee.state import SecretChange
from sealroute_client.errors import EncryptionSecretMissing, InvalidParameter, SealrouteError
from sealroute_client.publisher import PublishedTrack, Publisher

Request = Callable[..., Awaitable[Any]]
POLL_S: Final = 0.1
"""How soon after the last member became ready the sender switches."""


class SessionEncryption:
    """Owns the secrets of one Connection. Senders move to a new one when all others have it."""

    def __init__(self, secret: SessionSecret, connection_id: str, request: Request) -> None:
        self.ring = SecretRing()
        self.hints: dict[str, int] = {}
        self._clock = time.monotonic
        self._request = request
        self._signal_sealer = SignalSealer(connection_id)
        self._signal_openers: dict[str, SignalOpener] = {}
        self._change = asyncio.Lock()
        self.ring.add(secret, self._clock())

    @property
    def current(self) -> SessionSecret:
        secret = self.ring.current
        if secret is None:
            raise EncryptionSecretMissing("The encryption secret was not set")
        return secret

    async def announce(self) -> None:
        await self._request("e2eeReady", hint=self.current.hint)

    def accept(self, secret: SessionSecret, *, immediate: bool) -> None:
        """From now on frames under the new secret open."""
        self.ring.add(secret, self._clock(), immediate=immediate)

    async def switch(
        self,
        publishers: Callable[[], list[Publisher]],
        others: Callable[[], list[str]],
        *,
        immediate: bool,
    ) -> None:
        """Moves all senders to the current secret when it is due (e2ee/1 section 5.9)."""
        async with self._change:
            secret = self.current
            change = SecretChange(secret.hint, self._clock(), immediate)
            tracks = [(p, track) for p in publishers() for track in p.tracks]
            for publisher, track in tracks:
                await self.prepare(publisher, track, secret)
            while not change.is_due(others(), self.hints, self._clock()):  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
            for publisher, track in tracks:
                track.switch(publisher.stream_id)
            for publisher, track in tracks:
                await self._declare(publisher, track)

    async def prepare(
        self, publisher: Publisher, track: PublishedTrack, secret: SessionSecret
    ) -> None:
        """Chooses the track's next key id and declares it beside the one in use."""
        track.pending = PendingContext(secret)
        await self._declare(publisher, track)

    async def renew(self, publisher: Publisher, track: PublishedTrack) -> None:
        """A new key id under the same secret: the counter of the old one has ended."""
        async with self._change:
            if track.sealer.is_exhausted:
                await self.prepare(publisher, track, self.current)
                track.switch(publisher.stream_id)

    async def _declare(self, publisher: Publisher, track: PublishedTrack) -> None:
        try:
            await self._request(
                "declareKids",
                streamId=publisher.stream_id,
                mid=track.mid,
                kids=track.declared_kids,
            )
        except SealrouteError as error:
            # A stream that ended meanwhile needs no key ids.
            if publisher.stream_id and error.code == "not_connected":
                raise

    # --- signals -----------------------------------------------------------------------

    def seal_signal(self, kind: str, data: str) -> bytes:
        try:
            sealed = self._signal_sealer.seal(self.current, kind, data)
        except ValueError:
            raise InvalidParameter("The signal type is too long") from None
        if sealed is None:
            raise InvalidParameter("The signal can not be sealed")
        return sealed

    def open_signal(self, sender: str, sealed: bytes) -> tuple[Outcome, str, str]:
        opener = self._signal_openers.get(sender)
        if opener is None:
            opener = self._signal_openers[sender] = SignalOpener(self.ring, sender)
        return opener.open(sealed, self._clock())

    def forget(self, connection_id: str) -> None:
        self.hints.pop(connection_id, None)
        self._signal_openers.pop(connection_id, None)
