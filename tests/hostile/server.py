"""The hostile server: it speaks the whole protocol honestly, until a lie changes a step of it.

Messages are plain maps and SDP is plain data, so that a lie may send what no honest server can.
What clients send is read by the product's own table.
"""

import asyncio
import contextlib
import itertools
import random
import secrets
import time
from collections.abc import Iterable
from typing import Any, Self

import aiohttp
import msgpack
import msgspec
from aiohttp import web

from signaling.protocol import codec
from signaling.protocol.messages import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from tests.hostile import sdp
from tests.hostile.media import HOST, Rtp, Transport, pli, wants_key_frame
from tests.hostile.wire import WireJudge, begins_key_frame

Message = dict[str, Any]
AUDIO_TYPE, VIDEO_TYPE = 111, 96
MID_EXTENSION = 4
SESSION_ID = "1_hostile"
"""One for all rooms, so that keys are derived once."""


CHOSEN = {"/none": "", "/json": SUBPROTOCOL_JSON, "/old": "sealroute.v0.msgpack"}
"""First part of a path → the subprotocol that the server chooses there, whatever was offered."""


class Lie:
    """What a server may change. This one changes nothing: the honest server."""

    path = ""
    """In front of the WebSocket's: what the server agrees to before it knows who asks."""

    def tell(self, member: "Member", message: Message) -> Iterable[Message]:
        """Each message of the server on its way out."""
        return (message,)

    def reply(self, member: "Member", message: Message) -> Iterable[Message] | None:
        """In place of what the server would do with a request; None: it does that."""
        return None

    def answer(self, member: "Member", lines: list[sdp.Line]) -> list[sdp.Line]:
        return lines

    def offer(self, member: "Member", lines: list[sdp.Line]) -> list[sdp.Line]:
        return lines

    def prints(self, member: "Member") -> tuple[str, ...]:
        return sdp.HONEST_PRINTS

    def stream_id(self, member: "Member") -> str:
        return f"s-{secrets.token_hex(8)}"

    def down(self, line: "DownLine", packet: Rtp) -> Iterable[Rtp]:
        """Each packet to a subscriber, already under the m-line's SSRC and payload type."""
        return (packet,)


class UpTrack:
    """One m-line that a client sends."""

    def __init__(self, stream: "Stream", section: sdp.Section, line: sdp.Line) -> None:
        self.stream = stream
        self.kind, self.mid = section.kind, section.mid
        self.ssrcs = section.ssrcs
        self.payload_types = {n: name.partition("/")[0] for n, name in line.formats.items()}
        self.mid_extension = section.extension(sdp.MID_URI)
        self.kept: list[Rtp] = []
        """What was sent so far: a server records."""


class Stream:
    def __init__(self, owner: "Member", stream_id: str, request: Message) -> None:
        self.owner, self.stream_id = owner, stream_id
        self.request = request
        self.tracks: dict[str, UpTrack] = {}
        self.is_live = False

    def info(self) -> Message:
        return {
            "streamId": self.stream_id,
            "connectionId": self.owner.connection_id,
            "creationTime": int(time.time() * 1000),
            "name": self.request.get("name", ""),
            "hasAudio": self.request.get("hasAudio", True) and "audio" in self.tracks,
            "hasVideo": self.request.get("hasVideo", True) and "video" in self.tracks,
            "videoType": self.request.get("videoType") or "camera",
            "videoDimensions": self.request.get("videoDimensions"),
            "frameRate": self.request.get("frameRate"),
            "codecs": {kind: {"audio": "opus", "video": "vp8"}[kind] for kind in self.tracks},
        }


