"""Two ends of the client joined directly: real encoders, DTLS and RTP over loopback."""

import asyncio
import contextlib

import av
import numpy as np
import pytest
from aiortc import RTCConfiguration
from sealroute_client.downlink import Downlink
from sealroute_client.e2ee.decryption import Decryptor
from sealroute_client.e2ee.identity import StreamHistory, Windows
from sealroute_client.e2ee.keys import PendingContext, SecretRing
from sealroute_client.e2ee.secret import SessionSecret, session_key
from sealroute_client.media import loopback
from sealroute_client.media.sources import draw_pattern, open_test_pattern, read_counter
from sealroute_client.peers import PeerConnections
from sealroute_client.publisher import Publisher
from sealroute_client.subscriber import Subscriber
from sealroute_client.uplink import Uplink

pytestmark = pytest.mark.interop

STREAM = "4f2a3f1c-0000-4000-8000-000000000001"
PEER = "peer"


def secret(text: str = "correct horse battery") -> SessionSecret:
    return SessionSecret(session_key(text, "session", iterations=1))


def openers_of(ring: SecretRing | None) -> dict[str, Decryptor] | None:
    if ring is None:
        return None
    history = StreamHistory("audio", "video")
    return {
        kind: Decryptor(ring, Windows(history, kind), lambda held: held.stream_base(PEER, STREAM))
        for kind in ("audio", "video")
    }


class Call:
    """A publisher and a subscriber, with a place for the reports to the server."""

    def __init__(self) -> None:
        self.reports: list[str] = []
        self.events: list[str] = []
        self.rtp: list[bytes] = []

    async def start(self, codec, sending, receiving, *, keyed=True) -> None:
        loopback.install()
        loopback.loopback_wanted.set(True)
        is_encrypted = sending is not None
        ring = SecretRing() if receiving else None
        if ring is not None:
            ring.add(receiving, 0.0)
        self.ring = ring
        self.uplink = Uplink(
            PeerConnections(RTCConfiguration(iceServers=[])), is_encrypted=is_encrypted
        )
        self.downlink = Downlink(PeerConnections(RTCConfiguration(iceServers=[])))
        self.subscriber = Subscriber(
            {"streamId": STREAM},
            openers_of(ring),
            lambda _subscriber, state: self.reports.append(state),
            self._ask,
        )
        self.subscriber.on("*", lambda event: self.events.append(event.name))
        self.source = open_test_pattern(size=(320, 240))
        self.publisher = Publisher(None, self.source, [])

        async def negotiate(offer, tracks):
            self.publisher.tracks = tracks
            for track in tracks:
                self.capture(track)
                if is_encrypted:
                    track.pending = PendingContext(sending, self.publisher.key_ids)
            described = [
                {"mid": t.mid, "kind": t.kind, "codec": "opus" if t.kind == "audio" else codec}
                for t in tracks
            ]
            answer, lines = await self.downlink.answer(offer)
            for row in described:
                line = lines[row["mid"]]
                assert line.codec == row["codec"]
                self.subscriber.bind(line.kind, line.codec, line.tap, line.media)
            if keyed:
                self.publisher.start(STREAM)
                for track in tracks:
                    track.switch(PEER, STREAM)
            return answer

        await self.uplink.publish(self.source, codec, negotiate)

    async def _ask(self, kind: str, **members: object) -> None:
        """There is no server here."""

    def capture(self, track) -> None:
        """Keeps every payload that is given to RTP."""
        sender = track.transceiver.sender
        encode = sender._next_encoded_frame

        async def captured(codec):
            frame = await encode(codec)
            if frame is not None:
                self.rtp.extend(frame.payloads)
            return frame

        sender._next_encoded_frame = captured

    async def frames(self, kind: str, count: int) -> list:
        frames = []
        stream = self.subscriber.video if kind == "video" else self.subscriber.audio
        async with asyncio.timeout(12), contextlib.aclosing(stream):
            async for frame in stream:
                frames.append(frame)
                if len(frames) == count:
                    break
        return frames

    async def until(self, condition, seconds: float = 8.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        await self.publisher.stop()
        await self.subscriber.close()
        await self.uplink.close()
        await self.downlink.close()


@pytest.fixture
async def call():
    started = Call()
    yield started
    await started.close()


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_encrypted_audio_and_video_arrive_as_they_were_sent(call, codec) -> None:
    await call.start(codec, secret(), secret())
    images, audio_frames = await asyncio.gather(call.frames("video", 30), call.frames("audio", 50))
    numbers = [read_counter(image) for image in images]
    assert numbers == sorted(set(numbers))
    quality = [
        psnr(p.to_ndarray(format="yuv420p"), draw_pattern(n, 320, 240).to_ndarray())
        for p, n in zip(images, numbers, strict=True)
    ]
    assert min(quality) > 28
    tone = np.concatenate(
        [audio_frame.to_ndarray()[0, ::2] for audio_frame in audio_frames[20:]]
    ).astype(float)
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone))))
    assert abs(np.argmax(spectrum) * 48_000 / len(tone) - 440) < 5
    assert call.events == ["encryptionStateChanged"]


