"""A client without a WebSocket: it uses HTTP, and publishes one stream (WHIP) or plays one (WHEP),
or it is the server's own, as an Audio Connector.

It replaces the WebSocket of other clients. This module handles its messages: it waits for the
answer to its single request and notices the end.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from sfu.ids import ConnectionId, StreamId
from signaling.domain.errors import DomainError, ErrorCode, error
from signaling.protocol import messages as m
from signaling.sessions.actor import SessionActor
from signaling.sessions.client_slot import JoiningClient
from signaling.sessions.message_sink import EncodedBatch, EncodedMessage

ANSWER_TIMEOUT_S = 10.0
_HELLO, _REQUEST, _BYE, _UPDATE = 1, 2, 3, 4


class HttpClient:
    """Implements `MessageSink`. `on_end` is called once, when the Connection ends.
    `leaves_with_stream`: there is nothing else that it is there for. `on_muted`: a moderator has
    muted the stream."""

    def __init__(
        self,
        on_end: Callable[[], None],
        *,
        leaves_with_stream: bool = True,
        on_muted: Callable[[], None] | None = None,
    ) -> None:
        self._on_muted = on_muted
        self._leaves_with_stream = leaves_with_stream
        self.connection: ConnectionId | None = None
        self.stream: StreamId | None = None
        self.ice_servers: tuple[m.IceServer, ...] = ()
        self._actor: SessionActor | None = None
        self._on_end: Callable[[], None] | None = on_end
        self._published: asyncio.Future[m.Published] | None = None

    # --- what the actor calls --------------------------------------------------------------

    def send(self, outgoing: EncodedMessage) -> None:
        match outgoing.message:
            case m.Welcome(ice_servers=servers):
                self.ice_servers = servers
            case m.Published(re=number) as published if number == _REQUEST:
                self._settle(published)
            case m.Error(re=number) as failed if number == _REQUEST:
                self._settle(error(failed.code, failed.message))
            case m.MuteForced(active=True, stream_id=stream) if stream and stream == self.stream:
                if self._on_muted is not None:
                    # Not inside the actor's current call: it is answered.
                    asyncio.get_running_loop().call_soon(self._on_muted)
            case m.TransportLost():
                self._leave_soon()
            case m.StreamDestroyed(stream_id=stream) if stream == self.stream:
                self.stream = None
                if self._leaves_with_stream:
                    self._leave_soon()
            case _:
                """Other messages are for clients with an SDK."""

    def send_batch(self, batch: EncodedBatch) -> None:
        for outgoing in batch.messages:
            self.send(outgoing)

    def close(self, reason: str) -> None:
        del reason
        self._settle(error(ErrorCode.NOT_CONNECTED))
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()

    # --- what the gate calls ---------------------------------------------------------------

    def join(self, actor: SessionActor, hello: m.Hello, admission: JoiningClient) -> None:
        """Errors: those of `Join`."""
        self.connection = actor.join(hello, admission, self, quietly=True)
        self._actor = actor

    async def publish(self, request: m.Publish) -> m.Published:
        """Errors: those of `Publish` and of the media plane; `overloaded` without an answer."""
        self._published = asyncio.get_running_loop().create_future()
        self._ask(request)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                published = await self._published
        except TimeoutError:
            raise error(ErrorCode.OVERLOADED) from None
        self.stream = StreamId(published.stream_id)
        return published

    def set_audio(self, *, on: bool) -> None:
        """Says whether the stream has audio. A mute that the session does not lift comes again."""
        if self._on_end is not None and self.stream is not None:
            with suppress(DomainError):  # the session is ending
                self._ask(m.UpdateStream(id=_UPDATE, stream_id=self.stream, has_audio=on))

    def play(self, stream: str, offer: str) -> str:
        """The answer. Errors: those of `Subscribe` and of the media plane."""
        if self._actor is None or self.connection is None:
            raise error(ErrorCode.NOT_CONNECTED)
        self.stream = StreamId(stream)
        return self._actor.play(self.connection, stream, offer)

    def check_present(self) -> None:
        """Errors: `not_connected` when the Connection has ended."""
        if self._on_end is None:
            raise error(ErrorCode.NOT_CONNECTED)

    def leave(self) -> None:
        """Ends the Connection, which calls `on_end`. Idempotent."""
        if self._on_end is None:
            return
        try:
            self._ask(m.Bye(id=_BYE))
        except DomainError:
            # The Session is ending on its own.
            self.close("clientDisconnected")

    def _ask(self, request: m.Request) -> None:
        if self._actor is None or self.connection is None:
            raise error(ErrorCode.NOT_CONNECTED)
        self._actor.handle_request(self.connection, request)

    def _leave_soon(self) -> None:
        """Leaves in the next turn of the loop, not inside the actor's current call."""
        asyncio.get_running_loop().call_soon(self.leave)

    def _settle(self, outcome: "m.Published | DomainError") -> None:
        if self._published is None or self._published.done():
            return
        if isinstance(outcome, DomainError):
            self._published.set_exception(outcome)
        else:
            self._published.set_result(outcome)


def hello_of(session: str, api_key: str, sdk: str, formats: tuple[str, ...]) -> m.Hello:
    """The `Hello` of such a client, whose token was checked before."""
    return m.Hello(
        id=_HELLO,
        api_key=api_key,
        session_id=session,
        token="",
        sdk=m.SdkInfo(name=sdk, version="1"),
        e2ee=m.E2eeSupport(formats=formats) if formats else None,
        codecs=("opus", "vp8", "vp9", "h264", "av1"),
    )


def publish_of(
    offer: str, tracks: tuple[m.TrackOffer, ...], name: str, e2ee_format: str | None
) -> m.Publish:
    kinds = {track.kind for track in tracks}
    return m.Publish(
        id=_REQUEST,
        offer=offer,
        tracks=tracks,
        name=name,
        video_type="custom" if "video" in kinds else None,
        # Who publishes by HTTP or from a telephone has no other way to say so.
        has_captions=True,
        e2ee_format=e2ee_format,
    )
