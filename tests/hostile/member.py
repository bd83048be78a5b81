"""One client as the hostile server has it: its messages, its uplink and its downlink."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgpack
import msgspec
from aiohttp import web

from tests.hostile import relaying, sdp
from tests.hostile.lie import Message, error
from tests.hostile.media import Rtp, Transport, pli, wants_key_frame
from tests.hostile.tracks import DownLine, Stream, UpTrack
from tests.hostile.wire import WireJudge

if TYPE_CHECKING:
    from tests.hostile.server import Room


class Member:
    """One client, through all its WebSockets."""

    def __init__(self, room: Room, hello: Message) -> None:
        self.room, self.hello = room, hello
        self.connection_id = room.lie.connection_id(self)
        if any(other.connection_id == self.connection_id for other in room.everybody):
            room.lied("welcome")
        self.resume = secrets.token_hex(8)
        self.socket: web.WebSocketResponse | None = None
        self.is_json = False
        self.uplink: Transport | None = None
        self.downlink: Transport | None = None
        self.judge = WireJudge()
        self.received: list[Message] = []
        self.lines: list[DownLine] = []
        self.offer_id = 0
        self.hint: int | None = None
        self._subscribers: set[str] = set()
        self._offered: dict[str, sdp.Carried] = {}
        self._tracks: list[UpTrack] = []
        self._codecs: dict[int, UpTrack] = {}

    # --- messages --------------------------------------------------------------------------

    def tell(self, message: Message) -> None:
        honest = copy.deepcopy(message)
        told = list(self.room.lie.tell(self, message))
        if told != [honest]:
            self.room.lied(honest["t"], *(changed["t"] for changed in told))
        for changed in told:
            self._send(changed)

    def write(self, message: Message) -> None:
        """A lie: exactly this."""
        if self._send(message):
            self.room.lied(message["t"])

    def _send(self, message: Message) -> bool:
        socket = self.socket
        if socket is None or socket.closed:
            return False
        if self.is_json:
            self.room.spawn(socket.send_str(msgspec.json.encode(message).decode()))
        else:
            self.room.spawn(socket.send_bytes(msgpack.packb(message)))
        return True

    def asked(self, kind: str) -> list[Message]:
        return [message for message in self.received if message["t"] == kind]

    async def take(self, message: Message) -> None:
        self.received.append(message)
        self._note(message)
        instead = self.room.lie.reply(self, message)
        if instead is not None:
            self.room.lied(ANSWERS.get(message["t"], "ok"))
            for told in instead:
                self.write(told)
            return
        handlers = relaying.HANDLERS if self.room.is_relayed else HANDLERS
        handler = handlers.get(message["t"]) or HANDLERS.get(message["t"])
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
        data = self.room.data_of(self.hello)
        return {"connectionId": self.connection_id, "creationTime": 1, "data": data}

    def welcome(self, number: int, *, resumed: bool) -> Message:
        room = self.room
        return {
            "t": "welcome",
            "re": number,
            "connection": self.info(),
            "session": {"sessionId": room.session_id, **room.lie.session},
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
        if stream.stream_id in room.owners:
            room.lied("published")
        lines = sdp.answer_lines(message["offer"], room.mimes)
        honest = copy.deepcopy(lines)
        wanted = {track["mid"] for track in message["tracks"]}
        # A browser goes on with the SSRCs of an m-line that another stream takes over.
        self._codecs = {
            ssrc: track for ssrc, track in self._codecs.items() if track.mid not in wanted
        }
        told = room.lie.answer(self, lines)
        broken = sdp.broken_rules(honest, told)
        if broken:
            room.lied("published", *(f"sdp:uplink.{rule}" for rule in broken))
        for section, line in zip(sdp.sections(message["offer"]), told, strict=False):
            if section.mid in wanted:
                track = UpTrack(stream, section, line)
                stream.tracks[track.kind] = track
                self._tracks.append(track)
        if self.uplink is None:
            self.uplink = await self._open("uplink", self._take_rtp)
        self._shake_hands(self.uplink, message["offer"])
        room.streams[stream.stream_id] = stream
        room.owners.setdefault(stream.stream_id, self)
        answer = sdp.describe(told, self.uplink.ice, "passive", self._prints())
        tracks = [
            {"mid": t.mid, "kind": t.kind, "codec": room.codec(t.kind)}
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

    async def restart(self, message: Message) -> None:
        """Other credentials. Browsers restart where their network seems to be another one."""
        is_up = message["direction"] == "uplink"
        transport = self.uplink if is_up else self.downlink
        if transport is None:
            self.fail(message, "invalid_parameter")
            return
        transport.ice.renew()
        if is_up:
            lines = sdp.answer_lines(message["offer"], self.room.mimes)
            honest = copy.deepcopy(lines)
            told, prints = self.room.lie.answer(self, lines), self._prints()
            if told != honest or prints != sdp.HONEST_PRINTS:
                self.room.lied("iceRestarted")
            answer = sdp.describe(told, transport.ice, "passive", prints)
            self.tell({"t": "iceRestarted", "re": message["id"], "answer": answer})
        else:
            self.ok(message)
            await self.send_offer()

    async def _open(self, direction: str, on_rtp: Callable[[Rtp], None]) -> Transport:
        transport = Transport(on_rtp)

        def answers() -> bool:
            may = self.room.lie.answers_checks(self, direction)
            if not may:
                self.room.lied("ice")
            return may

        transport.ice.answers = answers
        return await transport.open()

    def _shake_hands(self, transport: Transport, told: str, role: str = "server") -> None:
        if self.room.lie.shakes_hands(self):
            transport.start(sdp.fingerprint(told), role)
        else:
            self.room.lied("dtls")

    def _prints(self) -> tuple[str, ...]:
        prints = self.room.lie.prints(self)
        if prints != sdp.HONEST_PRINTS:
            self.room.lied("sdp:fingerprint")
        return prints

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

    def inject_up(self, packet: Rtp) -> None:
        """A lie: media down the uplink."""
        if self.uplink is not None and self.uplink.send(packet):
            self.room.lied("rtp", "sdp:uplink.direction")

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
        self._subscribers.add(subscriber_id)
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
            self.downlink = await self._open("downlink", self._take_stray)
            self.downlink.on_rtcp = self._take_rtcp
        used = [line.track() for line in self.lines if line.subscriber_id]
        self._note_uses(used, tracks)
        offered = self.room.lie.offer(self, [line.offered() for line in self.lines])
        broken = sdp.broken_rules([line.offered() for line in self.lines], offered)
        if broken:
            self.room.lied("downlinkOffer", *(f"sdp:downlink.{rule}" for rule in broken))
        setup = self.room.lie.setup(self)
        if setup != "actpass":
            self.room.lied("sdp:setup")
        text = sdp.describe(offered, self.downlink.ice, setup, self._prints())
        self.offer_id += 1
        self.tell(
            {
                "t": "downlinkOffer",
                "offerId": self.offer_id,
                "sdp": text,
                "tracks": used if tracks is None else tracks,
            }
        )

    def _note_uses(self, used: list[Message], told: list[Message] | None) -> None:
        """What this offer says of the m-lines, and the one before did not; what none may say."""
        carried = {
            line.mid: sdp.Carried(line.ssrc, line.subscriber_id, line.told_stream_id)
            for line in self.lines
        }
        broken = sdp.broken_uses(self._offered, carried)
        self._offered = carried
        uses = [(track["subscriberId"], track["kind"]) for track in used]
        if len(set(uses)) < len(uses):
            broken.add("second-line")
        if told is not None and told != used:
            broken.add("mid")
        answered = [answer["offerId"] for answer in self.asked("downlinkAnswer")]
        is_early = self.offer_id not in (0, *answered)
        if broken or is_early or any(one not in self._subscribers for one, _ in uses):
            self.room.lied("downlinkOffer", *(f"sdp:downlink.{rule}" for rule in broken))

    async def take_answer(self, message: Message) -> None:
        self.ok(message)
        if self.downlink is None:
            return
        role = "client" if "a=setup:passive" in message["sdp"] else "server"
        self._shake_hands(self.downlink, message["sdp"], role)
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
        body = {k: v for k in ("type", "data", "encrypted") if (v := message.get(k)) is not None}
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


ANSWERS = {
    "hello": "welcome",
    "ping": "pong",
    "publish": "published",
    "restartIce": "iceRestarted",
    "subscribe": "subscribed",
}
"""Request → what an honest server answers, where that is not `ok`."""
HANDLERS = {
    "publish": Member.publish,
    "subscribe": Member.subscribe,
    "downlinkAnswer": Member.take_answer,
    "restartIce": Member.restart,
    "unsubscribe": Member.unsubscribe,
    "unpublish": Member.unpublish,
    "e2eeReady": Member.ready,
    "signal": Member.signal,
    "ping": Member.ping,
    "bye": Member.bye,
}
