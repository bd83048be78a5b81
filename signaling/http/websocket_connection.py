"""The connection under a WebSocket: what a stranger may send, and when a slow reader has read.

The library gives a WebSocket one limit for all its messages, and keeps a copy of what waits for
each client. This class bounds the bytes that come before somebody is known, and tells when there
is room, so that what waits can be shared.
"""

from collections.abc import Callable
from typing import Any

from signaling.http.connection_gate import Place
from signaling.http.library import LibraryConnection
from signaling.http.stranger_frames import StrangerFrames

_CLOSE = b"\x88\x02"
"""The head of a close frame with a code (RFC 6455 section 5.5.1)."""
_TOO_BIG = 1009

_LINGER_S = 0.5
LEAST_S = 1.0
"""What a client always has to go on with its request: the server's own turn may have been long."""
MOST_AT_ONCE = 4_096
"""Bytes that are parsed before others have their turn: a segment may hold 40,000 empty frames."""


class WebSocketConnection(LibraryConnection):
    """`overran`: it sent more than a stranger may. `on_writable` is called when what waited in
    the transport has gone down; `writing_paused` until then. `place`: among the connections of
    strangers, while it is one. `began_s`, by the loop's clock: when the present request began; the
    first one begins with the connection."""

    __slots__ = (
        "_hung_up",
        "_stranger",
        "_upgrade_answered",
        "_waiting",
        "began_s",
        "on_writable",
        "overran",
        "place",
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - the library's
        super().__init__(*arguments, **options)
        self._stranger: StrangerFrames | None = None
        self._hung_up = False
        self._upgrade_answered = False
        self._waiting = bytearray()
        self.began_s = self.loop.time()
        self.on_writable: Callable[[], None] | None = None
        self.overran = False
        self.place: Place | None = None

    def time_left(self, allowed_s: float) -> float:
        """Of what a client has for a request from its first byte to its last."""
        left = allowed_s - (self.loop.time() - self.began_s)
        return min(allowed_s, max(LEAST_S, left))

    def await_client(self) -> None:
        """The client's turn: to send a body or a first message, or to read an answer."""
        if self.place is not None:
            self.place.wait()

    def work(self) -> None:
        """The server's turn."""
        if self.place is not None:
            self.place.work()

    def expect_stranger(self, most_bytes: int) -> None:
        """Until `admit` at most so many bytes come, in few frames. What came behind the request in
        the same segment counts; called before the library parses it."""
        self._stranger = StrangerFrames(most_bytes)
        if not self._stranger.takes(self.unparsed):
            self.forget_unparsed()
            self._overrun()

    def begin(self) -> None:
        """The upgrade was answered: from here on a close frame is understood."""
        self._upgrade_answered = True
        self.await_client()
        if self.overran:
            self.hang_up(_TOO_BIG)

    def admit(self) -> None:
        self._stranger = None
        if self.place is not None:
            self.place.leave()

    def data_received(self, data: bytes) -> None:
        if self._hung_up or self.overran:
            return
        if self._stranger is not None and not self._stranger.takes(data):
            self._overrun()
        elif self._waiting or (len(data) > MOST_AT_ONCE and self.is_upgraded):
            self._put_off(data)
        else:
            super().data_received(data)

    def _put_off(self, data: bytes) -> None:
        if not self._waiting:
            self.loop.call_soon(self._parse_some)
        self._waiting += data
        self.pause_transport()

    def _parse_some(self) -> None:
        if self._hung_up or self.transport is None:
            self._waiting.clear()
            return
        some = bytes(self._waiting[:MOST_AT_ONCE])
        del self._waiting[:MOST_AT_ONCE]
        super().data_received(some)
        if self._waiting:
            self.loop.call_soon(self._parse_some)
        elif not self.reading_is_paused:
            self.resume_transport()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.on_writable is not None:
            self.on_writable()

    def _overrun(self) -> None:
        self.overran = True
        if self._upgrade_answered:
            self.hang_up(_TOO_BIG)

    def hang_up(self, code: int) -> None:
        """Says why, and listens no more. What still comes is thrown away for a moment: a socket
        that is closed with unread bytes in it takes the reason along."""
        if not self._hung_up and self.transport is not None:
            self._hung_up = True
            self.transport.write(_CLOSE + code.to_bytes(2))
            self.loop.call_later(_LINGER_S, self.transport.close)
