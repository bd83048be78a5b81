"""A Session as one Connection sees it: publish, subscribe, signals, events."""

import asyncio
import ipaddress
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from aiortc import MediaStreamTrack, RTCConfiguration, RTCIceServer

from sealroute_client import events, figures
from sealroute_client.codec import Message
from sealroute_client.complaints import Complaints
from sealroute_client.credentials import Credentials
from sealroute_client.e2ee import secret as secrets
from sealroute_client.e2ee.signals import SignalContent
from sealroute_client.e2ee.trust import SessionTrust, Trust
from sealroute_client.emitter import Emitter
from sealroute_client.encryption import SessionEncryption
from sealroute_client.errors import (
    AlreadyConnected,
    EncryptionInternalError,
    EncryptionSecretMissing,
    InvalidParameter,
    NotConnected,
    SealrouteError,
    ServerError,
)
from sealroute_client.media import loopback, sources
from sealroute_client.media.paths import MediaPath
from sealroute_client.peers import PeerConnections
from sealroute_client.publisher import Publisher
from sealroute_client.publishing import Publishing
from sealroute_client.recovery import Recovery
from sealroute_client.relay import PeerLinks
from sealroute_client.rules import E2EE_FORMAT
from sealroute_client.secret_changes import SecretChanges
from sealroute_client.server_messages import ServerMessages
from sealroute_client.signal_rules import check_signal
from sealroute_client.signaling import VERSION, Signaling
from sealroute_client.subscriber import Subscriber
from sealroute_client.subscribing import Subscribing
from sealroute_client.tasks import Tasks

CLIENT_CODECS: Final = ("opus", "vp8", "h264", "vp9", "av1")


