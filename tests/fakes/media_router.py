"""The media core in memory: accepts the commands of the compiled core, and forwards no packets.

Malformed commands raise `ValueError`; conflicts are reported as `CommandFailed`. A test reads
`commands` and the tables, and scripts the network with `deliver`.
"""

import asyncio
import os
import re
import socket
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto
from itertools import count
from math import isfinite
from typing import Any

from sfu import core_api
from sfu.core_api import (
    COMMAND_NAMES,
    Command,
    CommandFailed,
    DownTrackParameters,
    Event,
    Extension,
    PayloadAccess,
    Snapshot,
    SrtpProfile,
    UpTrackParameters,
)
from sfu.ids import PublisherHandle, RouterHandle, SubscriberHandle, TransportHandle
from sfu.media_router import EventListener

from .tap_records import RecordKind, write_record

_MID = re.compile(r"[!-~]{1,16}")
_RID = re.compile(r"[!-~]{1,255}")
_KEY_SIZES = {
    SrtpProfile.AEAD_AES_128_GCM: (16, 12),
    SrtpProfile.AEAD_AES_256_GCM: (32, 12),
    SrtpProfile.AES128_CM_SHA1_80: (16, 14),
}


class _ConflictError(Exception):
    """The command conflicts with the core's state; the text is the stable reason."""


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _check_extensions(extensions: Mapping[Extension, int]) -> None:
    _require(all(1 <= i <= 255 and i != 15 for i in extensions.values()), "extension id")


def _check_up_track(up_track: UpTrackParameters) -> None:
    _require(_MID.fullmatch(up_track.mid), "mid is malformed")
    _require(0 <= up_track.payload_type <= 127, "payload type is out of range")
    _require(0 <= (up_track.rtx_payload_type or 0) <= 127, "payload type is out of range")
    rids = [encoding.rid for encoding in up_track.encodings if encoding.rid is not None]
    _require(all(_RID.fullmatch(rid) for rid in rids), "rid is malformed")
    _require(up_track.clock_rate_hz > 0, "clock rate is out of range")
    _require(up_track.encodings, "an up track needs an encoding")
    _check_extensions(up_track.extensions)
    _require(all(len(kid) == 8 for kid in up_track.declared_kids), "a key id has 8 bytes")


def _check_down_track(down_track: DownTrackParameters) -> None:
    _require(_MID.fullmatch(down_track.mid), "mid is malformed")
    _require(_MID.fullmatch(down_track.up_track_mid), "mid is malformed")
    _require(0 < down_track.ssrc < 2**32, "SSRC is out of range")
    _require(0 <= down_track.payload_type <= 127, "payload type is out of range")
    _require(
        (down_track.rtx_ssrc is None) == (down_track.rtx_payload_type is None), "rtx is half given"
    )
    _check_extensions(down_track.extensions)


def _different(names: Sequence[Hashable]) -> None:
    if len(set(names)) < len(names):
        raise _ConflictError("conflict")


def _sent_ssrcs(up_track: UpTrackParameters) -> list[int]:
    both = [ssrc for e in up_track.encodings for ssrc in (e.ssrc, e.rtx_ssrc)]
    return [ssrc for ssrc in both if ssrc is not None]


def _received_ssrcs(down_track: DownTrackParameters) -> list[tuple[int, "_Role"]]:
    both = ((down_track.ssrc, _Role.MEDIA), (down_track.rtx_ssrc, _Role.RETRANSMISSION))
    return [(ssrc, role) for ssrc, role in both if ssrc is not None]


class _Role(Enum):
    """What an SSRC of a downlink is for, while its transport lives."""

    MEDIA = auto()
    RETRANSMISSION = auto()


class _FakeTap:
    """The core's end of a tap: what is written comes out of the reader's end."""

    def __init__(self, router: RouterHandle, end: socket.socket) -> None:
        self.router = router
        self.socket = end

    def end(self) -> None:
        # As for the core, a reader that is gone is no error.
        with suppress(OSError):
            write_record(self.socket, RecordKind.END)
        self.socket.close()


