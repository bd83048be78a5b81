"""The connection under a WebSocket: what a stranger may send, and when a slow reader has read.

The library gives a WebSocket one limit for all its messages, and keeps a copy of what waits for
each client. This class bounds the bytes that come before somebody is known, and tells when there
is room, so that what waits can be shared.
"""

from collections.abc import Callable
from typing import Any

from aiohttp.web_protocol import RequestHandler

_CLOSE = b"\x88\x02"
"""The head of a close frame with a code (RFC 6455 section 5.5.1)."""
_TOO_BIG = 1009

_LINGER_S = 0.5


class WebSocketConnection(RequestHandler):
    """`overran`: it sent more than a stranger may. `on_writable` is called when what waited in
    the transport has gone down; `writing_paused` until then."""

    __slots__ = ("_hung_up", "_stranger_left", "on_writable", "overran")

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - the library's
        super().__init__(*arguments, **options)
        self._stranger_left: int | None = None
        self._hung_up = False
        self.on_writable: Callable[[], None] | None = None
        self.overran = False

    def expect_stranger(self, most_bytes: int) -> None:
        """From here on at most so many bytes come, until `admit`."""
        self._stranger_left = most_bytes

    def admit(self) -> None:
        self._stranger_left = None

    def data_received(self, data: bytes) -> None:
        if self._hung_up:
            return
        if self._stranger_left is not None:
            self._stranger_left -= len(data)
            if self._stranger_left < 0:
                self._overrun()
                return
        super().data_received(data)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.on_writable is not None:
            self.on_writable()

    def _overrun(self) -> None:
        self.overran = True
        self.hang_up(_TOO_BIG)

    def hang_up(self, code: int) -> None:
        """Says why, and listens no more. What still comes is thrown away for a moment: a socket
        that is closed with unread bytes in it takes the reason along."""
        if not self._hung_up and self.transport is not None:
            self._hung_up = True
            self.transport.write(_CLOSE + code.to_bytes(2))
            self._loop.call_later(_LINGER_S, self.transport.close)
