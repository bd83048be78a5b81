"""The hostile server: it speaks the whole protocol honestly, until a lie changes a step of it.

Messages are plain maps and SDP is plain data, so that a lie may send what no honest server can.
What clients send is read by the product's own table.
"""

import asyncio
import contextlib
import secrets
from typing import Any, Self

import aiohttp
import msgspec
from aiohttp import web

from signaling.protocol import codec
from signaling.protocol.messages import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from tests.hostile.codecs import CODECS
from tests.hostile.lie import Lie, Message
from tests.hostile.media import HOST, Rtp
from tests.hostile.member import Member
from tests.hostile.relaying import Peer
from tests.hostile.tracks import Stream, UpTrack

SESSION_ID = "1_hostile"
"""One for all rooms, so that keys are derived once."""


CHOSEN = {"/none": "", "/json": SUBPROTOCOL_JSON, "/old": "sealroute.v0.msgpack"}
"""First part of a path → the subprotocol that the server chooses there, whatever was offered."""


class Room:
    """One session and the lie that is told in it; clients find it by their token."""

    session_id = SESSION_ID

    def __init__(self, token: str, lie: Lie, video_codec: str) -> None:
        self.token, self.lie, self.video_codec = token, lie, video_codec
        self.members: list[Member] = []
        self.everybody: list[Member] = []
        self.streams: dict[str, Stream] = {}
        self.owners: dict[str, Member] = {}
        """Stream id → who had it first."""
        self.peers: dict[str, Peer] = {}
        """Relayed sessions: both ends of each Subscriber."""
        self.told_lies: set[str] = set()
        """Messages, rules of SDP and `rtp` that a lie was told in: what did leave this server."""
        self._tasks: set[asyncio.Future[Any]] = set()

    def spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Future[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a client that is gone takes no more messages

    @property
    def path(self) -> str:
        """The path selects what the server agrees to before it knows the client."""
        return f"{self.lie.path}/{self.token}" if self.lie.path else ""

    @property
    def is_clear(self) -> bool:
        return not self.lie.session["e2ee"]

    @property
    def is_relayed(self) -> bool:
        return self.lie.session["mediaMode"] == "relayed"

    def codec(self, kind: str) -> str:
        return "opus" if kind == "audio" else self.video_codec

    @property
    def mimes(self) -> tuple[str, str]:
        """What this server takes of what is offered."""
        return ("opus/48000/2", CODECS[self.video_codec].mime)

    def data_of(self, hello: Message) -> str:
        """What a token says of its owner."""
        return ""

    def lied(self, *about: str) -> None:
        self.told_lies |= set(about)

    def join(self, hello: Message) -> tuple[Member, bool]:
        token = hello.get("resume")
        known = next((m for m in self.members if m.resume == token), None)
        if known is not None:
            return known, True
        member = Member(self, hello)
        for other in self.members:
            other.tell({"t": "connectionCreated", "connection": member.info()})
        self.members.append(member)
        self.everybody.append(member)
        return member, False

    def leave(self, member: Member) -> None:
        if member not in self.members:
            return
        self.members.remove(member)
        for stream_id in [i for i, s in self.streams.items() if s.owner is member]:
            self.end_stream(stream_id, "clientDisconnected")
        gone = {"connectionId": member.connection_id, "reason": "clientDisconnected"}
        for other in self.members:
            other.tell({"t": "connectionDestroyed", **gone})

    def end_stream(self, stream_id: str, reason: str) -> None:
        if self.streams.pop(stream_id, None) is None:
            return
        for member in self.members:
            for line in member.lines:
                if line.stream_id == stream_id:
                    line.subscriber_id, line.source = "", None
            member.tell({"t": "streamDestroyed", "streamId": stream_id, "reason": reason})

    def route(self, track: UpTrack, packet: Rtp) -> None:
        for member in self.members:
            for line in member.lines:
                if line.source is track and line.subscriber_id:
                    line.forward(packet)

    async def close(self) -> None:
        for member in self.everybody:
            await member.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class HostileServer:
    """Rooms on one port. Use as an async context manager."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self.url = ""

    def open(self, lie: Lie | None = None, video_codec: str = "vp8") -> Room:
        room = Room(secrets.token_hex(8), lie or Lie(), video_codec)
        self.rooms[room.token] = room
        return room

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/v1/signal", self._serve)
        for path in CHOSEN:
            application.router.add_get(f"{path}/{{token}}/v1/signal", self._serve)
        self.add_routes(application)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://{HOST}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for room in self.rooms.values():
            await room.close()
        await self._runner.cleanup()

    def add_routes(self, application: web.Application) -> None:
        """More than a WebSocket."""

    def hear(self, data: bytes | str) -> None:
        """What a client has sent, before it is read."""

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        is_json = offered == SUBPROTOCOL_JSON
        subprotocol = SUBPROTOCOL_JSON if is_json else SUBPROTOCOL_MSGPACK
        room = self.rooms.get(request.match_info.get("token", ""))
        chosen = None if room is None else CHOSEN[room.lie.path]
        socket = web.WebSocketResponse(
            protocols=(subprotocol,) if chosen is None else (), max_msg_size=2**20
        )
        if chosen:
            socket.headers["Sec-WebSocket-Protocol"] = chosen
        await socket.prepare(request)
        if room is not None:
            room.lied("welcome")
        member: Member | None = None
        async for frame in socket:
            if frame.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                break
            self.hear(frame.data)
            message = _read(frame.data, is_json)
            if member is None:
                member = self._greet(message, socket, is_json)
            else:
                await member.take(message)
        if member is not None and member.socket is socket:
            member.socket = None
        return socket

    def _greet(self, hello: Message, socket: web.WebSocketResponse, is_json: bool) -> Member:
        room = self.rooms[hello["token"]]
        member, resumed = room.join(hello)
        member.socket, member.is_json = socket, is_json
        member.received.append(hello)
        instead = room.lie.reply(member, hello)
        if instead is None:
            if member.is_json is not is_json:
                room.lied("welcome")
            member.tell(member.welcome(hello["id"], resumed=resumed))
        else:
            room.lied("welcome")
            for told in instead:
                member.write(told)
        return member


def _read(data: bytes | str, is_json: bool) -> Message:
    encoding = codec.Encoding.JSON if is_json else codec.Encoding.MSGPACK
    message = codec.decode(data, encoding)
    builtins = msgspec.to_builtins(message, builtin_types=(bytes,))
    with contextlib.suppress(TypeError):
        return dict(builtins)
    raise ValueError("not a map")
