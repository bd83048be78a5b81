"""aiortc's peer connections, none of which leaves a socket behind.

aioice knows the sockets of a gathering when the last of them is open: who cancels or closes a peer
connection before would leave the others open.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

CONNECT_TIMEOUT_S: Final = 30.0
"""For ICE and DTLS together. ICE gives up by itself; a DTLS handshake that the other end leaves
unfinished would wait for ever."""


class PeerConnection(RTCPeerConnection):
    """One step at a time; who waits for a step may be cancelled, the step goes on."""

    def __init__(
        self, configuration: RTCConfiguration, forget: "Callable[[PeerConnection], None]"
    ) -> None:
        super().__init__(configuration)
        self._forget = forget
        self._step = asyncio.Lock()
        self._is_decided = False
        """It was connected, or it was told that it could not be."""
        self._deadline: asyncio.TimerHandle | None = None
        self.on_unreachable: Callable[[], None] = lambda: None
        """Called once when no path was found; not for a path that was lost later."""
        self.on("connectionstatechange", self._on_state)
        self._ending: asyncio.Task[None] | None = None

    def _on_state(self) -> None:
        state = self.connectionState
        if state == "connecting" and self._deadline is None and not self._is_decided:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(CONNECT_TIMEOUT_S, self._decide, False)
        elif state in ("connected", "failed", "closed"):
            self._decide(state != "failed")

    def _decide(self, is_well: bool) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if not self._is_decided:
            self._is_decided = True
            if not is_well:
                self.on_unreachable()

    async def setLocalDescription(  # noqa: N802 - the name of WebRTC
        self,
        sessionDescription: RTCSessionDescription | None = None,  # noqa: N803
    ) -> None:
        await self._whole(super().setLocalDescription(sessionDescription))

    async def setRemoteDescription(  # noqa: N802
        self,
        sessionDescription: RTCSessionDescription,  # noqa: N803
    ) -> None:
        await self._whole(super().setRemoteDescription(sessionDescription))

    async def close(self) -> None:
        """Waits for a gathering: at most 5 s, where a STUN or TURN server is silent."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._alone(super().close()))
            self._ending.add_done_callback(lambda _: self._forget(self))
        await asyncio.shield(self._ending)

    async def _whole(self, step: Coroutine[Any, Any, None]) -> None:
        await asyncio.shield(asyncio.create_task(self._alone(step)))

    async def _alone(self, step: Coroutine[Any, Any, None]) -> None:
        try:
            async with self._step:
                await step
        finally:
            step.close()


class PeerConnections:
    """Owns all of a Session's, those too that nobody uses any more."""

    def __init__(
        self, configuration: RTCConfiguration, on_unreachable: Callable[[], None] = lambda: None
    ) -> None:
        self._on_unreachable = on_unreachable
        self._configuration = configuration
        self._open: set[PeerConnection] = set()

    def open(self) -> PeerConnection:
        peer = PeerConnection(self._configuration, self._open.discard)
        peer.on_unreachable = self._on_unreachable
        self._open.add(peer)
        return peer

    async def close(self) -> None:
        """Returns when every socket is closed."""
        ends = (peer.close() for peer in list(self._open))
        for error in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(error, Exception):
                logging.getLogger(__name__).error("A peer connection's end failed", exc_info=error)
