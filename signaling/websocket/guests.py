"""The home's side of clients whose WebSockets end at another node: guests of a gate.

To the session's actor a guest is a client like any other, whose sink is a link. What is for several
guests of one gate is encoded once and crosses once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from signaling.cluster.base import Cluster
from signaling.domain.errors import DomainError, ErrorCode, PeerProtocolError, Unavailable, error
from signaling.links import messages as k
from signaling.links.link import Count, Link
from signaling.links.refusals import LinkRefusal
from signaling.metrics import Metrics
from signaling.protocol import messages as m
from signaling.protocol.codec import Encoding, decode, decode_server_message
from signaling.sessions.message_sink import MOVED, EncodedBatch, EncodedMessage
from signaling.websocket.slots import LocalSlot, Seating, answer_error

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Parcel:
    """One message, or one batch, for guests of one encoding in sessions of one epoch."""

    item: EncodedMessage | EncodedBatch
    encoding: Encoding
    epoch: int
    to: list[int] = field(default_factory=list)


class Outbox:
    """What leaves over one link at the end of the loop's turn. The guests of one message that stand
    one after the other share an envelope; each guest's messages stay in order."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._parcels: list[_Parcel] = []
        self._latest: dict[Encoding, _Parcel] = {}

    def add(
        self, item: EncodedMessage | EncodedBatch, encoding: Encoding, epoch: int, guest: int
    ) -> None:
        parcel = self._latest.get(encoding)
        if (
            parcel is None
            or parcel.item is not item
            or parcel.epoch != epoch
            or len(parcel.to) >= k.MAX_RECEIVERS
        ):
            if not self._parcels:
                asyncio.get_running_loop().call_soon(self.flush)
            parcel = self._latest[encoding] = _Parcel(item, encoding, epoch)
            self._parcels.append(parcel)
        parcel.to.append(guest)

    def flush(self) -> None:
        parcels, self._parcels, self._latest = self._parcels, [], {}
        for parcel in parcels:
            self._send(parcel)

    def _send(self, parcel: _Parcel) -> None:
        item, data = parcel.item, parcel.item.framed(parcel.encoding)
        count = len(item.messages) if isinstance(item, EncodedBatch) else 1
        is_signal = isinstance(item, EncodedMessage) and isinstance(item.message, m.SignalReceived)
        for begin in range(0, len(data), k.MAX_FRAME_BYTES):
            end = begin + k.MAX_FRAME_BYTES
            self._link.send(
                k.Deliver(
                    to=tuple(parcel.to),
                    e=parcel.epoch,
                    frame=data[begin:end],
                    count=count if end >= len(data) else 0,
                    more=end < len(data),
                    signal=is_signal,
                )
            )


class GuestSink:
    """Implements `MessageSink` over a link."""

    def __init__(self, outbox: Outbox, link: Link, join: k.Join, gone: Callable[[], None]) -> None:
        self.encoding = Encoding.JSON if join.json else Encoding.MSGPACK
        self._outbox, self._link, self._gone = outbox, link, gone
        self._number, self._epoch = join.client, join.e
        self._closed = False

    def send(self, outgoing: EncodedMessage) -> None:
        if not self._closed:
            self._outbox.add(outgoing, self.encoding, self._epoch, self._number)

    def send_batch(self, batch: EncodedBatch) -> None:
        if not self._closed:
            self._outbox.add(batch, self.encoding, self._epoch, self._number)

    def close(self, reason: str) -> None:
        if not self._closed:
            self._closed = True
            self._outbox.flush()
            self._link.send(k.Close(client=self._number, e=self._epoch, reason=reason))
            self._gone()


@dataclass(slots=True)
class _Guest:
    session: str
    epoch: int
    sink: GuestSink
    slot: LocalSlot | None = None
    is_detached: bool = False


