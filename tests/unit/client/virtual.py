"""A Session on virtual time: a clock that jumps, a server in memory, peers without sockets."""

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

from sealroute_client import NotConnected, RequestTimeout, ServerError, Session
from sealroute_client.downlink import Line
from sealroute_client.e2ee.secret import SessionSecret, session_key

ME, PEER = "me", "peer"
REQUEST_TIMEOUT_S = 15.0
CERTIFICATE = "\r\na=recvonly\r\na=setup:active\r\na=fingerprint:sha-256 AB"
M_LINE = {
    "audio": f"\r\nm=audio 9 RTP/SAVPF 96\r\na=rtpmap:96 opus/48000/2{CERTIFICATE}\r\na=mid:",
    "video": f"\r\nm=video 9 RTP/SAVPF 97\r\na=rtpmap:97 VP8/90000{CERTIFICATE}\r\na=mid:",
}
"""Of an offer, or of its answer: what rules look at."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time is what is scheduled next: a minute of sleeping takes none."""

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__()

    def time(self) -> float:
        return self.now_s

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now_s = max(self.now_s, self._scheduled[0]._when)
        super()._run_once()


async def derive(text: str, session_id: str) -> SessionSecret:
    return SessionSecret(session_key(text, session_id, iterations=1))


class FakeSender:
    """What encryption hooks into; nothing is ever encoded here."""

    def __init__(self, track: Any) -> None:
        self.track = track
        self._RTCRtpSender__encoder = None
        self._RTCRtpSender__force_keyframe = False

    async def _next_encoded_frame(self, _codec: Any) -> None:
        raise AssertionError("nothing is sent")

    def _send_keyframe(self) -> None:
        pass


class FakePeer:
    def __init__(self, owner: "FakePeers") -> None:
        self._owner = owner
        self._transceivers: list[Any] = []
        self.connectionState = "connected"

    @property
    def localDescription(self) -> Any:  # noqa: N802
        return SimpleNamespace(sdp="".join(M_LINE[t.kind] + t.mid for t in self._transceivers))

    def addTransceiver(self, track: Any, direction: str) -> Any:  # noqa: N802 - WebRTC's name
        transceiver = SimpleNamespace(
            kind=track.kind,
            mid=str(len(self._transceivers)),
            sender=FakeSender(track),
            direction=direction,
            setCodecPreferences=lambda _codecs: None,
        )
        self._transceivers.append(transceiver)
        return transceiver

    async def createOffer(self) -> str:  # noqa: N802
        return "offer"

    async def setLocalDescription(self, _description: Any) -> None:  # noqa: N802
        await asyncio.sleep(0.01)

    async def setRemoteDescription(self, _description: Any) -> None:  # noqa: N802
        await asyncio.sleep(0.01)

    async def close(self) -> None:
        await asyncio.sleep(0.01)
        self._owner.open_peers.discard(self)


class FakePeers:
    def __init__(self) -> None:
        self.open_peers: set[FakePeer] = set()

    def open(self) -> FakePeer:
        peer = FakePeer(self)
        self.open_peers.add(peer)
        return peer

    async def close(self) -> None:
        for peer in list(self.open_peers):
            await peer.close()


class FakeTap:
    def __init__(self) -> None:
        self.take: Any = None
        self.generation = 0

    def give_to(self, take: Any, _on_gap: Any) -> int:
        self.take = take
        self.generation += 1
        return self.generation

    def take_from(self, generation: int) -> None:
        if generation == self.generation:
            self.take = None

    def request_key_frame(self) -> None:
        pass


class FakeDownlink:
    """Has as many m-lines as the server's offers name; the offer is the list of their kinds."""

    def __init__(self, peers: FakePeers) -> None:
        self._peer = peers.open()
        self._lines: dict[str, Line] = {}

    def check(self, _offer: str, _carrying: Any) -> None:
        """It is no description."""

    async def answer(self, offer: str) -> tuple[str, dict[str, Line]]:
        await asyncio.sleep(0.02)
        for mid, kind in (part.split("=") for part in offer.split()):
            if mid not in self._lines:
                codec = "opus" if kind == "audio" else "vp8"
                receiver = SimpleNamespace(track=None)
                self._lines[mid] = Line(kind, FakeTap(), receiver, codec)  # type: ignore[arg-type]
        return "answer", dict(self._lines)

    async def close(self) -> None:
        await self._peer.close()


