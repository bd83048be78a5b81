"""The gate's side of clients whose sessions live at another node.

Here are their WebSockets, with their limits; there are their connections. What a client sends goes
over the link as it came, after it was charged and read here; what comes for it are whole frames. A
link that is lost ends the WebSockets behind it with a code after which clients come back at once,
through any node.
"""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from signaling.clock import Clock
from signaling.cluster.base import Cluster
from signaling.cluster.engine import Home
from signaling.domain.errors import SERVICE_RESTART, DomainError, ErrorCode, error
from signaling.domain.session_options import SessionRecord
from signaling.domain.tokens import Admission
from signaling.links import messages as k
from signaling.links.link import Count, Link, RefusedByHome
from signaling.links.links import Links
from signaling.links.refusals import LinkRefusal
from signaling.metrics import Metrics
from signaling.protocol import messages as m
from signaling.protocol.codec import Encoding
from signaling.sessions.message_sink import MOVED, EncodedMessage
from signaling.websocket.sink import AWAY, CLOSE_CODES, WebSocketSink
from signaling.websocket.slots import answering

HOLD_S = 5.0
"""How long a client that joins waits for a home: a node that dies is declared dead within 4 s."""
REACH_S = 1.0
"""The same of one that resumes: it comes back by itself, through a node that may reach the home."""
RETRY_S = 0.1
_AWAY = frozenset({ErrorCode.HOME_AWAY.value, ErrorCode.SERVER_SHUTDOWN.value})
"""What a node answers that is no home any more, or will be none in a moment."""
MAX_PARTS_BYTES = 4_194_304
"""Of frames that come in several messages: a `welcome` to the largest session is a quarter."""


@dataclass(frozen=True, slots=True)
class Comer:
    """A client that says `hello`, for a session that there is; `data` is that message as it came,
    `admission` what its token says, unless it resumes."""

    hello: m.Hello
    data: bytes
    record: SessionRecord
    encoding: Encoding
    sink: WebSocketSink
    origin: str | None
    admission: Admission | None


@dataclass(slots=True)
class RemoteSlot:
    """Implements `Slot` for a connection at the other end of a link."""

    link: Link
    number: int
    epoch: int
    sink: WebSocketSink
    released: "Callable[[RemoteSlot], None]"
    charges: int = 0
    is_here: bool = True
    _parts: list[bytes] = field(default_factory=list)
    _parts_bytes: int = 0

    @property
    def name(self) -> str:
        return f"{self.link.peer.name}/{self.number}"

    def answer(self, outgoing: EncodedMessage) -> None:
        frame = outgoing.encoded(Encoding.MSGPACK)
        self.link.send(k.Answer(client=self.number, e=self.epoch, frame=frame))

    def handle(self, message: m.ClientMessage, data: bytes | str) -> None:
        del message
        frame = data.encode() if isinstance(data, str) else data
        self.link.send(k.Request(client=self.number, e=self.epoch, frame=frame))
        if self.charges:
            self.charges -= 1
            raise error(ErrorCode.RATE_LIMITED)

    def detach(self) -> None:
        if self.is_here:
            self.is_here = False
            self.link.send(k.Detached(client=self.number))
        self.released(self)

    def expel(self) -> None:
        self.link.send(k.Expel(client=self.number, e=self.epoch))

    def take(self, message: k.Deliver) -> bool:
        """False: too much of one message came in parts."""
        frame = message.frame
        if message.more or self._parts:
            self._parts.append(frame)
            self._parts_bytes += len(frame)
            if self._parts_bytes > MAX_PARTS_BYTES:
                return False
            if message.more:
                return True
            frame = b"".join(self._parts)
            self._parts, self._parts_bytes = [], 0
        self.sink.relay(frame, message.count, broadcast=message.signal)
        return True

    def lose(self) -> None:
        """The link is gone."""
        self.is_here = False
        self.sink.end(AWAY)


