"""Explanations of live sessions on one node, in virtual time."""

from dataclasses import replace

import pytest

from sfu.ids import StreamId
from signaling.domain.errors import NotFound, Refused
from signaling.protocol import messages as m
from signaling.rest.live_actors import EXPLANATIONS_AT_ONCE, OWN_AT_ONCE, LiveActors
from signaling.sessions.explanation import Code
from tests.conversation import House, settle


class Desk:
    """Asks for explanations; what it sleeps passes on the house's clock."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.live = LiveActors(house.directory, house.time, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.house.time.advance(seconds)

    async def ask(self, stream: str):
        return await self.live.explain(self.house.record, stream)


@pytest.fixture
async def call():
    """Ann publishes, Ben has joined."""
    house = House(e2ee=True)
    ann, ben = await house.joined(), await house.joined()
    stream = await ann.publish()
    return house, Desk(house), ann, ben, stream


async def test_a_client_that_did_not_subscribe_is_found(call):
    _, desk, _, ben, stream = call
    found = await desk.ask(stream)
    (report,) = found.subscribers
    assert (report.connection, report.subscriber) == (ben.connection, None)
    assert {reason.code for got in report.received for reason in got.reasons} == {
        Code.NOT_SUBSCRIBED
    }
    assert found.measured_s == 1.0


async def test_frames_in_clear_reach_the_explanation_and_the_publisher(call):
    _, desk, ann, _, stream = call
    ann.media.report_not_encrypted(StreamId(stream), "0", 12)
    await settle()
    assert (await desk.ask(stream)).unencrypted_packets == 12
    assert ann.seen(m.NotEncrypted)


async def test_what_is_not_there_is_not_explained(call):
    _, desk, *_ = call
    with pytest.raises(NotFound):
        await desk.ask("nothing")
    with pytest.raises(NotFound):
        await Desk(House()).ask("nothing")


async def test_nobody_can_keep_the_media_core_busy_with_explanations(call):
    house, desk, _, _, stream = call

    async def no_time(_seconds: float) -> None:
        """Everybody asks at the same moment."""

    desk.live = LiveActors(house.directory, house.time, no_time)
    for _ in range(int(OWN_AT_ONCE)):
        await desk.ask(stream)
    with pytest.raises(Refused):
        await desk.ask(stream)
    of_others = replace(house.record, project_id="another")
    for _ in range(int(EXPLANATIONS_AT_ONCE - OWN_AT_ONCE)):
        await desk.live.explain(of_others, stream)
    with pytest.raises(Refused):
        await desk.live.explain(replace(house.record, project_id="a third"), stream)
    house.time.advance(1)
    await desk.ask(stream)