class FakeServer:
    """One client's session as the server has it. `failing`: what the next request meets."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.latency_s = 0.05
        self.failing: list[str] = []
        self.published: set[str] = set()
        self.subscribed: dict[str, str] = {}
        self.others = {"stream-1", "stream-2"}
        self.faults: list[str] = []
        self._lines: dict[str, tuple[str, str] | None] = {}
        self._numbers = itertools.count(1)
        self._offer_wanted = False
        self._epoch = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._last_s = {"up": 0.0, "down": 0.0}
        self.connection_id = ME

    # --- as the Session's Signaling ------------------------------------------------------

    refusal = None

    async def connect(self) -> dict[str, Any]:
        return self.welcome()

    def start_reading(self) -> None:
        pass

    async def close(self) -> None:
        self.drop()

    async def request(self, kind: str, **members: Any) -> dict[str, Any]:
        epoch = self._epoch
        meets = self.failing.pop(0) if self.failing else "answer"
        await self._travel("up")
        if meets == "silence":
            await self._travel("up", REQUEST_TIMEOUT_S)
            raise RequestTimeout(f"no answer to {kind}")
        if meets == "refusal":
            raise ServerError("rate_limited", "OT_LIMIT", 1, "later")
        if epoch != self._epoch:
            raise NotConnected("lost")
        answer = getattr(self, f"_{kind}", lambda **_: {})(**members)
        await self._travel("down")
        return answer

    def _arrival_s(self, way: str) -> float:
        """A socket keeps the order, however the latency changes."""
        now_s = asyncio.get_running_loop().time()
        self._last_s[way] = max(now_s + self.latency_s, self._last_s[way] + 1e-6)
        return self._last_s[way]

    async def _travel(self, way: str, more_s: float = 0.0) -> None:
        future = asyncio.get_running_loop().create_future()
        at_s = self._arrival_s(way) if not more_s else asyncio.get_running_loop().time() + more_s
        timer = asyncio.get_running_loop().call_at(
            at_s, lambda: future.done() or future.set_result(None)
        )
        self._waiting.add(future)
        try:
            await future
        finally:
            timer.cancel()
            self._waiting.discard(future)

    # --- what it does --------------------------------------------------------------------

    def _publish(self, offer: str, **_members: Any) -> dict[str, Any]:
        stream_id = f"own-{next(self._numbers)}"
        self.published.add(stream_id)
        return {"streamId": stream_id, "answer": offer}

    def _unpublish(self, streamId: str) -> dict[str, Any]:  # noqa: N803 - the wire's name
        if streamId not in self.published:
            self.faults.append(f"unpublish of {streamId}")
        self.published.discard(streamId)
        return {}

    def _subscribe(self, streamId: str, **_members: Any) -> dict[str, Any]:  # noqa: N803
        if streamId not in self.others:
            raise ServerError("stream_not_found", "OT_STREAM_NOT_FOUND", 2, "gone")
        name = f"sub-{next(self._numbers)}"
        self.subscribed[name] = streamId
        self._offer()
        return {"subscriberId": name}

    def _unsubscribe(self, subscriberId: str) -> dict[str, Any]:  # noqa: N803
        self.subscribed.pop(subscriberId, None)
        self._offer()
        return {}

    def _offer(self) -> None:
        """Free m-lines are used again, as the real one does."""
        for mid, user in self._lines.items():
            if user is not None and user[0] not in self.subscribed:
                self._lines[mid] = None
        for name, kind in itertools.product(self.subscribed, ("audio", "video")):
            if (name, kind) in self._lines.values():
                continue
            free = [
                mid for mid, user in self._lines.items() if user is None and mid.startswith(kind)
            ]
            mid = free[0] if free else f"{kind}{len(self._lines)}"
            self._lines[mid] = (name, kind)
        tracks = [
            {"mid": mid, "kind": user[1], "subscriberId": user[0], "codec": "x"}
            | {"streamId": self.subscribed[user[0]]}
            for mid, user in self._lines.items()
            if user is not None
        ]
        sdp = " ".join(f"{mid}={mid.rstrip('0123456789')}" for mid in self._lines)
        self._later({"t": "downlinkOffer", "offerId": 1, "sdp": sdp, "tracks": tracks})

    def _later(self, message: dict[str, Any]) -> None:
        epoch, loop = self._epoch, asyncio.get_running_loop()

        def notify() -> None:
            if epoch == self._epoch and self.session is not None:
                self.session._messages.handle(message)

        loop.call_at(self._arrival_s("down"), notify)

    def welcome(self) -> dict[str, Any]:
        streams = [{"streamId": name, "connectionId": PEER} for name in sorted(self.others)]
        return {
            "connection": {"connectionId": self.connection_id},
            "session": {"sessionId": "session", "e2ee": True, "mediaMode": "routed"},
            "connections": [{"connectionId": self.connection_id}, {"connectionId": PEER}],
            "streams": streams,
            "hints": {PEER: 1},
        }

    def drop(self) -> None:
        """The socket is lost, and all that waits for an answer with it."""
        self._epoch += 1
        for future in list(self._waiting):
            if not future.done():
                future.set_exception(NotConnected("lost"))

    def lose(self, direction: str) -> None:
        if direction == "uplink":
            gone, self.published = self.published, set()
            self._later({"t": "transportLost", "direction": "uplink"})
            for stream_id in gone:
                self._later({"t": "streamDestroyed", "streamId": stream_id})
        else:
            self.subscribed, self._lines = {}, {}
            self._later({"t": "transportLost", "direction": "downlink"})

    def restart(self) -> None:
        """Forgets the client; it comes back as another connection."""
        self.drop()
        self.published, self.subscribed, self._lines = set(), {}, {}
        self.connection_id = f"me-{next(self._numbers)}"
        if self.session is not None:
            self.session._on_resumed(self.welcome())

    def toggle_stream(self, name: str) -> None:
        if name in self.others:
            self.others.discard(name)
            for subscriber, stream in list(self.subscribed.items()):
                if stream == name:
                    del self.subscribed[subscriber]
            self._later({"t": "streamDestroyed", "streamId": name, "reason": "clientDisconnected"})
        else:
            self.others.add(name)
            stream = {"streamId": name, "connectionId": PEER}
            self._later({"t": "streamCreated", "stream": stream})

    def announce(self, hint: int) -> None:
        self._later({"t": "hintAnnounced", "connectionId": PEER, "hint": hint})
