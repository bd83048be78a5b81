"""aiortc's peer connections; none leaves a socket behind.

aioice knows the sockets of a gathering when the last of them is open: to cancel or close a peer
connection before would leave the others open.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from aiortc import (
    RTCConfiguration,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCSessionDescription,
)

from sealroute_client.errors import (
    CertificateMismatch,
    HandshakeFailed,
    MediaUnreachable,
    SealrouteError,
)
from sealroute_client.media.paths import MediaPath, path_of

CONNECT_TIMEOUT_S: Final = 30.0
"""For ICE and DTLS together. ICE gives up by itself; a DTLS handshake that the other end leaves
unfinished would wait forever."""
LOST: Final = (
    "The media path is lost: the other end has ended it, or does not answer on it any more; leave "
    "the session and join again"
)
LOST_GRACE_S: Final = 5.0
"""A server says by then that a transport is lost, and another one takes its place."""
CLOSE_TIMEOUT_S: Final = 10.0
"""For the end of a connection. It waits for a gathering (5 s at most), and for tasks of aiortc's
senders, which were seen to go on after they were cancelled."""
SENDER_TASKS: Final = ("_RTCRtpSender__rtp_task", "_RTCRtpSender__rtcp_task")
OnUnreachable = Callable[[SealrouteError], None]


def ignore(_error: SealrouteError) -> None:
    """Nobody wants to know."""


class PeerConnection(RTCPeerConnection):
    """One step at a time; who waits for a step may be cancelled, the step goes on."""

    close_timeout_s = CLOSE_TIMEOUT_S

    def __init__(
        self, configuration: RTCConfiguration, forget: "Callable[[PeerConnection], None]"
    ) -> None:
        super().__init__(configuration)
        self._forget = forget
        self._step = asyncio.Lock()
        self._is_decided = False
        """It was connected, or it was told that it could not be."""
        self._deadline: asyncio.TimerHandle | None = None
        self._began_s: float | None = None
        self._connect_s: float | None = None
        self.on_unreachable: OnUnreachable = ignore
        """Called once when no connection came about."""
        self.on_lost: OnUnreachable = ignore
        """Called once when one that had come about is lost, and nobody has closed it since."""
        self._was_connected = False
        self._loss: asyncio.TimerHandle | None = None
        self.on("connectionstatechange", self._on_state)
        self._ending: asyncio.Task[None] | None = None

    def _on_state(self) -> None:
        state = self.connectionState
        now_s = asyncio.get_running_loop().time()
        if state == "connecting" and self._began_s is None:
            self._began_s = now_s
        elif state == "connected" and self._connect_s is None and self._began_s is not None:
            self._connect_s = now_s - self._began_s
        if state == "connecting" and self._deadline is None and not self._is_decided:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(CONNECT_TIMEOUT_S, self._decide, False)
        elif state in ("connected", "failed", "closed"):
            self._was_connected = self._was_connected or state == "connected"
            self._decide(state != "failed")
        if state == "failed" and self._was_connected:
            self._lose()

    def _lose(self) -> None:
        if self._loss is None:
            loop = asyncio.get_running_loop()
            self._loss = loop.call_later(LOST_GRACE_S, self.on_lost, MediaUnreachable(LOST))

    def _decide(self, is_well: bool) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if not self._is_decided:
            self._is_decided = True
            if not is_well:
                self.on_unreachable(self._failure())

    def _failure(self) -> SealrouteError:
        transports = {one.receiver.transport for one in self.getTransceivers()}
        if any(_shows_another_certificate(one) for one in transports):
            return CertificateMismatch(
                "The certificate on the media path is not the one that the server named; nothing "
                "was sent or played over it"
            )
        if any(one.transport.state in ("connected", "completed") for one in transports):
            return HandshakeFailed(
                "A media path was found, but the DTLS handshake over it failed or did not end; try "
                "again, and look for what holds large UDP packets back"
            )
        return MediaUnreachable(
            "No media path was found: this client needs UDP to the server's media port, or a TURN "
            "server; it has no ICE over TCP"
        )

    async def path(self) -> MediaPath:
        return await path_of(self, self._connect_s)

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
        """Waits for a gathering: at most 5 s, where a STUN or TURN server is silent. aiortc calls
        it too, when the other end has closed all transports."""
        is_lost = self._ending is None and self._was_connected and self._is_closed_by_other_end()
        if is_lost:
            self._lose()
        elif self._loss is not None:
            self._loss.cancel()
        if self._ending is None:
            self._ending = asyncio.create_task(self._alone(self._end()))
            self._ending.add_done_callback(lambda _: self._forget(self))
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        """Errors: `TimeoutError` if what aiortc waits for never comes; the sockets are closed."""
        ending = asyncio.create_task(super().close())
        for _ in range(2):
            await asyncio.wait({ending}, timeout=self.close_timeout_s)
            if ending.done():
                return await ending
            for sender in self.getSenders():
                for name in SENDER_TASKS:
                    if (task := getattr(sender, name, None)) is not None:
                        task.cancel()
        ending.cancel()
        for transport in {one.receiver.transport for one in self.getTransceivers()}:
            await transport.stop()
            await transport.transport.stop()
        raise TimeoutError("a peer connection's senders do not end")

    def _is_closed_by_other_end(self) -> bool:
        return {one.receiver.transport.state for one in self.getTransceivers()} == {"closed"}

    async def _whole(self, step: Coroutine[Any, Any, None]) -> None:
        await asyncio.shield(asyncio.create_task(self._alone(step)))

    async def _alone(self, step: Coroutine[Any, Any, None]) -> None:
        try:
            async with self._step:
                await step
        finally:
            step.close()


def _shows_another_certificate(transport: RTCDtlsTransport) -> bool:
    """The handshake ended well, with keys for SRTP, and aiortc refused the other end after it."""
    tls = transport._ssl  # noqa: SLF001 - its hook test says that it is there
    has_keys = transport.encrypted and tls is not None and bool(tls.get_selected_srtp_profile())
    return has_keys and transport.state == "failed"


class PeerConnections:
    """Owns all of a Session's, those too that nobody uses any more."""

    def __init__(
        self, configuration: RTCConfiguration, on_unreachable: OnUnreachable = ignore
    ) -> None:
        self._on_unreachable = on_unreachable
        self._configuration = configuration
        self._open: set[PeerConnection] = set()
        self._is_over = False

    def open(self) -> PeerConnection:
        peer = PeerConnection(self._configuration, self._open.discard)
        peer.on_unreachable = self._on_unreachable
        peer.on_lost = self._on_lost
        self._open.add(peer)
        return peer

    def _on_lost(self, error: SealrouteError) -> None:
        if not self._is_over:
            self._on_unreachable(error)

    async def close(self) -> None:
        """Returns when every socket is closed."""
        self._is_over = True
        ends = (peer.close() for peer in list(self._open))
        for error in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(error, Exception):
                logging.getLogger(__name__).error("A peer connection's end failed", exc_info=error)
