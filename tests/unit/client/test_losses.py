"""A server that says again and again that a transport is lost does not draw key ids without end."""

import asyncio
from unittest import mock

import pytest
from sealroute_client import Session, session, subscribing
from sealroute_client.cli import parser
from sealroute_client.cli_run import Run
from sealroute_client.events import ErrorOccurred, StreamDestroyed, SubscriberDestroyed
from sealroute_client.losses import LossBackoff

from tests.unit.client import virtual

SECRET = "correct horse battery"
COMMAND = ["publish", "--url", "http://server", "--api-key", "key", "--session", "session"]


def test_the_first_loss_is_made_good_at_once_and_the_eleventh_no_more() -> None:
    backoff = LossBackoff()
    delays, now_s = [], 0.0
    while (delay_s := backoff.on_loss(now_s)) is not None:
        delays.append(delay_s)
        now_s += delay_s
    assert delays == [0, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_quiet_minute_after_the_take_up_forgets_the_losses() -> None:
    backoff = LossBackoff()
    assert [backoff.on_loss(0.0) for _ in range(3)] == [0, 0.5, 1]
    assert backoff.on_loss(61.4) == 2
    assert backoff.on_loss(61.4 + 2 + 60) == 0


@pytest.fixture
def loop():
    made = virtual.VirtualLoop()
    yield made
    made.close()


@pytest.mark.parametrize("direction", ["uplink", "downlink"])
def test_losses_in_a_loop_end_what_went_over_the_transport_with_an_error(loop, direction) -> None:
    async def work() -> None:
        server = virtual.FakeServer()
        one = Session("http://server", "key", "session", "token", SECRET)
        one.signaling = server
        server.session = one
        reported: list[str] = []
        one.on(ErrorOccurred, lambda event: reported.append(event.error.code))
        await one.connect()
        publisher = await one.publish()
        subscriber = await one.subscribe("stream-1")
        ended: list[str] = []
        publisher.on(StreamDestroyed, lambda event: ended.append(event.reason))
        subscriber.on(SubscriberDestroyed, lambda _event: ended.append("transport_lost"))
        asked = []
        request = server.request

        async def counted(kind: str, **members: object):
            asked.append(kind)
            return await request(kind, **members)

        server.request = counted
        for _ in range(1_000):
            server.lose(direction)
            await asyncio.sleep(0.2)
        assert ended == ["transport_lost"]
        assert asked.count("publish" if direction == "uplink" else "subscribe") == 10
        assert reported == ["transport_lost"]
        await one.disconnect()

    in_virtual_time(loop, work)


def test_a_link_that_is_made_and_lost_while_another_waits_is_not_used_again(loop) -> None:
    async def work() -> None:
        server = virtual.FakeServer()
        one = Session("http://server", "key", "session", "token", SECRET)
        one.signaling = server
        server.session = one
        await one.connect()
        await one.publish()
        for _ in range(4):
            server.lose("uplink")
            await asyncio.sleep(0.2)
        await asyncio.sleep(0.5)
        server.lose("uplink")
        await asyncio.sleep(0.5)
        await one.publish()
        dead = one.publishing.uplink
        assert dead is not None
        server.lose("uplink")
        await asyncio.sleep(60)
        assert one.publishing.uplink is not dead
        assert set(one.publishers) == server.published
        assert len(one.publishers) == 2
        await one.disconnect()

    in_virtual_time(loop, work)


class Lines:
    """An output of the command line that keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, object]] = []

    def line(self, event: str, **members: object) -> None:
        self.lines.append((event, members.get("streamId")))


def test_the_command_line_prints_each_stream_of_its_publisher_once(loop) -> None:
    async def work() -> None:
        server, output = virtual.FakeServer(), Lines()
        one = Session("http://server", "key", "session", "token", SECRET)
        one.signaling = server
        server.session = one
        await one.connect()
        run = Run(parser().parse_args(COMMAND), one, output)
        await run._publish()
        printed = []
        for _ in range(3):
            (stream_id,) = one.publishers
            printed.append(("published", stream_id))
            stream = {"streamId": stream_id, "connectionId": virtual.ME, "creationTime": 1}
            one._messages.handle({"t": "streamCreated", "stream": stream})
            assert output.lines == printed
            server.lose("uplink")
            await asyncio.sleep(5)
        assert len(set(printed)) == 3
        await one.disconnect()

    in_virtual_time(loop, work)


def in_virtual_time(loop, work) -> None:
    patches = (
        mock.patch.object(session.secrets, "derive", virtual.derive),
        mock.patch.object(subscribing, "Downlink", virtual.FakeDownlink),
        mock.patch.object(session, "PeerConnections", return_value=virtual.FakePeers()),
    )
    with patches[0], patches[1], patches[2]:
        loop.run_until_complete(work())
