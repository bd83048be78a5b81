"""Notices of a large session: kept once for all members, in frames that all of them share."""

import pytest

from sfu.ids import ConnectionId
from signaling.protocol import messages as m
from signaling.protocol.codec import Encoding
from signaling.sessions.batch import Batch
from signaling.sessions.client_slot import ClientSlot
from signaling.sessions.message_sink import EncodedMessage

ANN, BEN, NEW = ConnectionId("ann"), ConnectionId("ben"), ConnectionId("new")


class Sink:
    def __init__(self):
        self.writes = []

    def send(self, outgoing):
        self.writes.append(outgoing.framed(Encoding.JSON))

    def send_batch(self, batch):
        self.writes.append(batch.framed(Encoding.JSON))

    def close(self, reason):
        """Nobody closes it here."""


def notice(number: int) -> EncodedMessage:
    return EncodedMessage(
        m.ConnectionDestroyed(connection_id=f"c{number}", reason="clientDisconnected")
    )


def frames(*messages: EncodedMessage) -> bytes:
    return b"".join(one.framed(Encoding.JSON) for one in messages)


def slot_of(batch: Batch, connection: ConnectionId) -> ClientSlot:
    slot = ClientSlot(connection, None, ("resume",), Sink(), 1, batch)
    slot.skip_batch()
    return slot


@pytest.fixture
def batch():
    return Batch()


def test_all_members_share_the_frames_and_get_them_in_one_write(batch):
    ann, ben = slot_of(batch, ANN), slot_of(batch, BEN)
    notices = [notice(n) for n in range(3)]
    for one in notices:
        batch.add(one, NEW)
    for slot in (ann, ben):
        slot.flush_batch()
    (to_ann,), (to_ben,) = ann.sink.writes, ben.sink.writes
    assert to_ann == frames(*notices)
    assert to_ann is to_ben
    assert (ann.sent, ben.sent) == (3, 3)


def test_nobody_hears_of_himself_nor_of_what_was_before_him(batch):
    batch.add(notice(1), ANN)
    new = slot_of(batch, NEW)
    own, later = notice(2), notice(3)
    batch.add(own, NEW)
    batch.add(later, None)
    assert new.batch == (later,)
    new.flush_batch()
    assert new.sink.writes == [frames(later)]


def test_a_message_comes_after_the_notices_that_waited_and_they_come_once(batch):
    ann, first, second = slot_of(batch, ANN), notice(1), notice(2)
    batch.add(first, NEW)
    ann.deliver(second)
    ann.flush_batch()
    assert ann.sink.writes == [frames(first), frames(second)]


def test_one_without_a_websocket_forgets_what_its_next_welcome_reports(batch):
    ann = slot_of(batch, ANN)
    batch.add(notice(1), NEW)
    ann.sink = None
    ann.flush_batch()
    ann.sink = Sink()
    ann.flush_batch()
    assert (ann.sink.writes, ann.batch) == ([], ())


def test_the_next_batch_begins_empty(batch):
    ann = slot_of(batch, ANN)
    batch.add(notice(1), ANN)
    ann.flush_batch()
    batch.clear()
    ann.skip_batch()
    batch.add(later := notice(2), NEW)
    assert ann.batch == (later,)
