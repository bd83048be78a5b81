"""M-lines of a downlink that carry one stream after another: each Subscriber gets what it asked
for, whatever became of those that had the m-line before."""

import asyncio

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from sealroute_client import Session, Subscriber
from sealroute_client.downlink import Downlink
from sealroute_client.peers import PeerConnections

from tests.served import NEEDS_THE_MEDIA_CORE, until
from tests.what_was_reported import frames_of

pytestmark = [pytest.mark.interop, NEEDS_THE_MEDIA_CORE]

PLAYS_S = 10.0
NEW_FRAMES = 5


@pytest.fixture
async def call(server):
    """A publisher and a viewer."""
    sender, viewer = await server.join(), await server.join()
    yield sender, viewer
    await asyncio.gather(sender.disconnect(), viewer.disconnect())


async def watched(viewer: Session, stream_id: str) -> Subscriber:
    await until(lambda: stream_id in viewer.streams)
    return await viewer.subscribe(stream_id)


async def plays(subscriber: Subscriber) -> None:
    """Frames of both kinds come that were not there before."""
    before = frames_of(subscriber)
    for kind in ("audio", "video"):
        await until(
            lambda kind=kind: (
                frames_of(subscriber).get(kind, 0) >= before.get(kind, 0) + NEW_FRAMES
            ),
            PLAYS_S,
        )


async def shows_an_image(subscriber: Subscriber) -> None:
    async with asyncio.timeout(PLAYS_S):
        assert (await anext(aiter(subscriber.video))).width > 0


async def test_who_leaves_a_stream_that_has_ended_takes_its_m_lines_from_nobody(call) -> None:
    sender, viewer = call
    first = await sender.publish()
    ended = await watched(viewer, first.stream_id)
    await plays(ended)
    await sender.unpublish(first)
    await asyncio.wait_for(ended.is_ended.wait(), PLAYS_S)
    second = await sender.publish()
    watching = await watched(viewer, second.stream_id)
    await plays(watching)
    await viewer.unsubscribe(ended)
    await plays(watching)


async def test_who_leaves_a_stream_twice_takes_its_m_lines_from_nobody(call) -> None:
    sender, viewer = call
    publisher = await sender.publish()
    left = await watched(viewer, publisher.stream_id)
    await plays(left)
    await viewer.unsubscribe(left)
    watching = await watched(viewer, publisher.stream_id)
    await plays(watching)
    await viewer.unsubscribe(left)
    await plays(watching)


async def test_an_m_line_that_was_first_offered_without_a_stream_has_its_images() -> None:
    """Who subscribes and leaves before an offer is made has m-lines in it that are inactive."""
    server, peers = RTCPeerConnection(), PeerConnections(RTCConfiguration([]))
    downlink = Downlink(peers)
    transceiver = server.addTransceiver("video", direction="inactive")
    try:
        for direction in ("inactive", "sendonly"):
            transceiver.direction = direction
            await server.setLocalDescription(await server.createOffer())
            answer, lines = await downlink.answer(server.localDescription.sdp)
            await server.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        assert lines["0"].media is not None
    finally:
        await asyncio.gather(server.close(), peers.close())


async def test_who_asks_again_while_an_offer_is_due_sees_images(call) -> None:
    sender, viewer = call
    publisher = await sender.publish()
    first = await watched(viewer, publisher.stream_id)
    await plays(first)

    async def in_passing() -> None:
        await viewer.unsubscribe(await viewer.subscribe(publisher.stream_id))

    await asyncio.gather(*(in_passing() for _ in range(4)))
    others = [await viewer.subscribe(publisher.stream_id) for _ in range(4)]
    for subscriber in (first, *others):
        await plays(subscriber)
        await shows_an_image(subscriber)


async def test_one_stream_plays_as_often_as_it_was_asked_for_at_once(call) -> None:
    sender, viewer = call
    publisher = await sender.publish()
    await until(lambda: publisher.stream_id in viewer.streams)
    all_of_it = await asyncio.gather(*(viewer.subscribe(publisher.stream_id) for _ in range(3)))
    for subscriber in all_of_it:
        await plays(subscriber)
        await shows_an_image(subscriber)
