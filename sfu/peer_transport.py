"""One transport of a client: ICE credentials, DTLS handshake and timers over the media core."""

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sfu import core_api
from sfu.core_api import Command, Direction, StreamState
from sfu.dtls_identity import LateIdentity
from sfu.dtls_state import DtlsState
from sfu.ids import PublisherHandle, RouterHandle, SubscriberHandle, TransportHandle
from sfu.media_plane import MediaError, TransportDump
from sfu.media_router import MediaRouter
from sfu.placement import SplitRules
from sfu.plane_counters import PlaneCounter
from sfu.sdp.build import LocalTransport, Origin
from sfu.sdp.negotiate import RemoteTransport
from sfu.sdp.parse import Fingerprint

log = logging.getLogger(__name__)


class Cancellable(Protocol):
    def cancel(self) -> None: ...


class Scheduler(Protocol):
    """The part of an event loop that the plane uses; tests substitute virtual time."""

    def time(self) -> float: ...
    def call_at(
        self, when: float, callback: Callable[..., object], /, *args: object
    ) -> Cancellable: ...
    def call_soon(self, callback: Callable[..., object], /, *args: object) -> Cancellable: ...


@dataclass(frozen=True, slots=True)
class MediaPlaneSettings:
    """`addresses` are advertised to clients in this order. `port` None: each core's own port;
    otherwise the port mapped by a NAT, plus the number of the core. `tcp`: the core accepts
    connections there too, and clients learn it.

    `ice_timeout_s`: from the SDP exchange to the first valid check; a higher value helps slow
    clients, a lower one frees dead ones sooner. `handshake_timeout_s`: from there to the keys.
    `max_downlink_media` bounds the m-lines that one client can make us offer (an answer of 128
    has about 110 KiB). `split`: when a session gets a further core.
    """

    addresses: tuple[str, ...]
    port: int | None = None
    tcp: bool = False
    ice_timeout_s: float = 30.0
    handshake_timeout_s: float = 10.0
    max_downlink_media: int = 128
    split: SplitRules = field(default_factory=SplitRules)


class PublisherEvents(Protocol):
    """Receives the core's reports about one publisher."""

    def not_encrypted(self, mid: str, packets: int) -> None: ...
    def speaks(self) -> None: ...
    def subscribed_layers(self, mid: str, subscribed: Sequence[str | None]) -> None: ...
    def publish_failed(self) -> None: ...


class SubscriberEvents(Protocol):
    def subscribe_failed(self) -> None: ...
    def stream_state(self, state: StreamState) -> None: ...


class TapEvents(Protocol):
    def tap_failed(self, reason: str) -> None:
        """The core has no such tap, so only this side has to end it."""

    def tap_lost(self, reason: str) -> None:
        """It is of no more use, and the core waits for its end."""


@dataclass(frozen=True, slots=True)
class PlaneContext:
    """State shared by all objects of one core: the core, the clock, and the owner of each
    handle. `worker` is the core's number in its plane."""

    router: MediaRouter
    scheduler: Scheduler
    settings: MediaPlaneSettings
    identity: LateIdentity
    worker: int = 0
    sessions: set[RouterHandle] = field(default_factory=set)
    transports: "dict[TransportHandle, PeerTransport]" = field(default_factory=dict)
    taps: dict[TransportHandle, TapEvents] = field(default_factory=dict)
    publishers: dict[PublisherHandle, PublisherEvents] = field(default_factory=dict)
    subscribers: dict[SubscriberHandle, SubscriberEvents] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)

    def submit_to_part(self, command: Command) -> None:
        """For commands about the part of a session on another core than the caller's: its end is
        noticed by itself."""
        self.submit_ending(command)

    def submit_ending(self, command: Command) -> None:
        """For commands that end something: after the end of the core it has ended already."""
        try:
            self.router.submit(command)
        except RuntimeError:
            self.totals[PlaneCounter.COMMANDS_AFTER_CORE_END] += 1


class TransportListener(Protocol):
    def transport_connected(self, transport: "PeerTransport") -> None: ...
    def transport_lost(self, transport: "PeerTransport") -> None:
        """Ends everything on the transport. It is closed after this call."""


