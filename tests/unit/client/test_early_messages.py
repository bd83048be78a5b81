"""An answer and messages about its object may arrive in one read: none of them is missed."""

import asyncio
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from sealroute_client import Publisher, Session, events, recovery, session, subscribing
from sealroute_client.early import MAX_EARLY, Early
from sealroute_client.errors import (
    SealrouteError,
    TransportLostTooOften,
    UnexpectedServerResponse,
)
from sealroute_client.losses import LossBackoff

from tests.unit.client import virtual


class OneRead(virtual.FakeServer):
    """Messages follow an answer so closely that who asked has not gone on yet."""

    def __init__(self) -> None:
        super().__init__()
        self.latency_s = 0.0
        self.behind: dict[str, Callable[[dict[str, Any]], list[dict[str, Any]]]] = {}

    async def request(self, kind: str, **members: Any) -> dict[str, Any]:
        answer = await super().request(kind, **members)
        behind = self.behind.pop(kind, None)
        for message in [] if behind is None else behind(answer):
            self.session._messages.handle(message)
        return answer


class Stage:
    def __init__(self) -> None:
        self.one = Session("http://server", "key", "session", "token", "correct horse battery")
        self.server = OneRead()
        self.server.session = self.one
        self.one.signaling = self.server  # type: ignore[assignment]
        self.peers = virtual.FakePeers()
        self.emitted: list[str] = []
        self.one.on("*", lambda event: self.emitted.append(event.name))

    async def publish(self, *behind: dict[str, Any]) -> Publisher:
        own = {"connectionId": virtual.ME}
        self.server.behind["publish"] = lambda answer: [
            {"streamId": answer["streamId"], **message}
            | ({"stream": {"streamId": answer["streamId"], **own}} if message.get("own") else {})
            for message in behind
        ]
        return await self.one.publish()

    async def subscribe(self, *behind: dict[str, Any]):
        self.server.behind["subscribe"] = lambda answer: [
            {"subscriberId": answer["subscriberId"], **message} for message in behind
        ]
        return await self.one.subscribe("stream-1")


@pytest.fixture
async def stage():
    made = Stage()
    with (
        mock.patch.object(session.secrets, "derive", virtual.derive),
        mock.patch.object(subscribing, "Downlink", virtual.FakeDownlink),
        mock.patch.object(session, "PeerConnections", return_value=made.peers),
    ):
        await made.one.connect()
        yield made
        await made.one.disconnect()


async def test_a_subscriber_that_is_connected_at_once_is_known_to_be(stage) -> None:
    subscriber = await stage.subscribe({"t": "subscriberConnected"})
    assert subscriber.is_connected.is_set()


async def test_a_link_that_carries_no_video_is_known_from_the_beginning(stage) -> None:
    subscriber = await stage.subscribe({"t": "streamStateChanged", "state": "paused"})
    assert subscriber.stream_state == "paused"


async def test_early_messages_take_effect_in_their_order(stage) -> None:
    states = [{"t": "streamStateChanged", "state": state} for state in ("paused", "limited", "ok")]
    assert (await stage.subscribe(*states)).stream_state == "ok"


async def test_a_stream_that_ends_at_once_leaves_no_subscriber(stage) -> None:
    gone = {"t": "streamDestroyed", "streamId": "stream-1", "reason": "clientDisconnected"}
    subscriber = await stage.subscribe(gone)
    assert subscriber.subscriber_id not in stage.one.subscribers


async def test_video_that_nobody_watches_yet_is_not_encoded(stage) -> None:
    layers = {"t": "subscribedLayersChanged", "subscribed": []}
    publisher = await stage.publish(*({**layers, "mid": mid} for mid in "01"))
    assert [t.is_held_back for t in publisher.tracks if t.kind == "video"] == [True]


async def test_a_mute_by_a_moderator_counts_for_the_stream_that_is_just_named(stage) -> None:
    publisher = await stage.publish({"t": "muteForced", "active": True})
    assert publisher.is_muted("audio")
    assert stage.emitted.count("muteForced") == 1


async def test_a_mute_of_all_mutes_only_those_that_the_server_names(stage) -> None:
    """A moderator excludes streams, and who publishes after the end of it is not muted."""
    first = await stage.publish()
    stage.one._messages.handle({"t": "muteForced", "active": True})
    over = {"t": "muteForced", "streamId": None}
    second = await stage.publish({**over, "active": True}, {**over, "active": False})
    assert not first.is_muted("audio")
    assert not second.is_muted("audio")
    assert stage.emitted.count("muteForced") == 3


