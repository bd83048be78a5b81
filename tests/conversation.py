"""Clients in conversation with the actors of Sessions, over both encodings, in virtual time.

The media plane is `FakeMediaPlane`: what the network would do, tests script.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from config.settings import SignalingSettings
from sfu import media_plane
from sfu.core_api import Codec, MediaKind
from sfu.ids import ConnectionId, SessionId, StreamId, SubscriberId
from signaling.domain.effects import Notify
from signaling.domain.roles import CAPABILITIES, Role
from signaling.domain.session_options import SessionOptions, SessionRecord
from signaling.protocol import messages as m
from signaling.protocol.codec import Encoding, decode, decode_server_message, encode
from signaling.sessions.actor import SessionActor
from signaling.sessions.client_slot import JoiningClient
from signaling.sessions.directory import SessionDirectory
from signaling.sessions.message_sink import EncodedBatch, EncodedMessage
from tests.fakes.descriptions import answer_for, offer_for
from tests.fakes.media_plane import FakeClientMedia, FakeMediaPlane, FakeStream

KID = b"\x01\x02\x03\x04\x05\x06\x00\x0a"
OTHER_KID = b"\x01\x02\x03\x04\x05\x06\x00\x0b"
BOTH = (MediaKind.AUDIO, MediaKind.VIDEO)
MessageT = TypeVar("MessageT", bound=m.Message)


@dataclass
class Timer:
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class VirtualTime:
    """A clock and its timers; both move by `advance` alone."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def monotonic_s(self) -> float:
        return self.now_s

    def unix_s(self) -> float:
        return 1_700_000_000.0 + self.now_s

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        heapq.heappush(self._timers, (self.now_s + delay_s, next(self._order), timer))
        return timer

    def advance(self, by_s: float) -> None:
        end = self.now_s + by_s
        while self._timers and self._timers[0][0] <= end:
            self.now_s, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                timer.callback()
        self.now_s = end


async def settle() -> None:
    """Lets everything happen that waits for nothing but its turn."""
    for _ in range(20):
        await asyncio.sleep(0)


class House:
    """One node: its sessions, its media plane, its time."""

    def __init__(self, *, e2ee: bool = False, **settings: Any) -> None:
        self.time = VirtualTime()
        self.plane = FakeMediaPlane(connect_at_once=True)
        self.settings = SignalingSettings(**settings)
        self.record = SessionRecord("2_session", "1", SessionOptions(e2ee=e2ee), 0)
        self.notices: list[Notify] = []
        """What the application was told."""
        self.directory = SessionDirectory(
            self.plane,
            self.time,
            self.settings,
            report_event=lambda _record, notice: self.notices.append(notice),
            schedule=self.time.call_later,
        )
        self._encodings = itertools.cycle(Encoding)

    @property
    def actor(self) -> SessionActor:
        found = self.directory.find(self.record.session_id)
        assert found is not None
        return found

    def client(self, role: Role = Role.PUBLISHER) -> "Client":
        return Client(self, role, next(self._encodings))

    async def joined(self, role: Role = Role.PUBLISHER) -> "Client":
        client = self.client(role)
        client.join()
        await settle()
        return client

    def stream(self, name: str) -> FakeStream:
        """What the media plane holds of a stream."""
        return self.plane.sessions[SessionId(self.record.session_id)].streams[StreamId(name)]


@dataclass
class Socket:
    """A WebSocket of a client: what was sent on it, as the wire carried it."""

    encoding: Encoding
    on_message: Callable[[m.Message], None]
    closed: str | None = None

    def send(self, outgoing: EncodedMessage) -> None:
        assert self.closed is None, "a message after the end"
        self.on_message(decode_server_message(outgoing.encoded(self.encoding), self.encoding))

    def send_batch(self, batch: EncodedBatch) -> None:
        for outgoing in batch.messages:
            self.send(outgoing)

    def close(self, reason: str) -> None:
        assert self.closed is None, "closed twice"
        self.closed = reason