class PeerTransport:
    """ICE-lite and DTLS for one peer. Opens itself; closes itself when it is lost."""

    def __init__(
        self,
        plane: PlaneContext,
        router: RouterHandle,
        direction: Direction,
        listener: TransportListener,
    ) -> None:
        self.handle = TransportHandle(plane.router.next_handle())
        self.direction = direction
        self.connected = False
        self.closed = False
        self.remote: RemoteTransport | None = None
        self._plane = plane
        self._listener = listener
        self._dtls = plane.identity.association()
        self._ice_validated = False
        self._deadline: float | None = None
        self._timer: Cancellable | None = None
        self._session_number = secrets.randbits(62)
        self._version = 0
        self.local = LocalTransport(
            ice_ufrag=secrets.token_hex(8),
            ice_pwd=secrets.token_hex(16),
            fingerprint=Fingerprint(
                plane.identity.made.fingerprint_algorithm, plane.identity.made.fingerprint
            ),
            addresses=plane.settings.addresses,
            port=plane.settings.port or plane.router.local_port,
            tcp=plane.settings.tcp,
        )
        plane.router.submit(
            core_api.OpenTransport(
                router, self.handle, direction, self.local.ice_ufrag, self.local.ice_pwd
            )
        )
        plane.transports[self.handle] = self

    def next_origin(self) -> Origin:
        self._version += 1
        return Origin(self._session_number, self._version)

    def set_remote(self, remote: RemoteTransport) -> None:
        """Sets the peer's side from its SDP. Raises `MediaError` setup_invalid if its
        certificate changes: a transport has one DTLS association for life."""
        before = self.remote
        if before is not None and before.fingerprints != remote.fingerprints:
            raise MediaError("setup_invalid", "the certificate's fingerprint has changed")
        if before is not None and remote.setup == self.local.answered_setup:
            raise MediaError("setup_invalid", "the DTLS role has changed")
        if before is None or before.ice_pwd != remote.ice_pwd:
            self._plane.router.submit(
                core_api.SetPeerCredentials(self.handle, remote.ice_ufrag, remote.ice_pwd)
            )
        # Only after the core has accepted the command.
        self.remote = remote
        if before is not None:
            return
        if remote.setup == "passive":
            self._dtls = self._plane.identity.association(as_client=True)
            self.local = replace(self.local, answered_setup="active")
        settings = self._plane.settings
        wait = settings.handshake_timeout_s if self._ice_validated else settings.ice_timeout_s
        self._deadline = self._plane.scheduler.time() + wait
        self._dtls.expect([(f.algorithm, f.digest) for f in remote.fingerprints])
        self._settle()

    def restart_ice(self, remote: RemoteTransport | None = None) -> None:
        """Renews our credentials and keeps the result of the handshake. `remote`: the peer's new
        side. Raises `MediaError` setup_invalid if its certificate differs."""
        if remote is not None:
            self.set_remote(remote)
        local = replace(self.local, ice_ufrag=secrets.token_hex(8), ice_pwd=secrets.token_hex(16))
        self._plane.router.submit(core_api.RestartIce(self.handle, local.ice_ufrag, local.ice_pwd))
        self.local = local
        self._plane.totals[PlaneCounter.ICE_RESTARTS] += 1

    def handle_ice_validated(self) -> None:
        if self._ice_validated or self.closed:
            return
        self._ice_validated = True
        if self.remote is not None and not self.connected:
            settings = self._plane.settings
            self._deadline = self._plane.scheduler.time() + settings.handshake_timeout_s
        self._settle()

    def handle_dtls(self, datagram: bytes) -> None:
        """Handles a record of the handshake; none is accepted before a valid ICE check."""
        if not self._ice_validated or self.closed:
            self._plane.totals[PlaneCounter.DTLS_BEFORE_ICE] += 1
            return
        self._dtls.handle_datagram(datagram, self._plane.scheduler.time())
        self._settle()

    def handle_consent_expired(self) -> None:
        self._lose("consent_expired")

    def handle_command_failed(self) -> None:
        self._lose("command_failed")

    def handle_core_ended(self) -> None:
        self._lose("core_ended")

    def close(self) -> None:
        """Says goodbye to a connected peer and frees the core's state. Idempotent."""
        if not self.closed:
            self.closed = True
            self._release()

    def _release(self) -> None:
        self.connected = False
        self._dtls.close()
        self._send()
        discarded = self._dtls.discarded_records
        self._plane.totals[PlaneCounter.DTLS_DISCARDED_RECORDS] += discarded
        if self._timer is not None:
            self._timer.cancel()
        del self._plane.transports[self.handle]
        self._plane.submit_ending(core_api.CloseTransport(self.handle))

    def dump(self) -> TransportDump:
        return TransportDump(
            handle=self.handle,
            direction=self.direction,
            ice_validated=self._ice_validated,
            dtls=self._dtls.state.value,
            connected=self.connected,
        )

    # --- inside ----------------------------------------------------------------------------

    def _settle(self) -> None:
        """Acts on the state of the handshake; called after every input."""
        if self._ice_validated and not self.closed:
            self._dtls.begin(self._plane.scheduler.time())
        self._send()
        if self._dtls.state is DtlsState.FAILED:
            self._lose(self._dtls.reason or "failed")
        elif self._dtls.state is DtlsState.CLOSED:
            self._lose("closed_by_peer")
        elif self._dtls.keys is not None and not self.connected:
            self._connect()
        self._arm()

    def _connect(self) -> None:
        keys = self._dtls.keys
        if keys is None:
            return
        self.connected = True
        self._deadline = None
        self._plane.totals[PlaneCounter.HANDSHAKES.of("connected")] += 1
        self._plane.router.submit(
            core_api.SetSrtpKeys(
                self.handle,
                core_api.SrtpSecrets(
                    keys.profile,
                    receive_key=keys.receive_key,
                    receive_salt=keys.receive_salt,
                    send_key=keys.send_key,
                    send_salt=keys.send_salt,
                ),
            )
        )
        self._listener.transport_connected(self)

    def _send(self) -> None:
        for datagram in self._dtls.poll_datagrams():
            self._plane.submit_ending(core_api.SendDtls(self.handle, datagram))

    def _lose(self, reason: str) -> None:
        if self.closed:
            return
        lost = PlaneCounter.TRANSPORTS_LOST if self.connected else PlaneCounter.HANDSHAKES
        self._plane.totals[lost.of(reason)] += 1
        log.info("transport %d (%s) lost: %s", self.handle, self.direction.value, reason)
        self.closed = True
        # first the content of the transport, then the transport: the core's order of ends
        self._listener.transport_lost(self)
        self._release()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.closed:
            return
        due = [t for t in (self._dtls.poll_timeout(), self._deadline) if t is not None]
        if due:
            self._timer = self._plane.scheduler.call_at(min(due), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self._plane.scheduler.time()
        if self._deadline is not None and now >= self._deadline:
            self._lose(self._lateness())
            return
        self._dtls.handle_timeout(now)
        self._send()
        self._arm()

    def _lateness(self) -> str:
        if not self._ice_validated:
            return "ice_timeout"
        if self._dtls.broken_by is None:
            return "handshake_timeout"
        log.info("transport %d: the handshake broke: %s", self.handle, self._dtls.broken_by)
        return "handshake_broken"
