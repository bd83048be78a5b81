"""Descriptions of the other end of a relayed Session: the server passes them on, and can write them
itself. The rules of routed Sessions hold for them."""

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from sealroute_client import SealrouteError
from sealroute_client.relay import PeerLinks

from tests.unit.client.virtual import M_LINE

ANSWER = M_LINE["audio"] + "0" + M_LINE["video"] + "1"
THREE_LINES = ANSWER + M_LINE["video"] + "2"
OFFER, TWO_VIDEOS = (
    one.replace("a=recvonly", "a=sendonly").replace("a=setup:active", "a=setup:actpass")
    for one in (ANSWER, THREE_LINES)
)
WANTED = {"streamId": "own", "audio": True, "video": True}
HOSTILE_OFFERS = [
    "v=0",
    OFFER.replace("a=sendonly", "a=sendrecv"),
    OFFER.replace("a=sendonly", "a=recvonly"),
    OFFER.replace("a=mid:1", "a=mid:0"),
    OFFER.replace("a=fingerprint", "a=x"),
    OFFER.replace("sha-256 AB", "sha-256 CD", 1),
    TWO_VIDEOS,
    "v=0" + "\nm=audio 9 RTP/SAVPF 96" * 1_025,
]
HOSTILE_ANSWERS = [
    "v=0",
    ANSWER.replace("a=recvonly", "a=sendrecv"),
    ANSWER.replace("a=recvonly", "a=sendonly"),
    M_LINE["audio"] + "0",
    ANSWER.replace("VP8", "VP9"),
    ANSWER.replace("sha-256 AB", "sha-256 CD", 1),
    ANSWER.replace("a=recvonly", "a=inactive"),
    ANSWER.replace("a=recvonly", "a=inactive", 1),
    ANSWER.replace("m=audio 9", "m=audio 0"),
]


class Peer:
    """Keeps the descriptions that reach it."""

    def __init__(self) -> None:
        self.applied: list[str] = []
        self.is_closed = False
        self.signalingState = "stable"
        self.connectionState = "new"
        self.localDescription = SimpleNamespace(type="offer", sdp=OFFER)

    def on(self, _event: str) -> Any:
        return lambda handler: handler

    async def createOffer(self) -> str:  # noqa: N802 - WebRTC's name
        return "offer"

    async def createAnswer(self) -> str:  # noqa: N802
        return "answer"

    async def setLocalDescription(self, description: str) -> None:  # noqa: N802
        self.signalingState = "have-local-offer" if description == "offer" else "stable"
        is_offer = description == "offer"
        self.localDescription.type = description
        self.localDescription.sdp = OFFER if is_offer else ANSWER

    async def setRemoteDescription(self, description: Any) -> None:  # noqa: N802
        self.applied.append(description.sdp)
        if description.type == "answer":
            self.signalingState = "stable"

    def getTransceivers(self) -> list[Any]:  # noqa: N802
        return []

    async def close(self) -> None:
        self.is_closed = True