class Session(Emitter):
    """One client in one Session.

    Its events are the classes of `sealroute_client.events`. `async with Session(...)` joins and
    leaves.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        session_id: str,
        token: str,
        encryption_secret: str | None = None,
    ) -> None:
        super().__init__()
        loopback.install()
        self.connection_id = ""
        self.trust = Trust(has_secret=encryption_secret is not None)
        self.capabilities: dict[str, Any] = {}
        self.connections: dict[str, dict[str, Any]] = {}
        self.streams: dict[str, dict[str, Any]] = {}
        self.encryption: SessionEncryption | None = None
        self._credentials = Credentials(url, api_key, session_id, token)
        self._secret = encryption_secret
        """Not derived yet: the latest that was set."""
        self._tasks = Tasks(self._on_failed_task)
        self._changes = SecretChanges(self._change_secret, self.spawn)
        self._derived: secrets.SessionSecret | None = None
        hello: Message = {
            "apiKey": api_key,
            "sessionId": session_id,
            "token": token,
            "sdk": {"name": "sealroute-client", "version": VERSION},
            "e2ee": {"formats": [E2EE_FORMAT], "signals": True},
            "codecs": list(CLIENT_CODECS),
        }
        self.signaling = Signaling(self._credentials, hello)
        self._messages = ServerMessages(self)
        self._complaints = Complaints()
        self._peers = PeerConnections(RTCConfiguration(iceServers=[]))
        self.relay: PeerLinks | None = None
        self.publishing = Publishing(self, self._peers)
        self.subscribing = Subscribing(self, self._peers)
        self.recovery = Recovery(self)
        self._was_connected = False
        self._has_joined = False
        self._ending: asyncio.Task[None] | None = None
        self._is_over = asyncio.Event()

    # --- joining and leaving -----------------------------------------------------------

    def check_url(self) -> None:
        """Errors: InvalidParameter, as `connect` would raise it."""
        _ = self._credentials.socket_url

    async def connect(self) -> None:
        """Joins. Errors, before any network use: AlreadyConnected, InvalidParameter,
        InvalidEncryptionSecret; then EncryptionError, ConnectFailed, ServerError,
        UnexpectedServerResponse."""
        if self._was_connected:
            raise AlreadyConnected("A Session is connected once; make another one to join again")
        self._was_connected = True
        try:
            await self._derive()
            welcome = await self._reach()
        except BaseException:
            # Nothing was joined: it may be tried again.
            self._was_connected = False
            raise
        try:
            # A secret that was set meanwhile is the one that counts.
            await self._derive()
            if self.is_leaving:
                raise NotConnected("The session was left before it was joined")  # noqa: TRY301
            self._enter(welcome, self._derived)
            if self.encryption is not None:
                self.spawn(self.encryption.declare_again())
        except BaseException:
            await self.disconnect()
            raise
        self._has_joined = True
        self.spawn(self.subscribing.answer_offers())
        self._messages.take_snapshot(welcome)
        self.signaling.start_reading()

    async def _derive(self) -> None:
        while self._secret is not None:
            text, self._secret = self._secret, None
            self._derived = await secrets.derive(text, self._credentials.session_id)

    async def _reach(self) -> dict[str, Any]:
        loopback.loopback_wanted.set(_is_loopback(self._credentials.url))
        self.signaling.on_message = self._messages.handle
        self.signaling.on_fault = self.complain
        self.signaling.on_lost = lambda: self.emit(events.SessionReconnecting())
        self.signaling.on_resumed = self._on_resumed
        self.signaling.on_closed = self._on_closed
        welcome: dict[str, Any] = await self.signaling.connect()
        return welcome

    def _check(self, welcome: dict[str, Any]) -> None:
        """Before anything is made or sent: is this the session that was asked for?

        Errors: EncryptionInternalError, EncryptionSecretMissing.
        """
        described = welcome["session"]
        if described.get("sessionId") != self._credentials.session_id:
            self.trust.refuse("The server says that this client is in another session")
        state = self.trust.on_welcome(described.get("e2ee"), described.get("mediaMode"))
        if state is SessionTrust.REFUSED:
            raise EncryptionInternalError(self.trust.reason)
        if state is SessionTrust.CONFIRMED:
            raise EncryptionSecretMissing(
                "Tried to connect an e2ee session but the encryption secret was not set"
            )

    def _enter(self, welcome: dict[str, Any], secret: secrets.SessionSecret | None) -> None:
        self._check(welcome)
        if secret is None and not self.trust.may_send_clear:
            raise EncryptionSecretMissing("An encryption secret was set, but no key was made of it")
        self.connection_id = str(welcome["connection"]["connectionId"])
        self.capabilities = dict(welcome.get("capabilities", {}))
        configuration = RTCConfiguration(
            iceServers=[
                RTCIceServer(row["urls"], row.get("username"), row.get("credential"))
                for row in welcome.get("iceServers", ())
            ]
        )
        self._peers = PeerConnections(configuration, self._on_error)
        self.publishing = Publishing(self, self._peers)
        self.subscribing = Subscribing(self, self._peers)
        if secret is not None:
            self.encryption = SessionEncryption(
                secret, self.signaling.request, self.publishing.publishers.values, self.spawn
            )
            self._join_encryption(welcome)
        if self.trust.is_relayed:
            self.relay = PeerLinks(self, self._peers)

    def _on_error(self, error: SealrouteError) -> None:
        self.emit(events.ErrorOccurred(error=error))

    def complain(self, error: SealrouteError) -> None:
        """Tells what the server did wrong: at once, and when it does the same again at most once in
        ten seconds, with how often it came since."""
        now_s = asyncio.get_running_loop().time()
        count = self._complaints.take(f"{error.code} {error}", now_s)
        if count > 1 and not isinstance(error, ServerError):
            error = type(error)(f"{error} ({count} times)")
        if count:
            self._on_error(error)

    def _join_encryption(self, welcome: dict[str, Any]) -> None:
        if self.encryption is not None:
            present = [str(row["connectionId"]) for row in welcome.get("connections", ())]
            self.encryption.join(self.connection_id, dict(welcome.get("hints", {})), present)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.disconnect()

    async def disconnect(self) -> None:
        """Leaves and frees everything. Idempotent; waits for an end that has begun already."""
        await asyncio.shield(self._begin_end("clientDisconnected"))

    async def wait_closed(self) -> None:
        """Returns when the Connection is over, for whatever reason."""
        await self._is_over.wait()

    def _begin_end(self, reason: str) -> "asyncio.Task[None]":
        """The first reason counts. It runs in a task of its own: the caller may be cancelled or
        ended by it, and two tasks that close a peer connection at once break each other's wait."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(reason, asyncio.current_task()))
        return self._ending

    async def _end(self, reason: str, asker: "asyncio.Task[Any] | None") -> None:
        try:
            await self._tasks.cancel(except_for=asker)
            self._changes.close()
            if self.encryption is not None:
                self.encryption.close()
            await self.publishing.stop()
            await self.signaling.close()
            await self.subscribing.close()
            if self.relay is not None:
                self.relay.forget()
            await self._peers.close()
            self.publishing.uplink = self.subscribing.downlink = None
        finally:
            self._is_over.set()
            if self._has_joined:
                self.emit(events.Disconnected(reason=reason))

    def _on_closed(self, reason: str) -> None:
        if self.signaling.refusal is not None and not self.is_leaving:
            self.emit(events.ErrorOccurred(error=self.signaling.refusal))
        self._begin_end(reason)

    @property
    def is_leaving(self) -> bool:
        """The end has begun: nothing new is begun in it."""
        return self._ending is not None

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` in the background; it ends with the Session, and its error is an event."""
        self._tasks.spawn(work)

    def _on_failed_task(self, error: SealrouteError) -> None:
        if not self.is_leaving:
            self._on_error(error)

    # --- publishing and subscribing ------------------------------------------------------

    @property
    def publishers(self) -> dict[str, Publisher]:
        """The own Publishers, by stream id."""
        return self.publishing.publishers

    @property
    def subscribers(self) -> dict[str, Subscriber]:
        """The own Subscribers, by subscriber id."""
        return self.subscribing.subscribers

    async def publish(  # noqa: PLR0913 - the options of a Publisher, all by name
        self,
        media: str | Path | None = None,
        *,
        audio: bool | MediaStreamTrack = True,
        video: bool | MediaStreamTrack = True,
        video_codec: str = "vp8",
        name: str = "",
        initials: str = "",
        loop: bool = False,
        is_device: bool = False,
        captions: bool = False,
    ) -> Publisher:
        """Publishes a file or device (`media`), own aiortc tracks, or generated test media.

        With `loop` a file begins again at its end. Without it, the Publisher and the Session emit
        `ended` then, and the stream stays, without media, until `unpublish`. `initials` (at most
        16 characters; else those of `name`) are shown where there is no video. With `captions`
        what is said may be captioned (`Publisher.publish_captions`).

        Errors: MediaSourceError, ServerError, NotConnected, EncryptionError,
        UnexpectedServerResponse.
        """
        self._require_connected()
        source = await sources.open_source(media, audio, video, loop=loop, is_device=is_device)
        try:
            self._require_connected()
            return await self.publishing.publish(
                source, video_codec, name, initials=initials, captions=captions
            )
        except BaseException:
            source.close()
            for track in (source.audio, source.video):
                if track is not None:
                    track.stop()
            raise

    async def unpublish(self, publisher: Publisher) -> None:
        """Ends the stream for all clients. Errors: ServerError, NotConnected."""
        await self.publishing.unpublish(publisher)

    async def subscribe(
        self,
        stream: str | dict[str, Any],
        *,
        audio: bool = True,
        video: bool = True,
        captions: bool = False,
    ) -> Subscriber:
        """`stream` is an entry of `streams` or its id. With `captions` the Subscriber emits
        `captionReceived` while the application has captions. Errors: ServerError, NotConnected,
        InvalidParameter where the session is encrypted and has no such stream, or has no
        captions."""
        self._require_connected()
        wanted = {"audio": audio, "video": video, **({"captions": True} if captions else {})}
        return await self.subscribing.subscribe(stream, **wanted)

    async def unsubscribe(self, subscriber: Subscriber) -> None:
        """Ends the subscription. Errors: ServerError, NotConnected."""
        await self.subscribing.unsubscribe(subscriber)

    # --- encryption --------------------------------------------------------------------

    async def set_encryption_secret(self, secret: str, *, immediate: bool = False) -> None:
        """Returns when frames under the new secret can be decrypted. Senders switch when all other
        clients are ready, or after 5 s. With `immediate` they switch at once, and clients that have
        only the old secret can no longer decrypt.

        Before the session is joined the call returns at once; the latest secret counts, and nothing
        is sent or decrypted under another one. Calls take effect in their order. If a later call
        arrives before the key of an earlier one is derived, both take effect together.

        Errors: InvalidEncryptionSecret, NotConnected, InvalidParameter in a clear session.
        """
        secrets.normalise(secret)
        self._refuse_if_leaving()
        if not self.connection_id:
            self._secret = secret
            self.trust = Trust(has_secret=True)
            return
        await self._changes.ask(secret, is_immediate=immediate)

    async def _change_secret(self, secret: str, is_immediate: bool) -> None:
        derived = await secrets.derive(secret, self._credentials.session_id)
        self._refuse_if_leaving()
        if self.encryption is None:
            raise InvalidParameter("The session is not encrypted end to end")
        if self.encryption.change(derived, immediate=is_immediate):
            for subscriber in self.subscribers.values():
                subscriber.on_secret_change()

    def encryption_in_use(self) -> SessionEncryption | None:
        """None in clear sessions, as the trust says, and only there.

        Errors: EncryptionInternalError where nothing may be sent or played."""
        if self.trust.may_send_clear:
            return None
        if self.encryption is None or not self.trust.may_use_media:
            raise EncryptionInternalError("Nothing is sent or played: the session is not trusted")
        return self.encryption

    # --- signals and moderation --------------------------------------------------------

    async def signal(self, data: str, *, type: str = "", to: str | None = None) -> None:  # noqa: A002
        """Sends to all connections, including the own one, or to the connection `to`; encrypted in
        an encrypted session. `type` has letters, digits, `-`, `_` and `~`, at most 128 bytes;
        `data` at most 8,192 bytes of UTF-8. Errors: InvalidParameter, SignalTooLong,
        EncryptionError, ServerError, NotConnected."""
        self._require_connected()
        check_signal(type, data)
        encryption = self.encryption_in_use()
        if encryption is None:
            await self.signaling.request("signal", to=to, type=type or None, data=data)
        else:
            content = SignalContent(to or "", type, data)

            def encrypted() -> bytes:
                # When it goes out: while the socket is down the secret may change, and the trust.
                if self.encryption_in_use() is None:
                    raise EncryptionInternalError("The signal cannot be encrypted")
                return encryption.encrypt_signal(content)

            await self.signaling.request("signal", to=to, encrypted=encrypted)

    async def force_mute(self, stream_id: str) -> None:
        """Moderators: mutes the audio of one stream. Errors: ServerError, NotConnected."""
        await self.signaling.request("forceMuteStream", streamId=stream_id)

    async def force_disconnect(self, connection_id: str) -> None:
        """Moderators: ends another connection. Errors: ServerError, NotConnected."""
        await self.signaling.request("forceDisconnect", connectionId=connection_id)

    # --- another WebSocket -----------------------------------------------------------------

    def _on_resumed(self, welcome: dict[str, Any]) -> None:
        """The same Connection goes on, or, where the server knows it no more, another begins."""
        try:
            self._check(welcome)
        except SealrouteError as error:
            self._on_refused(error)
            return
        connection_id = str(welcome["connection"]["connectionId"])
        is_other = connection_id != self.connection_id
        self.connection_id = connection_id
        if is_other:
            # Before the snapshot: what ends by it is not asked for again.
            self.publishing.lose()
        self._join_encryption(welcome)
        self._messages.take_snapshot(welcome)
        if is_other:
            self.recovery.rejoin()
        else:
            self.recovery.resume()
        if self.encryption is not None:
            self.spawn(self.encryption.declare_again())
        self.emit(events.SessionReconnected(is_new_connection=is_other))

    def _on_refused(self, error: SealrouteError) -> None:
        self.emit(events.ErrorOccurred(error=error))
        self._begin_end("trustRefused")

    # --- figures -----------------------------------------------------------------------

    @property
    def is_encrypted(self) -> bool:
        """Nothing is sent or played in clear. Whether a stream has proved it: see its `trust`."""
        return self.trust.state is SessionTrust.KEYED

    def verification_code(self) -> str:
        """Six groups of five digits. People who read the same code to each other hold the same
        secret in the same Session, under the same rules. Errors: EncryptionSecretMissing."""
        if self.encryption is None:
            raise EncryptionSecretMissing("The session is not encrypted end to end")
        return self.encryption.current.verification_code()

    async def stats(self) -> dict[str, Any]:
        """Totals since the start: frames and bytes sent, received, decrypted, failed, lost; signals
        that were not delivered, by reason."""
        return await figures.totals(self, dict(self._messages.signals.dropped))

    async def paths(self) -> dict[str, MediaPath]:
        """The media transports to the server, by direction: `uplink` and `downlink`, as far as they
        exist; in relayed Sessions none."""
        links = {"uplink": self.publishing.uplink, "downlink": self.subscribing.downlink}
        return {name: await link.path() for name, link in links.items() if link is not None}

    def _require_connected(self) -> None:
        if not self.connection_id:
            raise NotConnected("The session is not connected")
        self._refuse_if_leaving()

    def _refuse_if_leaving(self) -> None:
        if self.is_leaving:
            raise NotConnected("The session is not connected")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
