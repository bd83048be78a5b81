"""The face of the compiled media core (native/python). Lint compares it with the binary.

What crosses is MessagePack in the types of `sfu.core_api`; `sfu.media_router` encodes and decodes.
"""

from collections.abc import Mapping
from typing import Any, final

@final
class Worker:
    """One thread, one port (UDP and TCP), all packet state of the sessions, or parts of one, assigned to it."""

    def __new__(cls, settings: bytes) -> Worker:
        """`settings`: a `WorkerSettings`. Errors: `ValueError`; `OSError` for the port."""

    @property
    def local_port(self) -> int: ...
    def link(self, own_number: int, other: Worker, number: int) -> None:
        """Joins another worker, once: sessions can be forwarded by both. Each calls the other by
        the number given here. Errors: `RuntimeError` when either has ended."""

    def fileno(self) -> int:
        """An eventfd that is readable while events wait."""

    def submit(self, command: bytes) -> None:
        """Queues a `Command` and returns at once; the thread applies commands in order.
        Errors: `ValueError` when it is malformed, `RuntimeError` when the worker has ended."""

    def queue(self, command: bytes) -> None:
        """As `submit`, but the thread sees the command only after `flush`, `submit` or
        `snapshot`."""

    def flush(self) -> None:
        """Wakes the thread if commands wait."""

    def drain(self) -> bytes:
        """The waiting events, a list of `Event`; clears the eventfd."""

    def counters(self) -> Mapping[str, int]:
        """Totals since start, read without stopping the thread: one for each of `COUNTERS`, and
        `drop.<reason>` for each of `DROP_REASONS`."""

    def snapshot(self, router: int) -> bytes:
        """A `Snapshot`, or None if there is no such router. Waits for the thread: call it from an
        executor."""

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

@final
class TapReader:
    """The reading end of a tap: whole frames of a session's clear media on the host's monotonic
    clock, in order, and what happened between them."""

    def __new__(cls, fd: int, hold_ms: int) -> TapReader:
        """Copies the descriptor; frames wait `hold_ms` for repairs. Errors: `OSError` for the
        descriptor, `ValueError` for more than ten seconds."""

    def fileno(self) -> int:
        """Readable when records wait. What is held becomes ready without it."""

    def read(self, timeout_ms: int) -> list[tuple[Any, ...]]:
        """Waits until something is ready, at most so long; empty when the time is over or a signal
        came. Requests the key frames that it needs. Items:

        - `("json", arrival_us, body)`
        - `("frame", ssrc, kind, codec, key, pts_us, duration_us, data, lost_before, width, height,
          orientation)`; `pts_us` grows within a track; video lasts as long as the frame before it
        - `("lost", ssrc, packets, from_us, to_us)`, before the frame after the gap
        - `("end", arrival_us)`, once: nothing follows, or the other end is gone

        Errors: `OSError`."""

    def handle_json(self, body: bytes) -> None:
        """Learns the tracks of a stream whose `streamAdded` went to an earlier reader."""

    def finish(self) -> list[tuple[Any, ...]]:
        """What is held, without waiting for repairs; items as of `read`."""

    def counters(self) -> Mapping[str, int]:
        """What was ignored so far, and why."""