async def test_media_of_a_clear_session_arrives_too(call) -> None:
    await call.start("vp8", None, None)
    assert len(await call.frames("video", 10)) == 10


async def test_nothing_reaches_rtp_before_the_key_is_known(call) -> None:
    await call.start("vp8", secret(), secret(), keyed=False)
    await call.until(lambda: all(t.counts.dropped > 20 for t in call.publisher.tracks))
    assert call.rtp == []
    call.publisher.start(STREAM)
    for track in call.publisher.tracks:
        track.switch(PEER, STREAM)
    await call.until(lambda: call.subscriber.state.decrypted > 10)
    kids = [t.encryptor.kid.to_bytes(8, "big") for t in call.publisher.tracks]
    first_packets = [p for p in call.rtp if any(kid in p[:32] for kid in kids)]
    assert len(first_packets) > 10


async def test_a_wrong_secret_is_noticed_and_the_right_one_brings_the_frame(call) -> None:
    await call.start("vp8", secret(), secret("some other secret"))
    await call.until(lambda: "encryptionSecretMismatch" in call.events)
    assert call.reports == ["mismatch"]
    assert call.subscriber.tracks["video"].frames == 0
    call.ring.add(secret(), call.subscriber._clock())
    call.subscriber.on_secret_change()
    await call.until(lambda: "encryptionSecretMatch" in call.events)
    assert len(await call.frames("video", 5)) == 5
    assert call.events.count("encryptionSecretMismatch") == 1
    assert call.reports[-1] == "ok"


async def test_media_in_clear_is_never_shown_on_an_encrypted_session(call) -> None:
    await call.start("vp8", None, secret())
    await call.until(lambda: "encryptionSecretMismatch" in call.events)
    assert call.subscriber.state.decrypted == 0
    assert all(track.frames == 0 for track in call.subscriber.tracks.values())


async def test_a_new_secret_costs_no_frame_when_the_receiver_has_it_first(call) -> None:
    await call.start("vp8", secret(), secret())
    await call.until(lambda: call.subscriber.state.decrypted > 30)
    newer = secret("another secret for all")
    call.ring.add(newer, call.subscriber._clock())
    for track in call.publisher.tracks:
        track.pending = PendingContext(newer, call.publisher.key_ids)
        track.switch(PEER, STREAM)
    decrypted = call.subscriber.state.decrypted
    await call.until(lambda: call.subscriber.state.decrypted > decrypted + 60)
    assert call.subscriber.state.failed == 0
    assert call.events == ["encryptionStateChanged"]


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_a_recording_holds_the_opened_frames_of_both_tracks(call, codec, tmp_path) -> None:
    await call.start(codec, secret(), secret())
    path = call.subscriber.record(tmp_path)
    await call.until(lambda: call.subscriber.tracks["video"].frames > 120)
    await call.subscriber.close()
    counts = call.subscriber.recording.counts
    assert call.subscriber.recording.error is None
    with av.open(str(path)) as container:
        images = list(container.decode(video=0))
    with av.open(str(path)) as container:
        audio_frames = list(container.decode(audio=0))
    assert len(images) == counts.frames["video"] > 60
    assert len(audio_frames) == counts.frames["audio"] > 100
    numbers = [read_counter(image) for image in images]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    spans = [frames[-1].time - frames[0].time for frames in (images, audio_frames)]
    assert abs(spans[0] - spans[1]) < 0.5
    assert abs(images[0].time - audio_frames[0].time) < 0.2