class DownLine:
    """One m-line that a client receives, and the numbers that its packets have."""

    def __init__(self, owner: "Member", kind: str, mid: str) -> None:
        self.owner, self.kind, self.mid = owner, kind, mid
        self.ssrc = random.randrange(1, 2**32)
        self.payload_type = AUDIO_TYPE if kind == "audio" else VIDEO_TYPE
        self.subscriber_id = ""
        self.stream_id = ""
        self.told_stream_id = ""
        self.numbers = itertools.count(random.randrange(1_000, 30_000))
        self.source: UpTrack | None = None
        self.is_held = self._needs_key = False
        self.last = 0
        """The newest timestamp that was sent."""
        self.kept: list[Rtp] = []
        """What the subscriber was sent of live media: a server records."""
        self._shift = 0
        self._is_moved = False

    @property
    def codec(self) -> str:
        return {"audio": "opus", "video": "vp8"}[self.kind]

    def offered(self) -> sdp.Line:
        return sdp.Line(
            self.kind,
            self.mid,
            {self.payload_type: sdp.MIME[self.codec]},
            "sendonly" if self.subscriber_id else "inactive",
            {MID_EXTENSION: sdp.MID_URI},
            self.ssrc,
            self.stream_id or "none",
        )

    def track(self) -> Message:
        return {
            "mid": self.mid,
            "kind": self.kind,
            "codec": self.codec,
            "subscriberId": self.subscriber_id,
            "streamId": self.told_stream_id or self.stream_id,
        }

    def dress(self, packet: Rtp) -> Rtp:
        """The packet as one of this m-line, with the next number."""
        return Rtp(
            self.payload_type,
            next(self.numbers) & 0xFFFF,
            (packet.timestamp + self._shift) & 0xFFFFFFFF,
            self.ssrc,
            packet.payload,
            packet.marker,
            {MID_EXTENSION: self.mid.encode()},
        )

    def send(self, packet: Rtp) -> None:
        """A packet as it is: what `dress` gave, or a made-up one."""
        self.last = packet.timestamp
        if self.owner.downlink is not None:
            self.owner.downlink.send(packet)

    def inject(self, packets: list[Rtp]) -> None:
        """Sends these as if they were live: later ones, with numbers and times that go on."""
        gap = 960 if self.kind == "audio" else 7_500
        first = packets[0].timestamp if packets else 0
        start = self.last + gap
        for packet in packets:
            moved = packet.but(timestamp=packet.timestamp - first + start - self._shift)
            self.send(self.dress(moved))
        self._is_moved = True

    def hold(self, held: bool) -> None:
        """Nothing live is forwarded; later video begins again with a key frame."""
        self.is_held, self._needs_key = held, self.kind == "video"
        if not held:
            self.ask_for_key_frame()

    def forward(self, packet: Rtp) -> None:
        self._needs_key = self._needs_key and not begins_key_frame(packet.payload)
        if not self.is_held and not self._needs_key:
            if self._is_moved:
                gap = 960 if self.kind == "audio" else 7_500
                self._shift, self._is_moved = self.last + gap - packet.timestamp, False
            dressed = self.dress(packet)
            if self.owner.downlink is not None and self.owner.downlink.is_connected.is_set():
                self.kept.append(dressed)
            for made in self.owner.room.lie.down(self, dressed):
                self.send(made)

    def ask_for_key_frame(self) -> None:
        if self.source is not None and self.kind == "video":
            self.source.stream.owner.ask_for_key_frame(self.source)


