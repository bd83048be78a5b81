"""The face of the compiled media core (native/python). Lint compares it with the binary."""

from collections.abc import Mapping
from typing import Any, final

from sfu import commands

@final
class Worker:
    """One thread, one port (UDP and TCP), all packet state of the sessions pinned to it.

    Methods named after a command queue it and return at once; the thread applies them in
    order. `ValueError`: the command is malformed. `RuntimeError`: the worker has ended.
    """

    def __new__(
        cls,
        host: str,
        port: int,
        *,
        tcp: bool = True,
        consent_timeout_ms: int = 30_000,
        event_ring_size: int = 4_096,
        receive_buffer_bytes: int = 4_194_304,
        key_frame_interval_ms: int = 500,
        loudest_voices: int = 0,
        voices_of_large_session: int = 0,
        start_downlink_kbps: int = 800,
        max_downlink_kbps: int = 100_000,
    ) -> Worker: ...
    @property
    def local_port(self) -> int: ...
    def fileno(self) -> int:
        """An eventfd that is readable while events wait."""

    def drain(self) -> list[tuple[Any, ...]]:
        """Waiting events as (snake_case name, *fields in the order of sfu.events), and clears the eventfd."""

    def open_router(self, command: commands.OpenRouter) -> None: ...
    def close_router(self, command: commands.CloseRouter) -> None: ...
    def open_transport(self, command: commands.OpenTransport) -> None: ...
    def restart_ice(self, command: commands.RestartIce) -> None: ...
    def set_peer_credentials(self, command: commands.SetPeerCredentials) -> None: ...
    def set_srtp_keys(self, command: commands.SetSrtpKeys) -> None: ...
    def send_dtls(self, command: commands.SendDtls) -> None: ...
    def close_transport(self, command: commands.CloseTransport) -> None: ...
    def publish(self, command: commands.Publish) -> None: ...
    def declare_kids(self, command: commands.DeclareKids) -> None: ...
    def set_source_forwarding(self, command: commands.SetSourceForwarding) -> None: ...
    def request_key_frame(self, command: commands.RequestKeyFrame) -> None: ...
    def unpublish(self, command: commands.Unpublish) -> None: ...
    def subscribe(self, command: commands.Subscribe) -> None: ...
    def set_sink_forwarding(self, command: commands.SetSinkForwarding) -> None: ...
    def set_layer_wish(self, command: commands.SetLayerWish) -> None: ...
    def unsubscribe(self, command: commands.Unsubscribe) -> None: ...
    def counters(self) -> Mapping[str, int]:
        """Totals since start, read without stopping the thread. Keys: packets_received,
        bytes_received, packets_sent, bytes_sent, rtp_received, rtp_forwarded,
        rtp_caught_up, rtx_sent, repeated_unasked, nacks_received, nacks_sent, plis_received,
        plis_refused, plis_sent, encodings_paused,
        stun_requests, dtls_records, events_dropped, transports, publishers, subscribers, tcp_connections, tcp_accepted,
        tcp_refused, tcp_bad_frames, tcp_expired, and `drop.<reason>` for every
        DropReason."""

    def dump(self, router: int) -> dict[str, Any] | None:
        """Everything the thread knows of one session, JSON-able; None if there is no such
        router. Waits for the thread: call it from an executor."""

    def close(self) -> None:
        """Ends the thread and closes the socket. Idempotent."""

@final
class SrtpSession:
    """SRTP and SRTCP of one direction pair, for tests and load clients (never on the server's path)."""

    def __new__(cls, profile: str, key: bytes, salt: bytes) -> SrtpSession: ...
    def protect_rtp(self, packet: bytes) -> bytes: ...
    def unprotect_rtp(self, packet: bytes) -> bytes: ...
    def protect_rtcp(self, packet: bytes) -> bytes: ...
    def unprotect_rtcp(self, packet: bytes) -> bytes: ...

DROP_REASONS: tuple[str, ...]