@dataclass
class Client:
    """One client. It answers downlink offers unless `answers` is off."""

    house: House
    role: Role
    encoding: Encoding
    answers: bool = True
    inbox: list[m.Message] = field(default_factory=list)
    formats: tuple[str, ...] = ("e2ee/2",)
    welcome: m.Welcome = field(init=False)
    socket: Socket = field(init=False)
    actor: SessionActor = field(init=False)
    connection: ConnectionId = field(init=False)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    # --- coming and going -------------------------------------------------------------------

    def hello(self, resume: str | None = None, received: int | None = None) -> m.Hello:
        return m.Hello(
            id=next(self._numbers),
            api_key="1",
            session_id="2_session",
            token="t",
            sdk=m.SdkInfo(name="test", version="1"),
            e2ee=m.E2eeSupport(formats=self.formats),
            resume=resume,
            received=received,
        )

    def join(self) -> None:
        self.socket = Socket(self.encoding, self._receive)
        self.actor = self.house.directory.open(self.house.record)
        admission = JoiningClient(CAPABILITIES[self.role], "", ())
        self.connection = self.actor.join(self.hello(), admission, self.socket)

    def lose_socket(self) -> None:
        self.actor.detach(self.connection, self.socket)

    def resume(self, received: int | None = None) -> bool:
        """Takes the connection up on another WebSocket, if the server still has it."""
        socket = Socket(self.encoding, self._receive)
        self.inbox.clear()
        found = self.actor.resume(self.hello(self.welcome.resume, received), socket)
        if found is not None:
            assert found == self.connection
            self.socket = socket
        return found is not None

    # --- talking ----------------------------------------------------------------------------

    def send(self, request: m.Request) -> None:
        """Over the wire and into the actor. Errors: `DomainError`."""
        decoded = decode(encode(request, self.encoding), self.encoding)
        self.actor.handle_request(self.connection, decoded)

    def ask(self, kind: type[m.Request], **members: Any) -> m.Message:
        """The answer, which must be there at once."""
        request = kind(id=next(self._numbers), **members)
        self.send(request)
        return self.answer_to(request.id)

    def answer_to(self, number: int) -> m.Message:
        (answer,) = (found for found in self.inbox if getattr(found, "re", None) == number)
        self.inbox.remove(answer)
        return answer

    def start_publish(self, kinds: tuple[MediaKind, ...] = BOTH, **members: Any) -> int:
        """Sends an offer; returns the request's number."""
        base = 2 * len(self.media.published)
        tracks = [
            media_plane.TrackOffer(str(base + place), kind) for place, kind in enumerate(kinds)
        ]
        earlier = [
            media_plane.TrackOffer(mid, track.kind)
            for name in self.media.published
            for mid, track in self.house.stream(name).tracks.items()
        ]
        number = next(self._numbers)
        encrypted = self.house.record.options.e2ee
        self.send(
            m.Publish(
                id=number,
                offer=offer_for([*earlier, *tracks]),
                tracks=tuple(
                    m.TrackOffer(mid=t.mid, kind=t.kind.value, kids=(KID,) if encrypted else ())
                    for t in tracks
                ),
                e2ee_format="e2ee/2" if encrypted else None,
                **members,
            )
        )
        return number

    async def publish(self, kinds: tuple[MediaKind, ...] = BOTH, **members: Any) -> str:
        """Publishes and returns the stream's id."""
        number = self.start_publish(kinds, **members)
        await settle()
        published = self.answer_to(number)
        assert isinstance(published, m.Published)
        return published.stream_id

    async def subscribe(self, stream: str, **members: Any) -> str:
        """Subscribes, answers the offer and returns the subscriber's id."""
        subscribed = self.ask(m.Subscribe, stream_id=stream, **members)
        assert isinstance(subscribed, m.Subscribed)
        await settle()
        return subscribed.subscriber_id

    # --- looking ----------------------------------------------------------------------------

    @property
    def media(self) -> FakeClientMedia:
        return self.house.plane.client(SessionId("2_session"), self.connection)

    def forwarded(self, subscriber: str, kind: MediaKind) -> bool:
        return self.media.subscribers[SubscriberId(subscriber)].forwarding.get(kind, True)

    def seen(self, kind: type[MessageT]) -> list[MessageT]:
        """Takes all messages of one kind out of the inbox."""
        found = [message for message in self.inbox if isinstance(message, kind)]
        self.inbox = [message for message in self.inbox if not isinstance(message, kind)]
        return found

    def _receive(self, message: m.Message) -> None:
        if isinstance(message, m.Welcome):
            self.welcome = message
        elif isinstance(message, m.DownlinkOffer) and self.answers:
            asyncio.get_running_loop().call_soon(self.answer, message)
        self.inbox.append(message)

    def answer(self, offer: m.DownlinkOffer) -> None:
        """Answers a downlink offer as the client's peer connection would."""
        tracks = tuple(
            media_plane.DownlinkTrack(
                track.mid,
                MediaKind(track.kind),
                Codec(track.codec),
                SubscriberId(track.subscriber_id),
                StreamId(track.stream_id),
            )
            for track in offer.tracks
        )
        sdp = answer_for(media_plane.DownlinkOffer(offer.offer_id, offer.sdp, tracks))
        self.ask(m.DownlinkAnswer, offer_id=offer.offer_id, sdp=sdp)
