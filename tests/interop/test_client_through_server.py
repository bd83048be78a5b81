"""The client through `sealroute serve`: what one publishes, three record; secrets that differ."""

import asyncio

import av
import numpy as np
import pytest
from sealroute_client import ServerError, read_counter

from tests.served import NEEDS_THE_MEDIA_CORE, SECRET, psnr, subscribed, until

pytestmark = [
    pytest.mark.interop,
    NEEDS_THE_MEDIA_CORE,
]


async def diagnosed(server) -> list[dict]:
    """What `sealroute doctor session` says of the clients that receive."""
    explained = await asyncio.to_thread(server.explained)
    return [one for stream in explained for one in stream["subscribers"]]


@pytest.mark.parametrize("codec", ["vp8", pytest.param("h264", marks=pytest.mark.long)])
async def test_three_recordings_hold_what_was_published(server, sessions, tmp_path, codec) -> None:
    sessions += [await server.join() for _ in range(4)]
    await sessions[0].publish(video_codec=codec)
    viewers = [await subscribed(session) for session in sessions[1:]]
    paths = []
    for index, viewer in enumerate(viewers):
        folder = tmp_path / str(index)
        folder.mkdir()
        paths.append(viewer.record(folder))
    await until(lambda: all(v.tracks["video"].frames > 150 for v in viewers), 15)
    for viewer in viewers:
        await viewer.close()
    for path in paths:
        with av.open(str(path)) as container:
            images = list(container.decode(video=0))
        assert len(images) > 60
        assert min(psnr(p, read_counter(p)) for p in images[5:]) > 28
        with av.open(str(path)) as container:
            audio_frame = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        tone = audio_frame[48_000:96_000]
        spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone))))
        assert abs(np.argmax(spectrum) * 48_000 / len(tone) - 440) < 5


async def test_lower_preferences_are_taken_and_empty_ones_are_refused(server, sessions) -> None:
    sessions += [await server.join() for _ in range(2)]
    await sessions[0].publish()
    viewer = await subscribed(sessions[1])
    await viewer.set_preferred_resolution((320, 180))
    await viewer.set_preferred_frame_rate(7.5)
    await viewer.set_preferred_resolution(None)
    seen = viewer.tracks["video"].frames
    await until(lambda: viewer.tracks["video"].frames > seen + 20, 15)
    with pytest.raises(ServerError):
        await viewer.set_preferred_frame_rate(-1)


async def test_a_wrong_secret_shows_nothing_until_the_right_one_is_set(server, sessions) -> None:
    sessions += [await server.join(), await server.join("some other secret")]
    events: list[str] = []
    sessions[1].on("*", lambda event: events.append(event.name))
    await sessions[0].publish()
    viewer = await subscribed(sessions[1])
    await until(lambda: "encryptionSecretMismatch" in events)
    assert viewer.state.decrypted == 0
    (report,) = await diagnosed(server)
    codes = [reason["code"] for one in report["received"] for reason in one["reasons"]]
    assert "secret_mismatch" in codes
    assert report["decryption"]["failed"] > 0
    await sessions[1].set_encryption_secret(SECRET)
    await until(lambda: "encryptionSecretMatch" in events)
    seen = viewer.tracks["video"].frames
    await until(lambda: viewer.tracks["video"].frames > seen + 20)
    (report,) = await diagnosed(server)
    assert [one["flowing"] for one in report["received"]] == [True, True]
    assert {one["reasons"][0]["code"] for one in report["received"]} == {"best_available"}
    assert all(one["bitrate"] > 5_000 for one in report["received"])


async def test_a_secret_changes_in_the_call_without_a_failure(server, sessions) -> None:
    sessions += [await server.join(), await server.join()]
    publisher = await sessions[0].publish()
    viewer = await subscribed(sessions[1])
    await until(lambda: viewer.state.decrypted > 50)
    before = [track.encryptor.kid for track in publisher.tracks]
    failed = viewer.state.failed
    for session in reversed(sessions):
        await session.set_encryption_secret("another secret for all")
    await until(
        lambda: not set(before) & {t.encryptor.kid for t in publisher.tracks},
    )
    decrypted = viewer.state.decrypted
    await until(lambda: viewer.state.decrypted > decrypted + 60)
    assert viewer.state.failed == failed


async def test_a_video_that_nobody_watches_is_not_sent_and_the_next_viewer_sees_it(
    server, sessions
) -> None:
    sessions += [await server.join(), await server.join()]
    publisher = await sessions[0].publish()
    (video,) = (track for track in publisher.tracks if track.kind == "video")
    viewer = await subscribed(sessions[1])
    await until(lambda: viewer.tracks["video"].frames > 20)
    await sessions[1].unsubscribe(viewer)
    await until(lambda: video.is_held_back, 15)
    frames = video.counts.frames
    await asyncio.sleep(0.5)  # real time: what must not be sent needs a while to be missed
    assert video.counts.frames <= frames + 1
    viewer = await subscribed(sessions[1])
    await until(lambda: viewer.tracks["video"].frames > 20)
    assert not video.is_held_back


async def test_frames_in_clear_are_dropped_by_the_server_and_reported(server, sessions) -> None:
    sessions += [await server.join(), await server.join()]
    reported: list[str] = []
    sessions[0].on("notEncrypted", lambda event: reported.append(str(event.detail["streamId"])))
    publisher = await sessions[0].publish()
    for track in publisher.tracks:
        track.is_encrypted = False
    viewer = await subscribed(sessions[1])
    await until(lambda: reported)
    decrypted = viewer.state.decrypted
    await asyncio.sleep(1)  # real time: what must not arrive needs a while to be missed
    assert viewer.state.decrypted == decrypted
    assert set(reported) == {publisher.stream_id}
    (report,) = await diagnosed(server)
    assert {one["reasons"][0]["code"] for one in report["received"]} == {"not_encrypted"}


async def test_who_leaves_while_the_connection_ends_waits_for_one_end(server, sessions) -> None:
    sessions += [await server.join() for _ in range(2)]
    for session in sessions:
        await session.publish()
    reasons: list[object] = []
    for session in sessions:
        await subscribed(session)
        session.on("disconnected", lambda event: reasons.append(event.detail["reason"]))
    # As when the server ended it: one does not leave it at that, and one is cancelled meanwhile.
    sessions[0].signaling.on_closed("forceDisconnected")
    hasty = asyncio.create_task(sessions[0].disconnect())
    await asyncio.sleep(0)
    hasty.cancel()
    await asyncio.gather(*(session.disconnect() for session in [*sessions, *sessions]))
    assert sorted(map(str, reasons)) == ["clientDisconnected", "forceDisconnected"]
