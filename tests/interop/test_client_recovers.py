"""The Python client through `sealroute serve` when its transports are lost in the call."""

import asyncio

import av
import pytest

from tests.served import NEEDS_THE_MEDIA_CORE, subscribed, until

pytestmark = [
    pytest.mark.interop,
    NEEDS_THE_MEDIA_CORE,
]


def events_of(emitter) -> list[str]:
    names: list[str] = []
    emitter.on("*", lambda event: names.append(event.name))
    return names


async def test_a_lost_downlink_is_made_again_and_subscribers_go_on(server, sessions, tmp_path):
    sessions += [await server.join(), await server.join()]
    await sessions[0].publish()
    viewer = await subscribed(sessions[1])
    images = 0

    async def watch() -> None:
        nonlocal images
        async for _ in viewer.video:
            images += 1

    watching = asyncio.create_task(watch())
    await until(lambda: images > 10)
    path = viewer.record(tmp_path)
    await until(lambda: viewer.recording.counts.frames["video"] > 20)
    seen, stream, name = events_of(viewer), viewer.stream_id, viewer.subscriber_id
    # The client's end goes, as with its process: its good-bye is the last that is heard of it.
    await sessions[1].subscribing.downlink._peer.close()
    await until(lambda: "connected" in seen, 15)
    assert seen.index("disconnected") < seen.index("connected")
    assert viewer.stream_id == stream
    assert viewer.subscriber_id != name
    assert sessions[1].subscribers == {viewer.subscriber_id: viewer}
    before, recorded = images, viewer.recording.counts.frames["video"]
    await until(lambda: images > before + 20 and not watching.done(), 15)
    await until(lambda: viewer.recording.counts.frames["video"] > recorded + 20, 15)
    assert viewer.state.failed == 0
    await viewer.close()
    await asyncio.wait_for(watching, 5)
    with av.open(str(path)) as container:
        times = [
            float(packet.pts * packet.time_base)
            for packet in container.demux(video=0)
            if packet.pts is not None
        ]
    assert times == sorted(times)
    assert times[-1] < 30


async def test_a_lost_uplink_is_made_again_and_the_publisher_sends_again(server, sessions):
    sessions += [await server.join(), await server.join()]
    publisher = await sessions[0].publish()
    await publisher.publish_audio(False)
    before = publisher.stream_id
    viewer = await subscribed(sessions[1])
    await until(lambda: viewer.tracks["video"].frames > 20)
    gone = events_of(viewer)
    await sessions[0].publishing.uplink._peer.close()
    await until(lambda: publisher.stream_id != before, 15)
    assert sessions[0].publishers == {publisher.stream_id: publisher}
    await until(lambda: publisher.stream_id in sessions[1].streams, 15)
    assert "destroyed" in gone
    assert sessions[1].streams[publisher.stream_id].get("hasAudio", False) is False
    again = await subscribed(sessions[1])
    assert again.stream_id == publisher.stream_id
    await until(lambda: again.tracks["video"].frames > 20, 15)
    assert not publisher.is_ended.is_set()
    assert [track.is_muted for track in publisher.tracks if track.kind == "audio"] == [True]


async def test_what_cannot_be_taken_up_again_ends_with_its_reason(server, sessions):
    sessions += [await server.join(), await server.join()]
    publisher = await sessions[0].publish()
    viewer = await subscribed(sessions[1])
    await until(lambda: viewer.tracks["video"].frames > 10)
    ended = events_of(viewer)
    viewer.stream_id = "no-such-stream"
    await sessions[1].subscribing.downlink._peer.close()
    await until(lambda: "destroyed" in ended, 15)
    assert sessions[1].subscribers == {}
    assert publisher.stream_id in sessions[1].streams