class Member:
    """One client, through all its WebSockets."""

    def __init__(self, room: "Room", hello: Message) -> None:
        self.room, self.hello = room, hello
        self.connection_id = f"c-{secrets.token_hex(8)}"
        self.resume = secrets.token_hex(8)
        self.socket: web.WebSocketResponse | None = None
        self.is_json = False
        self.uplink: Transport | None = None
        self.downlink: Transport | None = None
        self.judge = WireJudge()
        self.received: list[Message] = []
        self.lines: list[DownLine] = []
        self.offer_number = 0
        self.hint: int | None = None
        self._tracks: list[UpTrack] = []
        self._codecs: dict[int, UpTrack] = {}

    # --- messages --------------------------------------------------------------------------

    def tell(self, message: Message) -> None:
        for told in self.room.lie.tell(self, message):
            self.write(told)

    def write(self, message: Message) -> None:
        """Past the lie: exactly this."""
        socket = self.socket
        if socket is None or socket.closed:
            return
        if self.is_json:
            self.room.spawn(socket.send_str(msgspec.json.encode(message).decode()))
        else:
            self.room.spawn(socket.send_bytes(msgpack.packb(message)))

    def asked(self, kind: str) -> list[Message]:
        return [message for message in self.received if message["t"] == kind]

    async def take(self, message: Message) -> None:
        self.received.append(message)
        self._note(message)
        instead = self.room.lie.reply(self, message)
        if instead is not None:
            for told in instead:
                self.write(told)
            return
        handler = HANDLERS.get(message["t"])
        if handler is None:
            self.tell({"t": "ok", "re": message["id"]})
        else:
            await handler(self, message)

    def _note(self, message: Message) -> None:
        """What the judge of the wire must know, whatever becomes of the request."""
        if message["t"] == "declareKids":
            self.judge.declare(message["kids"])
        elif message["t"] == "publish":
            for track in message["tracks"]:
                self.judge.declare(track.get("kids", ()))
        elif message["t"] == "e2eeReady":
            self.hint = message["hint"]
            self.judge.announced.add(message["hint"])

    def fail(self, message: Message, code: str = "internal") -> None:
        self.tell(error(message, code))

    def ok(self, message: Message) -> None:
        self.tell({"t": "ok", "re": message["id"]})

    def info(self) -> Message:
        return {"connectionId": self.connection_id, "creationTime": 1, "data": ""}

    def welcome(self, number: int, *, resumed: bool) -> Message:
        room = self.room
        return {
            "t": "welcome",
            "re": number,
            "connection": self.info(),
            "session": {"sessionId": room.session_id, "e2ee": True, "mediaMode": "routed"},
            "capabilities": dict.fromkeys(
                ("publish", "subscribe", "signal", "forceUnpublish", "forceDisconnect"), 1
            )
            | {"forceMute": 1},
            "connections": [m.info() for m in room.members],
            "streams": [s.info() for s in room.streams.values() if s.is_live],
            "resume": self.resume,
            "resumed": resumed,
            "keepAliveMs": 5_000,
            "graceMs": 10_000,
            "hints": {m.connection_id: m.hint for m in room.members if m.hint is not None},
        }

    # --- uplink ----------------------------------------------------------------------------

    async def publish(self, message: Message) -> None:
        room = self.room
        stream = Stream(self, room.lie.stream_id(self), message)
        lines = sdp.answer_lines(message["offer"])
        wanted = {track["mid"] for track in message["tracks"]}
        told = room.lie.answer(self, lines)
        for section, line in zip(sdp.sections(message["offer"]), told, strict=False):
            if section.mid in wanted:
                track = UpTrack(stream, section, line)
                stream.tracks[track.kind] = track
                self._tracks.append(track)
        if self.uplink is None:
            self.uplink = await Transport(self._take_rtp).open()
        self.uplink.start(sdp.fingerprint(message["offer"]))
        room.streams[stream.stream_id] = stream
        room.owners.setdefault(stream.stream_id, self)
        answer = sdp.describe(told, self.uplink.ice, "passive", room.lie.prints(self))
        tracks = [
            {"mid": t.mid, "kind": t.kind, "codec": {"audio": "opus", "video": "vp8"}[t.kind]}
            for t in stream.tracks.values()
        ]
        self.tell(
            {
                "t": "published",
                "re": message["id"],
                "streamId": stream.stream_id,
                "answer": answer,
                "tracks": tracks,
            }
        )
        room.spawn(self._go_live(stream))

    async def _go_live(self, stream: Stream) -> None:
        await self.uplink.is_connected.wait()
        stream.is_live = True
        for member in self.room.members:
            member.tell({"t": "streamCreated", "stream": stream.info()})

    def _take_rtp(self, packet: Rtp) -> None:
        track = self._track_of(packet)
        if track is None:
            self.judge.take("unknown", None, packet)
            return
        name = f"{track.stream.stream_id}/{track.kind}"
        self.judge.take(name, track.payload_types.get(packet.payload_type), packet)
        if packet.payload:
            track.kept.append(packet)
            self.room.route(track, packet)

    def _track_of(self, packet: Rtp) -> UpTrack | None:
        known = self._codecs.get(packet.ssrc)
        if known is not None:
            return known
        for track in reversed(self._tracks):
            mid = packet.extensions.get(track.mid_extension or 0)
            if packet.ssrc in track.ssrcs or mid == track.mid.encode():
                self._codecs[packet.ssrc] = track
                return track
        return None

    def ask_for_key_frame(self, track: UpTrack) -> None:
        for ssrc, known in self._codecs.items():
            if known is track and self.uplink is not None:
                self.uplink.send_rtcp(pli(ssrc))

    # --- downlink --------------------------------------------------------------------------

    async def subscribe(self, message: Message) -> None:
        stream = self.room.streams.get(message["streamId"])
        if stream is None:
            self.fail(message, "stream_not_found")
            return
        subscriber_id = f"sub-{secrets.token_hex(6)}"
        self.tell(
            {
                "t": "subscribed",
                "re": message["id"],
                "subscriberId": subscriber_id,
                "streamId": stream.stream_id,
            }
        )
        for kind in stream.tracks:
            line = self.add_line(kind)
            line.subscriber_id, line.stream_id = subscriber_id, stream.stream_id
            line.source = stream.tracks[kind]
        await self.send_offer()

    def add_line(self, kind: str) -> DownLine:
        free = next((li for li in self.lines if li.kind == kind and not li.subscriber_id), None)
        if free is None:
            free = DownLine(self, kind, str(len(self.lines)))
            self.lines.append(free)
        return free

    async def send_offer(self, tracks: list[Message] | None = None) -> None:
        if self.downlink is None:
            self.downlink = await Transport(self._take_stray).open()
            self.downlink.on_rtcp = self._take_rtcp
        lie = self.room.lie
        offered = lie.offer(self, [line.offered() for line in self.lines])
        text = sdp.describe(offered, self.downlink.ice, "actpass", lie.prints(self))
        used = [line.track() for line in self.lines if line.subscriber_id]
        self.offer_number += 1
        self.tell(
            {
                "t": "downlinkOffer",
                "number": self.offer_number,
                "sdp": text,
                "tracks": used if tracks is None else tracks,
            }
        )

    async def take_answer(self, message: Message) -> None:
        self.ok(message)
        if self.downlink is None:
            return
        role = "client" if "a=setup:passive" in message["sdp"] else "server"
        self.downlink.start(sdp.fingerprint(message["sdp"]), role)
        self.room.spawn(self._connected())

    async def _connected(self) -> None:
        await self.downlink.is_connected.wait()
        for subscriber_id in dict.fromkeys(li.subscriber_id for li in self.lines):
            if subscriber_id:
                self.tell({"t": "subscriberConnected", "subscriberId": subscriber_id})
        for line in self.lines:
            line.ask_for_key_frame()

    def _take_stray(self, packet: Rtp) -> None:
        """Nothing may come up the downlink."""
        self.judge.take("downlink", None, packet)

    def _take_rtcp(self, data: bytes) -> None:
        if wants_key_frame(data):
            for line in self.lines:
                line.ask_for_key_frame()

    async def unsubscribe(self, message: Message) -> None:
        self.ok(message)
        for line in self.lines:
            if line.subscriber_id == message["subscriberId"]:
                line.subscriber_id, line.source = "", None
        await self.send_offer()

    async def unpublish(self, message: Message) -> None:
        self.ok(message)
        self.room.end_stream(message["streamId"], "clientDisconnected")

    # --- the rest --------------------------------------------------------------------------

    async def ready(self, message: Message) -> None:
        self.ok(message)
        for member in self.room.members:
            if member is not self:
                told = {"connectionId": self.connection_id, "hint": message["hint"]}
                member.tell({"t": "hintAnnounced", **told})

    async def signal(self, message: Message) -> None:
        self.ok(message)
        body = {k: v for k in ("type", "data", "sealed") if (v := message.get(k)) is not None}
        for member in self.room.members:
            if message.get("to") in (None, member.connection_id):
                member.tell({"t": "signalReceived", "from": self.connection_id, **body})

    async def ping(self, message: Message) -> None:
        self.tell({"t": "pong", "re": message["id"]})

    async def bye(self, message: Message) -> None:
        self.room.leave(self)

    async def close(self) -> None:
        for transport in (self.uplink, self.downlink):
            if transport is not None:
                await transport.close()
        if self.socket is not None:
            await self.socket.close()