class Guests:
    """The guests of one gate."""

    def __init__(
        self, link: Link, seating: Seating, cluster: Cluster, metrics: Metrics, count: Count
    ) -> None:
        self._link, self._seating, self._cluster = link, seating, cluster
        self._metrics, self._count = metrics, count
        self._outbox = Outbox(link)
        self._guests: dict[int, _Guest] = {}
        self._joining: set[asyncio.Task[None]] = set()
        link.handle, link.on_end = self.handle, self._detach_all

    def handle(self, message: k.LinkMessage) -> None:
        handler = _HANDLERS.get(type(message))
        if handler is not None:
            handler(self, message)

    # --- joining ----------------------------------------------------------------------------

    def _on_join(self, message: k.Join) -> None:
        if message.client in self._guests:
            self._count(LinkRefusal.CLIENT)
            self._refuse(message, error(ErrorCode.HOME_AWAY))
            return
        here = self._epoch(message.s)
        if here != message.e:
            self._count(LinkRefusal.EPOCH)
            self._cluster.show(message.s, message.e)
            self._refuse(message, error(ErrorCode.HOME_AWAY), here or 0)
            return
        sink = GuestSink(self._outbox, self._link, message, partial(self._forget, message.client))
        guest = self._guests[message.client] = _Guest(message.s, message.e, sink)
        task = asyncio.get_running_loop().create_task(self._join(message, guest))
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    async def _join(self, message: k.Join, guest: _Guest) -> None:
        try:
            slot = await self._slot(message, guest)
        except DomainError as refused:
            self._forget(message.client)
            self._refuse(message, refused)
            return
        except Exception:
            log.exception("guest not seated", node=self._link.peer.name)
            self._forget(message.client)
            self._refuse(message, Unavailable(ErrorCode.INTERNAL))
            return
        guest.slot = slot
        self._outbox.flush()
        self._link.send(k.Joined(re=message.id))
        if guest.is_detached or not self._link.is_open:
            slot.detach()

    async def _slot(self, message: k.Join, guest: _Guest) -> LocalSlot:
        """Errors: those of joining and of resuming."""
        hello = _read(message.hello, guest.sink.encoding)
        if not isinstance(hello, m.Hello) or hello.session_id != message.s:
            self._count(LinkRefusal.MESSAGE)
            raise error(ErrorCode.INVALID_MESSAGE)
        if hello.resume is not None:
            return self._seating.resume(hello, guest.sink)
        admission = await self._seating.admit(hello, message.origin)
        return self._seating.join(hello, admission, guest.sink)

    def _forget(self, number: int) -> None:
        self._guests.pop(number, None)

    def _refuse(self, message: k.Join, refused: DomainError, epoch: int = 0) -> None:
        self._link.send(
            k.Refused(re=message.id, code=refused.code.value, message=refused.message, e=epoch)
        )

    # --- messages of guests -----------------------------------------------------------------

    def _on_request(self, message: k.Request) -> None:
        found = self._present(message.client, message.e)
        if found is None:
            return
        guest, slot = found
        try:
            request = _read(message.frame, guest.sink.encoding)
        except PeerProtocolError as refused:
            answer_error(slot.answer, refused)
            self._metrics.websocket_refused.labels(refused.code.value).inc()
            return
        try:
            slot.handle(request, message.frame)
        except DomainError as refused:
            answer_error(slot.answer, refused, request)
            self._metrics.websocket_refused.labels(refused.code.value).inc()
            if refused.code is ErrorCode.RATE_LIMITED:
                self._link.send(k.Charged(client=message.client))
        except Exception:
            log.exception("request failed", connection=slot.name)
            answer_error(slot.answer, Unavailable(ErrorCode.INTERNAL), request)

    def _on_answer(self, message: k.Answer) -> None:
        found = self._present(message.client, message.e)
        if found is None:
            return
        try:
            answer = decode_server_message(message.frame, Encoding.MSGPACK)
        except PeerProtocolError:
            answer = None
        if isinstance(answer, m.Error):
            found[1].answer(EncodedMessage(answer))
        else:
            self._count(LinkRefusal.MESSAGE)

    def _on_detached(self, message: k.Detached) -> None:
        guest = self._guests.pop(message.client, None)
        if guest is not None:
            guest.is_detached = True
            if guest.slot is not None:
                guest.slot.detach()

    def _on_expel(self, message: k.Expel) -> None:
        found = self._present(message.client, message.e)
        if found is not None:
            found[1].expel()

    def _present(self, number: int, epoch: int) -> tuple[_Guest, LocalSlot] | None:
        """A guest that is present, under the epoch of the reign here; all else is dropped."""
        guest = self._guests.get(number)
        if guest is None or guest.slot is None:
            self._count(LinkRefusal.CLIENT)
            return None
        if epoch != guest.epoch or self._epoch(guest.session) != epoch:
            self._count(LinkRefusal.EPOCH)
            return None
        return (guest, guest.slot) if guest.slot.is_here else None

    def let_go(self, session: str) -> None:
        """The session has another home, or its home another epoch: its guests come again."""
        for guest in [one for one in self._guests.values() if one.session == session]:
            guest.sink.close(MOVED)
            guest.is_detached = True
            if guest.slot is not None:
                guest.slot.detach()

    def _epoch(self, session: str) -> int | None:
        """That of the session's reign here; None: its home is elsewhere."""
        home = self._cluster.held(session)
        return None if home is None else home.epoch

    def _detach_all(self) -> None:
        guests, self._guests = list(self._guests.values()), {}
        for guest in guests:
            guest.is_detached = True
            if guest.slot is not None:
                guest.slot.detach()


_HANDLERS: dict[type[k.LinkMessage], Callable[[Guests, Any], None]] = {
    k.Join: Guests._on_join,  # noqa: SLF001 - the table of the class's own methods
    k.Request: Guests._on_request,  # noqa: SLF001
    k.Answer: Guests._on_answer,  # noqa: SLF001
    k.Detached: Guests._on_detached,  # noqa: SLF001
    k.Expel: Guests._on_expel,  # noqa: SLF001
}


def _read(data: bytes, encoding: Encoding) -> m.ClientMessage:
    """Errors: those of the codec."""
    text = data.decode("utf-8", "replace") if encoding is Encoding.JSON else data
    return decode(text, encoding)