class _GateEnd:
    """What comes over one link for the clients of this gate."""

    def __init__(self, link: Link, count: Count) -> None:
        self.link, self._count = link, count
        self.slots: dict[int, RemoteSlot] = {}
        link.handle, link.on_end = self.handle, self._lose_all

    def handle(self, message: k.LinkMessage) -> None:
        match message:
            case k.Deliver(to=to):
                for number in to:
                    if (slot := self._slot(number, message.e)) is not None:
                        self._deliver(slot, message)
            case k.Close(client=number):
                slot = self._slot(number, message.e)
                if slot is not None and message.reason in (*CLOSE_CODES, MOVED):
                    self._forget(slot)
                    slot.sink.close(message.reason)
            case k.Charged(client=number):
                if (slot := self.slots.get(number)) is not None:
                    slot.charges += 1

    def _deliver(self, slot: RemoteSlot, message: k.Deliver) -> None:
        if not slot.take(message):
            self._count(LinkRefusal.MESSAGE)
            self._forget(slot)
            slot.lose()

    def _slot(self, number: int, epoch: int) -> RemoteSlot | None:
        """A home says nothing to clients that are not its own, nor under another's epoch."""
        slot = self.slots.get(number)
        if slot is None or not slot.is_here:
            return None
        if slot.epoch != epoch:
            self._count(LinkRefusal.EPOCH)
            return None
        return slot

    def _forget(self, slot: RemoteSlot) -> None:
        slot.is_here = False
        self.slots.pop(slot.number, None)

    def _lose_all(self) -> None:
        slots, self.slots = list(self.slots.values()), {}
        for slot in slots:
            slot.lose()


class Elsewhere:
    """Finds the homes of clients, and slots at other nodes those whose session lives there."""

    def __init__(
        self, cluster: Cluster, links: Links, clock: Clock, metrics: Metrics, count: Count
    ) -> None:
        self._cluster, self._links, self._clock, self._metrics = cluster, links, clock, metrics
        self._count = count
        self._ends: dict[Link, _GateEnd] = {}
        self._numbers = itertools.count(1)
        links.on_link = self._listen_to

    async def slot(self, comer: Comer) -> RemoteSlot | None:
        """A slot at another node; None: the session lives here. Errors: those of joining and of
        resuming; `home_away`, `session_limit`."""
        session = comer.hello.session_id
        hold_s = REACH_S if comer.admission is None else HOLD_S
        until_s = self._clock.monotonic_s() + hold_s
        while True:
            try:
                home = await self._home(comer)
                if home.incarnation == self._cluster.me:
                    return None
                return await self._join(home, comer)
            except RefusedByHome as said:
                if said.code not in _AWAY:
                    raise answering(_domain_error(said), comer.hello) from None
            except DomainError as refused:
                if refused.code is not ErrorCode.HOME_AWAY:
                    raise answering(refused, comer.hello) from None
            self._cluster.forget(session)
            if self._clock.monotonic_s() >= until_s:
                raise answering(error(ErrorCode.HOME_AWAY), comer.hello)
            await asyncio.sleep(RETRY_S)

    def leave(self) -> None:
        """This node goes."""
        for end in list(self._ends.values()):
            for slot in list(end.slots.values()):
                slot.sink.end(SERVICE_RESTART)
                slot.detach()

    def _release(self, slot: RemoteSlot) -> None:
        """The client's WebSocket has ended."""
        if (end := self._ends.get(slot.link)) is not None:
            end.slots.pop(slot.number, None)
        self._note_gated()

    async def _home(self, comer: Comer) -> Home:
        record = comer.record
        most = None if comer.admission is None else comer.admission.quotas.sessions
        return await self._cluster.home(record.session_id, record.project_id, most)

    async def _join(self, home: Home, comer: Comer) -> RemoteSlot:
        link = await self._links.to(home.incarnation)
        end = self._ends.get(link)
        if end is None:
            raise error(ErrorCode.HOME_AWAY)  # it has ended already
        slot = RemoteSlot(link, next(self._numbers), home.epoch, comer.sink, self._release)
        end.slots[slot.number] = slot
        try:
            await link.join(
                client=slot.number,
                s=comer.hello.session_id,
                e=home.epoch,
                hello=comer.data,
                json=comer.encoding is Encoding.JSON,
                origin=comer.origin,
            )
        except BaseException:
            slot.detach()
            raise
        self._note_gated()
        return slot

    def _listen_to(self, link: Link) -> None:
        self._ends[link] = end = _GateEnd(link, self._count)
        lose_all = link.on_end

        def ended() -> None:
            self._ends.pop(end.link, None)
            lose_all()
            self._note_gated()

        link.on_end = ended
        self._note_gated()

    def _note_gated(self) -> None:
        self._metrics.links.labels("out").set(len(self._ends))
        self._metrics.clients_gated.set(sum(len(end.slots) for end in self._ends.values()))


def _domain_error(said: RefusedByHome) -> DomainError:
    try:
        return error(ErrorCode(said.code), said.message or None)
    except ValueError:
        return error(ErrorCode.INTERNAL)  # of a release that knows more