HANDLERS = {
    "publish": Member.publish,
    "subscribe": Member.subscribe,
    "downlinkAnswer": Member.take_answer,
    "unsubscribe": Member.unsubscribe,
    "unpublish": Member.unpublish,
    "e2eeReady": Member.ready,
    "signal": Member.signal,
    "ping": Member.ping,
    "bye": Member.bye,
}


def error(message: Message, code: str = "internal") -> Message:
    return {
        "t": "error",
        "re": message["id"],
        "code": code,
        "name": "OT_UNEXPECTED_SERVER_RESPONSE",
        "number": 2000,
        "message": "The server failed.",
    }


class Room:
    """One session and the lie that is told in it; clients find it by their token."""

    session_id = SESSION_ID

    def __init__(self, token: str, lie: Lie) -> None:
        self.token, self.lie = token, lie
        self.members: list[Member] = []
        self.everybody: list[Member] = []
        self.streams: dict[str, Stream] = {}
        self.owners: dict[str, Member] = {}
        """Stream id → who had it first."""
        self._tasks: set[asyncio.Future[Any]] = set()

    def spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Future[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a client that is gone takes no more messages

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

    def open(self, lie: Lie | None = None) -> Room:
        room = Room(secrets.token_hex(8), lie or Lie())
        self.rooms[room.token] = room
        return room

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/v1/signal", self._serve)
        for path in CHOSEN:
            application.router.add_get(f"{path}/v1/signal", self._serve)
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

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        is_json = offered == SUBPROTOCOL_JSON
        subprotocol = SUBPROTOCOL_JSON if is_json else SUBPROTOCOL_MSGPACK
        chosen = CHOSEN.get(request.path.removesuffix("/v1/signal"))
        socket = web.WebSocketResponse(
            protocols=(subprotocol,) if chosen is None else (), max_msg_size=2**20
        )
        if chosen:
            socket.headers["Sec-WebSocket-Protocol"] = chosen
        await socket.prepare(request)
        member: Member | None = None
        async for frame in socket:
            if frame.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                break
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
            member.tell(member.welcome(hello["id"], resumed=resumed))
        else:
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