def _tap_socket(number: int) -> socket.socket:
    """Takes the descriptor over, as the core does, and closes it if it is of no use."""
    try:
        taken = socket.socket(fileno=number)
    except OSError:
        # Open, but no socket; or not open at all.
        with suppress(OSError):
            os.close(number)
        raise ValueError("a tap needs a socket") from None
    if (taken.family, taken.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
        taken.close()
        raise ValueError("a tap needs a connected SOCK_SEQPACKET socket of this host")
    return taken


class FakeMediaRouter:
    """Same contract as `NativeMediaRouter`, without sockets and threads."""

    def __init__(self, *, local_port: int = 10_000, handles: Iterator[int] | None = None) -> None:
        self.local_port = local_port
        self.commands: list[Command] = []
        self.routers: dict[RouterHandle, PayloadAccess] = {}
        self.transports: dict[TransportHandle, core_api.OpenTransport] = {}
        self.taps: dict[TransportHandle, _FakeTap] = {}
        self.keys: dict[TransportHandle, core_api.SetSrtpKeys] = {}
        self.publishers: dict[PublisherHandle, core_api.Publish] = {}
        self.subscribers: dict[SubscriberHandle, core_api.Subscribe] = {}
        self.trunks: dict[TransportHandle, core_api.OpenTrunk] = {}
        self.fed: dict[tuple[PublisherHandle, str, TransportHandle], tuple[int, ...]] = {}
        self.cpu_us = 0
        self.closed = False
        self._workers: set[int] = set()
        self._roles: dict[tuple[TransportHandle, int], _Role] = {}
        self._handles = handles or count(1)
        self._listener: EventListener | None = None

    def next_handle(self) -> int:
        return next(self._handles)

    def link(self, own_number: int, other: "FakeMediaRouter", number: int) -> None:
        self._workers.add(number)
        other._workers.add(own_number)

    def submit(self, command: Command) -> None:
        if self.closed:
            if isinstance(command, core_api.OpenTap):
                os.close(command.socket)
            raise RuntimeError("the worker has ended")
        name = COMMAND_NAMES[type(command)]
        self.commands.append(command)
        try:
            _HANDLERS[type(command)](self, command)
        except _ConflictError as conflict:
            failed = CommandFailed(name, _main_handle(command), str(conflict))
            asyncio.get_running_loop().call_soon(self.deliver, failed)

    def listen(self, listener: EventListener) -> None:
        self._listener = listener

    def deliver(self, *batch: Event) -> None:
        """Events as if they came from the core."""
        if self._listener is not None and not self.closed:
            self._listener(batch)

    def sent(self, kind: type[Command]) -> list[Any]:
        """The commands of one type, in order."""
        return [command for command in self.commands if type(command) is kind]

    def counters(self) -> dict[str, int]:
        return {
            "cpu_us": self.cpu_us,
            "transports": len(self.transports),
            "taps": len(self.taps),
            "publishers": len(self.publishers),
            "subscribers": len(self.subscribers),
        }

    async def snapshot(self, router: RouterHandle) -> Snapshot | None:
        if router not in self.routers:
            return None
        forwarding = core_api.ForwardingSnapshot(self.routers[router], (), (), None, (), {})
        return Snapshot(router, (), forwarding)

    def close(self) -> None:
        self.closed = True
        for tap in self.taps.values():
            tap.socket.close()

    # --- one method per command ------------------------------------------------------------

    def open_router(self, command: core_api.OpenRouter) -> None:
        self._absent(command.router, self.routers)
        self.routers[command.router] = command.access

    def close_router(self, command: core_api.CloseRouter) -> None:
        self._present(command.router, self.routers)
        del self.routers[command.router]
        for transport in [h for h, t in self.transports.items() if t.router == command.router]:
            self._drop_transport(transport)
        for tap in [h for h, t in self.taps.items() if t.router == command.router]:
            self._drop_transport(tap)
        for trunk in [h for h, t in self.trunks.items() if t.router == command.router]:
            self._drop_transport(trunk)

    def open_transport(self, command: core_api.OpenTransport) -> None:
        _require(len(command.local_ufrag) >= 4 and len(command.local_pwd) >= 22, "credentials")
        self._present(command.router, self.routers)
        self._unused(command.transport)
        self._free_ufrag(command.local_ufrag)
        self.transports[command.transport] = command

    def restart_ice(self, command: core_api.RestartIce) -> None:
        _require(len(command.local_ufrag) >= 4 and len(command.local_pwd) >= 22, "credentials")
        self._free_ufrag(command.local_ufrag)
        self._present(command.transport, self.transports)
        self.transports[command.transport] = replace(
            self.transports[command.transport],
            local_ufrag=command.local_ufrag,
            local_pwd=command.local_pwd,
        )

    def set_peer_credentials(self, command: core_api.SetPeerCredentials) -> None:
        _require(len(command.ufrag) >= 4 and len(command.pwd) >= 22, "credentials")
        self._present(command.transport, self.transports)

    def set_srtp_keys(self, command: core_api.SetSrtpKeys) -> None:
        secrets = command.secrets
        key, salt = _KEY_SIZES[secrets.profile]
        _require(len(secrets.receive_key) == len(secrets.send_key) == key, "key size")
        _require(len(secrets.receive_salt) == len(secrets.send_salt) == salt, "salt size")
        self._present(command.transport, self.transports)
        if command.transport in self.keys:
            raise _ConflictError("keys_taken")
        self.keys[command.transport] = command

    def send_dtls(self, command: core_api.SendDtls) -> None:
        _require(0 < len(command.datagram) <= 1_500, "datagram size")
        self._present(command.transport, self.transports)

    def open_tap(self, command: core_api.OpenTap) -> None:
        taken = _tap_socket(command.socket)
        try:
            self._present(command.router, self.routers)
            self._unused(command.transport)
            self._clear(command.router)
        except _ConflictError:
            taken.close()
            raise
        self.taps[command.transport] = _FakeTap(command.router, taken)

    def write_tap(self, command: core_api.WriteTap) -> None:
        _require(0 < len(command.body) <= 32_768, "record size")
        self._present(command.transport, self.taps)
        try:
            write_record(self.taps[command.transport].socket, RecordKind.JSON, command.body)
        except BlockingIOError:
            raise _ConflictError("reader_stuck") from None
        except OSError:
            closed = core_api.TapClosed(command.transport, "reader_gone")
            asyncio.get_running_loop().call_soon(self.deliver, closed)

    def open_trunk(self, command: core_api.OpenTrunk) -> None:
        self._present(command.router, self.routers)
        self._unused(command.transport)
        if command.worker not in self._workers:
            raise _ConflictError("unknown_worker")
        self.trunks[command.transport] = command

    def feed_trunk(self, command: core_api.FeedTrunk) -> None:
        _require(_MID.fullmatch(command.mid), "mid is malformed")
        _require(command.ssrcs and 0 not in command.ssrcs, "SSRC is out of range")
        self._has_up_track(command.publisher, command.mid)
        published = self.publishers[command.publisher]
        trunk = self.trunks.get(command.transport)
        if trunk is None or trunk.router != published.router:
            raise _ConflictError("unknown_handle")
        (up_track,) = [one for one in published.up_tracks if one.mid == command.mid]
        if len(command.ssrcs) != len(up_track.encodings):
            raise _ConflictError("invalid")
        used = [
            ssrc for (_, _, on), fed in self.fed.items() if on == trunk.transport for ssrc in fed
        ]
        place = (command.publisher, command.mid, command.transport)
        if place in self.fed or published.transport in self.trunks:
            raise _ConflictError("conflict")
        _different([*used, *command.ssrcs])
        self.fed[place] = command.ssrcs

    def set_trunk_demand(self, command: core_api.SetTrunkDemand) -> None:
        _require(_MID.fullmatch(command.mid), "mid is malformed")
        self._has_up_track(command.publisher, command.mid)
        self._present_fed((command.publisher, command.mid, command.transport))

    def _present_fed(self, place: tuple[PublisherHandle, str, TransportHandle]) -> None:
        if place not in self.fed:
            raise _ConflictError("unknown_handle")

    def close_transport(self, command: core_api.CloseTransport) -> None:
        self._present(command.transport, [*self.transports, *self.taps, *self.trunks])
        self._drop_transport(command.transport)

    def publish(self, command: core_api.Publish) -> None:
        _require(command.up_tracks, "a publisher needs an up track")
        for up_track in command.up_tracks:
            _check_up_track(up_track)
        self._has_transport(command.router, command.transport)
        self._absent(command.publisher, self.publishers)
        present = [u for p in self._published_on(command.transport) for u in p.up_tracks]
        up_tracks = [*present, *command.up_tracks]
        _different([up_track.mid for up_track in up_tracks])
        _different([ssrc for up_track in up_tracks for ssrc in _sent_ssrcs(up_track)])
        for up_track in command.up_tracks:
            _different([e.rid for e in up_track.encodings if e.rid is not None])
        self.publishers[command.publisher] = command

    def declare_kids(self, command: core_api.DeclareKids) -> None:
        _require(all(len(kid) == 8 for kid in command.kids), "a key id has 8 bytes")
        self._has_up_track(command.publisher, command.mid)

    def set_up_track_forwarding(self, command: core_api.SetUpTrackForwarding) -> None:
        self._has_up_track(command.publisher, command.mid)

    def unpublish(self, command: core_api.Unpublish) -> None:
        self._present(command.publisher, self.publishers)
        self._drop_publisher(command.publisher)

    def subscribe(self, command: core_api.Subscribe) -> None:
        _require(command.down_tracks, "a subscriber needs a down track")
        for down_track in command.down_tracks:
            _check_down_track(down_track)
        self._has_transport(command.router, command.transport)
        self._absent(command.subscriber, self.subscribers)
        roles = self._roles_with(command)
        if self.publishers.get(command.publisher, command).router != command.router:
            raise _ConflictError("unknown_handle")
        for down_track in command.down_tracks:
            self._has_up_track(command.publisher, down_track.up_track_mid)
        self._roles = roles
        self.subscribers[command.subscriber] = command

    def set_down_track_forwarding(self, command: core_api.SetDownTrackForwarding) -> None:
        self._present(command.subscriber, self.subscribers)

    def set_preferred_layers(self, command: core_api.SetPreferredLayers) -> None:
        rate = command.preferred.max_frame_rate
        _require(rate is None or (isfinite(rate) and rate >= 0), "frame rate is out of range")
        self._present(command.subscriber, self.subscribers)

    def unsubscribe(self, command: core_api.Unsubscribe) -> None:
        self._present(command.subscriber, self.subscribers)
        del self.subscribers[command.subscriber]

    # --- inside ----------------------------------------------------------------------------

    def _has_transport(self, router: RouterHandle, transport: TransportHandle) -> None:
        """A peer's, a tap or a trunk."""
        own = self.taps.get(transport) or self.trunks.get(transport)
        if own is None:
            self._inside(router, transport)
        elif own.router != router:
            raise _ConflictError("unknown_handle")

    def _unused(self, transport: TransportHandle) -> None:
        for table in (self.transports, self.taps, self.trunks):
            self._absent(transport, table)

    def _present(self, handle: int, table: Container[int]) -> None:
        if handle not in table:
            raise _ConflictError("unknown_handle")

    def _absent(self, handle: int, table: Container[int]) -> None:
        if handle in table:
            raise _ConflictError("handle_taken")

    def _clear(self, router: RouterHandle) -> None:
        if self.routers[router] is not PayloadAccess.CLEAR:
            raise _ConflictError("opaque")

    def _inside(self, router: RouterHandle, transport: TransportHandle) -> None:
        """A transport may only be used by its own session."""
        self._present(transport, self.transports)
        if self.transports[transport].router != router:
            raise _ConflictError("unknown_handle")

    def _free_ufrag(self, ufrag: str) -> None:
        if ufrag in {transport.local_ufrag for transport in self.transports.values()}:
            raise _ConflictError("ufrag_taken")

    def _roles_with(self, command: core_api.Subscribe) -> dict[tuple[TransportHandle, int], _Role]:
        """The roles of SSRCs after a command. An SSRC keeps its role while its transport lives,
        and can have it again after the end of its subscription."""
        subscribed = [d for s in self._subscribed_on(command.transport) for d in s.down_tracks]
        down_tracks = [*subscribed, *command.down_tracks]
        _different([ssrc for down_track in down_tracks for ssrc, _ in _received_ssrcs(down_track)])
        roles = self._roles.copy()
        for down_track in command.down_tracks:
            for ssrc, role in _received_ssrcs(down_track):
                if roles.setdefault((command.transport, ssrc), role) is not role:
                    raise _ConflictError("conflict")
        return roles

    def _has_up_track(self, publisher: PublisherHandle, mid: str) -> None:
        self._present(publisher, self.publishers)
        if mid not in {up_track.mid for up_track in self.publishers[publisher].up_tracks}:
            raise _ConflictError("unknown_handle")

    def _published_on(self, transport: TransportHandle) -> list[core_api.Publish]:
        return [p for p in self.publishers.values() if p.transport == transport]

    def _subscribed_on(self, transport: TransportHandle) -> list[core_api.Subscribe]:
        return [s for s in self.subscribers.values() if s.transport == transport]

    def _drop_publisher(self, publisher: PublisherHandle) -> None:
        del self.publishers[publisher]
        self.fed = {place: fed for place, fed in self.fed.items() if place[0] != publisher}
        for handle in [h for h, s in self.subscribers.items() if s.publisher == publisher]:
            del self.subscribers[handle]

    def _drop_transport(self, transport: TransportHandle) -> None:
        for subscription in self._subscribed_on(transport):
            del self.subscribers[subscription.subscriber]
        for published in self._published_on(transport):
            self._drop_publisher(published.publisher)
        if transport in self.taps:
            self.taps.pop(transport).end()
        if self.trunks.pop(transport, None) is not None:
            self.fed = {place: fed for place, fed in self.fed.items() if place[2] != transport}
        self.transports.pop(transport, None)
        self.keys.pop(transport, None)
        self._roles = {key: role for key, role in self._roles.items() if key[0] != transport}


_HANDLERS: dict[type[Command], Callable[[FakeMediaRouter, Any], None]] = {
    command: getattr(FakeMediaRouter, name) for command, name in COMMAND_NAMES.items()
}


def _main_handle(command: Command) -> int:
    """The handle in `CommandFailed`: of what the command creates, changes or ends."""
    for name in ("subscriber", "publisher", "transport", "router"):
        if hasattr(command, name):
            return int(getattr(command, name))
    raise ValueError("the command names nothing")