class Stage:
    """A relayed Session with one publisher, and one Subscriber to somebody else's stream."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.errors: list[SealrouteError] = []
        self.sent: list[str] = []
        self.lost: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        source = SimpleNamespace(audio=None, video=None)
        subscriber = SimpleNamespace(subscriber_id="down", stream_id="s")
        session = SimpleNamespace(
            trust=SimpleNamespace(is_relayed=True),
            encryption=None,
            publishers={"own": SimpleNamespace(source=source, tracks=[])},
            subscribers={"down": subscriber},
            subscribing=SimpleNamespace(lose_one=self._lose, when_known=self._when_known),
            signaling=SimpleNamespace(request=self._request),
            spawn=self._spawn,
            complain=self.errors.append,
        )
        self.links = PeerLinks(session, SimpleNamespace(open=self._open))

    def _open(self) -> Peer:
        self.peers.append(Peer())
        return self.peers[-1]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.ensure_future(work))

    async def _request(self, kind: str, **members: Any) -> None:
        self.sent.append(f"{kind} {members.get('type', '')}".strip())

    async def _lose(self, subscriber: Any) -> None:
        self.lost.append(subscriber.subscriber_id)

    def _when_known(self, subscriber_id: str, act: Callable[[Any], None]) -> None:
        if subscriber_id in self.links._session.subscribers:
            act(self.links._session.subscribers[subscriber_id])

    async def settle(self) -> None:
        while self._tasks:
            results = await asyncio.gather(*self._tasks, return_exceptions=True)
            self._tasks = [task for task in self._tasks if not task.done()]
            self.errors += [one for one in results if isinstance(one, SealrouteError)]

    async def receive(self, subscriber_id: str, kind: str, sdp: str) -> None:
        message = {"subscriberId": subscriber_id, "type": kind, "sdp": sdp}
        self.links.on_description(message)
        await self.settle()

    async def publishing(self) -> Peer:
        self.links.on_wanted(
            {"subscriberId": "up", "streamId": "own", "audio": True, "video": True}
        )
        await self.settle()
        return self.peers[0]


async def test_an_offer_within_the_rules_is_answered() -> None:
    stage = Stage()
    await stage.receive("down", "offer", OFFER)
    assert stage.peers[0].applied == [OFFER]
    assert stage.sent == ["peerDescription answer"]


@pytest.mark.parametrize("offer", HOSTILE_OFFERS)
async def test_any_other_offer_is_refused_before_it_is_applied_and_ends_the_peer(offer) -> None:
    stage = Stage()
    await stage.receive("down", "offer", offer)
    (peer,) = stage.peers
    assert peer.applied == []
    assert peer.is_closed
    assert stage.lost == ["down"]
    assert [error.code for error in stage.errors] == ["unexpected_server_response"]


async def test_a_later_offer_is_from_the_same_end() -> None:
    stage = Stage()
    await stage.receive("down", "offer", OFFER)
    await stage.receive("down", "offer", OFFER.replace("sha-256 AB", "sha-256 CD"))
    assert stage.peers[0].applied == [OFFER]
    assert stage.lost == ["down"]


async def test_an_offer_for_nobody_here_opens_no_peer_connection() -> None:
    stage = Stage()
    await stage.receive("invented", "offer", OFFER)
    stage.links.on_candidate({"subscriberId": "invented", "candidate": "candidate:1", "mid": "0"})
    assert stage.peers == []
    assert (stage.sent, stage.errors) == ([], [])


async def test_what_the_other_end_does_not_make_ends_no_peer() -> None:
    stage = Stage()
    peer = await stage.publishing()
    await stage.receive("up", "offer", OFFER)
    assert not peer.is_closed
    await stage.receive("up", "answer", ANSWER)
    assert peer.applied == [ANSWER]
    await stage.receive("down", "answer", ANSWER)
    assert len(stage.peers) == 1


async def test_an_answer_within_the_rules_is_applied() -> None:
    stage = Stage()
    peer = await stage.publishing()
    await stage.receive("up", "answer", ANSWER)
    assert peer.applied == [ANSWER]
    assert stage.errors == []


@pytest.mark.parametrize("answer", HOSTILE_ANSWERS)
async def test_any_other_answer_is_refused_before_it_is_applied_and_ends_the_peer(answer) -> None:
    stage = Stage()
    peer = await stage.publishing()
    await stage.receive("up", "answer", answer)
    assert peer.applied == []
    assert peer.is_closed
    assert [error.code for error in stage.errors] == ["unexpected_server_response"]


async def test_a_server_cannot_open_peer_connections_without_end() -> None:
    stage = Stage()
    refused = 0
    for number in range(500):
        try:
            stage.links.on_wanted({"subscriberId": f"invented {number}", **WANTED})
        except SealrouteError:
            refused += 1
    assert len(stage.peers) == 128
    assert refused == 372


async def test_a_subscription_that_arrives_with_the_name_of_its_stream_is_served() -> None:
    stage = Stage()
    wanted = {"streamId": "new", "audio": True, "video": True}
    for subscriber_id in ("quick", "gone"):
        stage.links.on_wanted({"subscriberId": subscriber_id, **wanted})
    stage.links.on_gone({"subscriberId": "gone"})
    publisher = SimpleNamespace(
        stream_id="new", source=SimpleNamespace(audio=None, video=None), tracks=[]
    )
    stage.links._session.publishers["new"] = publisher
    stage.links.on_published(publisher)
    await stage.settle()
    assert stage.sent == ["peerDescription offer"]
    assert len(stage.peers) == 1


async def test_a_stream_is_published_also_where_the_server_invents_peers() -> None:
    stage = Stage()
    for number in range(128):
        stage.links.on_wanted({"subscriberId": f"p{number}", **WANTED})
    stage.links.on_wanted({"subscriberId": "one", "streamId": "new", "audio": True, "video": True})
    publisher = SimpleNamespace(
        stream_id="new", source=SimpleNamespace(audio=None, video=None), tracks=[]
    )
    stage.links._session.publishers["new"] = publisher
    stage.links.on_published(publisher)
    assert [error.code for error in stage.errors] == ["unexpected_server_response"]
    assert len(stage.peers) == 128
