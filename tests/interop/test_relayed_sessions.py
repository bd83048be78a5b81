"""Relayed sessions, Python to Python: audio and video arrive, the server carries none."""

import asyncio

import numpy as np
import opentok
import pytest
from sealroute_client import ServerError, read_counter

from config.settings import SignalingSettings
from tests.media_site import media_site
from tests.served import NEEDS_THE_MEDIA_CORE, psnr, subscribed, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_THE_MEDIA_CORE,
]


@pytest.fixture
async def site(tmp_path):
    async with media_site(tmp_path, signaling=SignalingSettings(grace_ms=500)) as running:
        yield running


async def first(frames, skip: int = 0):
    async with asyncio.timeout(15):
        async for frame in frames:
            if skip == 0:
                return frame
            skip -= 1
    raise AssertionError("the track ended")


async def test_audio_and_video_go_from_client_to_client_and_not_through_the_server(
    site,
) -> None:
    session = await site.session(relayed=True)
    sender = await site.join(session)
    viewers = [await site.join(session, opentok.Roles.subscriber) for _ in range(2)]
    publisher = await sender.publish(name="camera")
    for viewer in viewers:
        subscriber = await subscribed(viewer)
        image = await first(subscriber.video, skip=10)
        assert psnr(image, read_counter(image)) > 28
        audio_frame = await first(subscriber.audio, skip=50)
        assert np.abs(audio_frame.to_ndarray()).max() > 1_000
        assert subscriber.is_connected.is_set()
    listed = await asyncio.to_thread(site.application.list_streams, session)
    assert [(row.id, row.name) for row in listed] == [(publisher.stream_id, "camera")]
    assert not any(site.plane.counters().values())
    assert not site.plane.contexts[0].transports


async def test_a_muted_kind_and_an_unwanted_one_stop_at_their_sender(site) -> None:
    session = await site.session(relayed=True)
    sender, viewer, other = [await site.join(session) for _ in range(3)]
    publisher = await sender.publish()
    subscriber, second = await subscribed(viewer), await subscribed(other)
    await until(lambda: subscriber.tracks["video"].frames > 20)
    await viewer.signaling.request(
        "updateSubscriber", subscriberId=subscriber.subscriber_id, video=False
    )
    await until(lambda: any(track.is_held_back for track in publisher.tracks))
    held, going = subscriber.tracks["video"], second.tracks["video"]
    await asyncio.sleep(0.5)  # real time: what is under way arrives
    seen, before = held.frames, going.frames
    await until(lambda: going.frames > before + 20)
    assert held.frames <= seen + 1
    await asyncio.to_thread(site.application.mute_stream, session, publisher.stream_id)
    await until(lambda: publisher.is_muted("audio"))
    assert all(track.is_muted for track in publisher.tracks if track.kind == "audio")


async def test_a_lost_publisher_ends_its_stream_for_the_others(site) -> None:
    session = await site.session(relayed=True)
    sender, viewer = await site.join(session), await site.join(session)
    ended: list[str] = []
    viewer.on("streamDestroyed", lambda event: ended.append(str(event.detail["reason"])))
    await sender.publish()
    subscriber = await subscribed(viewer)
    await asyncio.wait_for(subscriber.is_connected.wait(), 10)
    # The process dies: no good-bye on any of its sockets.
    sender.signaling._task.cancel()
    sender.signaling._socket._response.connection.transport.abort()
    await until(lambda: ended)
    assert ended == ["networkDisconnected"]
    await until(subscriber.is_ended.is_set)


async def test_a_moderator_ends_a_stream_and_its_peers_close(site) -> None:
    session = await site.session(relayed=True)
    sender, viewer = await site.join(session), await site.join(session)
    moderator = await site.join(session, opentok.Roles.moderator)
    publisher = await sender.publish()
    subscriber = await subscribed(viewer)
    await until(lambda: subscriber.tracks["video"].frames > 5)
    await moderator.signaling.request("forceUnpublish", streamId=publisher.stream_id)
    await until(subscriber.is_ended.is_set)
    await until(lambda: not publisher.tracks)


async def test_who_leaves_is_no_longer_sent_to_and_can_come_back(site) -> None:
    session = await site.session(relayed=True)
    sender, viewer = await site.join(session), await site.join(session)
    publisher = await sender.publish()
    subscriber = await subscribed(viewer)
    await until(lambda: subscriber.tracks["video"].frames > 5)
    await viewer.unsubscribe(subscriber)
    await until(lambda: not publisher.tracks)
    again = await subscribed(viewer)
    await until(lambda: again.tracks["video"].frames > 5)


async def test_a_subscriber_token_publishes_nothing(site) -> None:
    session = await site.session(relayed=True)
    viewer = await site.join(session, opentok.Roles.subscriber)
    with pytest.raises(ServerError):
        await viewer.publish()


async def test_signals_and_archives_are_as_in_the_documents(site) -> None:
    session = await site.session(relayed=True)
    one, two = await site.join(session), await site.join(session)
    delivered: list[str] = []
    two.on("signal", lambda event: delivered.append(str(event.detail["data"])))
    await one.signal("hello")
    await until(lambda: delivered)
    with pytest.raises(opentok.exceptions.ArchiveError):
        await asyncio.to_thread(site.application.start_archive, session)


async def test_who_publishes_where_all_are_muted_sends_no_audio(site) -> None:
    """The mute arrives together with the answer that names the stream, and no server is in between
    that could hold the audio back."""
    session = await site.session(relayed=True)
    assert (await asyncio.to_thread(site.application.mute_all, session, [])).status_code == 200
    sender, viewer = [await site.join(session) for _ in range(2)]
    publisher = await sender.publish()
    await until(lambda: publisher.is_muted("audio"))
    subscriber = await subscribed(viewer)
    await first(subscriber.video, skip=10)
    assert subscriber.tracks["audio"].frames == 0
