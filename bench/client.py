"""A client of Sealroute as far as a benchmark needs one: signaling, an uplink, a downlink."""

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import aiohttp
import msgspec

from bench import sdp
from bench.peer import GCM, Peer, TransportJob
from signaling.protocol import messages

WAIT_S = 30.0
_Answer = TypeVar("_Answer", bound=messages.Message)
_decoder = msgspec.msgpack.Decoder(messages.ServerMessage)
_encoder = msgspec.msgpack.Encoder()


class ClientError(Exception):
    """The server refused, or ended the connection."""


def new_kid() -> bytes:
    """A key id as e2ee/2 section 2 has it: 1, the sender, a context, and a hint."""
    context = secrets.randbits(47) | 1 << 47
    return context.to_bytes(6) + secrets.token_bytes(2)


def _subscribe(stream_id: str, number: int) -> messages.Request:
    return messages.Subscribe(id=number, stream_id=stream_id)


class LoadClient:
    """One connection. Media transports are handed out as jobs for the load generator."""

    def __init__(
        self, http: aiohttp.ClientSession, profiles: bytes = GCM, bind_host: str = "127.0.0.1"
    ) -> None:
        self._http = http
        self._new_peer = partial(Peer, bind_host, profiles)
        self._answers: dict[int, asyncio.Future[messages.Message]] = {}
        self._ids = iter(range(1, 2**31))
        self._tasks: list[asyncio.Task[None]] = []
        self._connected: dict[str, asyncio.Event] = {}
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._downlink: asyncio.Task[TransportJob] | None = None
        self._downlink_peer: Peer | None = None
        self._uplink_peer: Peer | None = None
        self._refusal: str | None = None
        self.not_encrypted = 0

    async def join(self, url: str, api_key: str, session_id: str, token: str) -> messages.Welcome:
        self._ws = await self._http.ws_connect(
            f"{url}/v1/signal", protocols=[messages.SUBPROTOCOL_MSGPACK], max_msg_size=1 << 22
        )
        self._tasks.append(asyncio.create_task(self._read(self._ws)))
        welcome = await self._call(
            messages.Welcome,
            lambda number: messages.Hello(
                id=number,
                api_key=api_key,
                session_id=session_id,
                token=token,
                sdk=messages.SdkInfo(name="sealroute-bench", version="1"),
                e2ee=messages.E2eeSupport(formats=(messages.E2EE_FORMAT,)),
                codecs=("opus", "vp8"),
            ),
        )
        interval_s = max(welcome.keep_alive_ms / 1_000, 0.5)
        self._tasks.append(asyncio.create_task(self._keep_alive(interval_s)))
        return welcome

    async def publish(
        self, kind: messages.MediaKind, ssrc: int, kid: bytes | None
    ) -> tuple[str, TransportJob]:
        """The stream id and the connected uplink. `kid` None: in clear."""
        peer = self._uplink_peer = self._new_peer()
        offer = sdp.uplink_offer(peer.local, kind, ssrc)
        track = messages.TrackOffer(mid="0", kind=kind, kids=(kid,) if kid else ())
        published = await self._call(
            messages.Published,
            lambda number: messages.Publish(
                id=number,
                offer=offer,
                tracks=(track,),
                has_audio=kind == "audio",
                has_video=kind == "video",
                e2ee_format=messages.E2EE_FORMAT if kid else None,
            ),
        )
        remote = sdp.remote_description(published.answer)
        return published.stream_id, await asyncio.to_thread(peer.connect, remote)

    async def subscribe(self, stream_ids: list[str]) -> TransportJob:
        """The connected downlink, once every subscription is on it."""
        for stream_id in stream_ids:
            build = partial(_subscribe, stream_id)
            subscribed = await self._call(messages.Subscribed, build)
            self._event(subscribed.subscriber_id)
        async with asyncio.timeout(WAIT_S):
            for event in list(self._connected.values()):
                await event.wait()
        if self._refusal is not None:
            raise ClientError(self._refusal)
        if self._downlink is None:
            raise ClientError("no downlink was offered")
        return await self._downlink

    async def leave(self) -> None:
        ws = self._ws
        if ws is not None and not ws.closed:
            await self._send(messages.Bye(id=next(self._ids)))
            await ws.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in (self._uplink_peer, self._downlink_peer):
            if peer is not None:
                peer.close()

    # --- signaling ----------------------------------------------------------------------

    async def _send(self, message: messages.Message) -> None:
        if self._ws is None:
            raise ClientError("not joined")
        await self._ws.send_bytes(_encoder.encode(message))

    async def _call(
        self, answer: type[_Answer], build: Callable[[int], messages.Request]
    ) -> _Answer:
        number = next(self._ids)
        future = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        await self._send(build(number))
        async with asyncio.timeout(WAIT_S):
            found = await future
        if isinstance(found, messages.Error):
            raise ClientError(f"{found.code}: {found.message}")
        if not isinstance(found, answer):
            raise ClientError(f"unexpected answer {type(found).__name__}")
        return found

    def _event(self, subscriber_id: str) -> asyncio.Event:
        event = self._connected.setdefault(subscriber_id, asyncio.Event())
        if self._refusal is not None:
            event.set()
        return event

    async def _keep_alive(self, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            await self._call(messages.Pong, lambda number: messages.Ping(id=number))

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in ws:
            if frame.type is not aiohttp.WSMsgType.BINARY:
                continue
            message = _decoder.decode(frame.data)
            number = getattr(message, "re", None)
            if number is not None and (future := self._answers.pop(number, None)) is not None:
                if not future.done():
                    future.set_result(message)
                continue
            await self._handle(message)
        for future in self._answers.values():
            if not future.done():
                future.set_exception(ClientError("the server closed the connection"))

    async def _handle(self, message: messages.Message) -> None:
        match message:
            case messages.DownlinkOffer():
                await self._answer_downlink(message)
            case messages.SubscriberConnected():
                self._event(message.subscriber_id).set()
            case messages.Error():
                self._refuse(f"{message.code}: {message.message}")
            case messages.NotEncrypted():
                self.not_encrypted += message.packets

    def _refuse(self, reason: str) -> None:
        """Ends the wait for subscriptions."""
        self._refusal = reason
        for event in self._connected.values():
            event.set()

    async def _answer_downlink(self, offer: messages.DownlinkOffer) -> None:
        try:
            remote = sdp.remote_description(offer.sdp)
        except ValueError as error:
            self._refuse(str(error))
            return
        peer = self._downlink_peer
        is_first = peer is None
        if peer is None:
            peer = self._downlink_peer = self._new_peer()
        answer = sdp.downlink_answer(peer.local, offer.sdp)
        # Nobody waits for the answer here: this is the task that reads it.
        await self._send(
            messages.DownlinkAnswer(id=next(self._ids), offer_id=offer.offer_id, sdp=answer)
        )
        if is_first:
            self._downlink = asyncio.create_task(asyncio.to_thread(peer.connect, remote))