@pytest.mark.parametrize("losses", [1, 3])
async def test_an_uplink_that_is_lost_with_the_answer_is_made_again_for_its_stream(
    stage, losses
) -> None:
    lost = {"t": "transportLost", "direction": "uplink"}
    publishing = asyncio.ensure_future(stage.publish(*[lost] * losses))
    publisher = await asyncio.wait_for(publishing, 5)
    assert stage.one.publishers == {publisher.stream_id: publisher}
    assert publisher.stream_id == "own-2"
    assert stage.one.publishing.uplink._peer in stage.peers.open_peers
    await asyncio.sleep(0.05)
    assert stage.server.published == {"own-2"}, "the server keeps a stream that nobody sends"
    assert not publisher.is_muted("audio")


async def test_a_downlink_that_is_lost_with_the_answer_is_made_again_for_its_stream(stage) -> None:
    def lose(_answer: dict[str, Any]) -> list[dict[str, Any]]:
        stage.server.subscribed.clear()
        return [{"t": "transportLost", "direction": "downlink"}]

    stage.server.behind["subscribe"] = lose
    subscriber = await asyncio.wait_for(stage.one.subscribe("stream-1"), 5)
    assert list(stage.one.subscribers.values()) == [subscriber]
    await asyncio.sleep(0.05)
    assert stage.server.subscribed == {subscriber.subscriber_id: "stream-1"}


class NoMore(LossBackoff):
    """Lost too often already."""

    def on_loss(self, now_s: float) -> None:
        del now_s


@pytest.mark.parametrize("direction", ["uplink", "downlink"])
async def test_a_transport_that_is_lost_with_each_answer_is_given_up(stage, direction) -> None:
    lost = {"t": "transportLost", "direction": direction}
    with mock.patch.object(recovery, "LossBackoff", NoMore):
        stage.one.recovery = recovery.Recovery(stage.one)
    asked = stage.publish(lost) if direction == "uplink" else stage.subscribe(lost)
    with pytest.raises(TransportLostTooOften):
        await asked
    assert stage.one.publishers == stage.one.subscribers == {}


async def test_a_stream_that_ended_at_once_is_not_taken_for_alive(stage) -> None:
    publisher = await stage.publish({"t": "streamDestroyed", "reason": "forceUnpublished"})
    assert stage.one.publishers == {}
    assert stage.emitted.count("streamDestroyed") == 1
    assert publisher.is_muted("audio")
    assert publisher.is_muted("video")


async def test_what_the_server_says_of_an_own_stream_reaches_its_publisher(stage) -> None:
    emitted: list[str] = []
    with mock.patch.object(Publisher, "emit", lambda _self, event: emitted.append(event.name)):
        await stage.publish(
            {"t": "streamCreated", "own": True}, {"t": "notEncrypted", "mid": "0", "packets": 3}
        )
    assert emitted == ["streamCreated", "notEncrypted"]


@pytest.mark.parametrize("known", [True, False], ids=["named", "about to be named"])
async def test_the_stream_of_another_client_with_the_id_of_an_own_one_is_no_stream(
    stage, known
) -> None:
    twice: list[SealrouteError] = []
    stage.one.on(events.ErrorOccurred, lambda event: twice.append(event.error))
    if known:
        publisher = await stage.publish()
        stream = {"streamId": publisher.stream_id, "connectionId": virtual.PEER}
        stage.one._messages.handle({"t": "streamCreated", "stream": stream})
    else:
        stage.server.behind["publish"] = lambda answer: [
            {
                "t": "streamCreated",
                "stream": {"streamId": answer["streamId"], "connectionId": virtual.PEER},
            }
        ]
        with pytest.raises(UnexpectedServerResponse, match="two streams one id"):
            await stage.one.publish()
        return
    assert [str(error) for error in twice] == ["The server gave two streams one id"]
    assert publisher.stream_id not in stage.one.streams


def test_nothing_is_kept_where_no_answer_is_due_and_little_where_one_is() -> None:
    early, seen = Early[str](lambda _error: None), list[str]()
    early.keep("one", seen.append)
    with early.awaiting():
        early.take("one", "kept without an answer due")
        for number in range(10_000):
            early.keep("one" if number % 2 else "two", seen.append)
        early.take("one", "a")
    assert seen == ["a"] * (MAX_EARLY // 2)
    with early.awaiting():
        early.take("one", "kept from the answer before")
    assert len(seen) == MAX_EARLY // 2


def test_a_message_that_makes_no_sense_is_reported_and_the_next_one_counts() -> None:
    complaints: list[SealrouteError] = []
    early, seen = Early[str](complaints.append), list[str]()

    def refuse(_known: str) -> None:
        raise UnexpectedServerResponse("nonsense")

    with early.awaiting():
        early.keep("one", refuse)
        early.keep("one", seen.append)
        early.take("one", "a")
    assert seen == ["a"]
    assert [error.code for error in complaints] == ["unexpected_server_response"]
