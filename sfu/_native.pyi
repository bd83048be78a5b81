"""The face of the compiled media core (native/python). Lint compares it with the binary.

What crosses is MessagePack in the types of `sfu.core_api`; `sfu.media_router` encodes and decodes.
"""

from collections.abc import Mapping
from typing import final

@final
class Worker:
    """One thread, one port (UDP and TCP), all packet state of the sessions pinned to it."""

    def __new__(cls, settings: bytes) -> Worker:
        """`settings`: a `WorkerSettings`. Errors: `ValueError`; `OSError` for the port."""

    @property
    def local_port(self) -> int: ...
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
