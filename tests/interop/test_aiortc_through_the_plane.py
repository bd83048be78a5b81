"""aiortc's peer connections publish and subscribe through the plane and the compiled core."""

import asyncio
import fractions
import importlib.util

import aioice.ice
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from av import AudioFrame, VideoFrame

from sfu.core_api import Codec, MediaKind, WorkerSettings
from sfu.media_plane import TrackOffer
from sfu.native_plane import NativeMediaPlane
from sfu.peer_transport import MediaPlaneSettings
from tests.fakes.media_router import FakeMediaRouter

pytestmark = pytest.mark.interop
ALL = frozenset(MediaKind)
CODECS = frozenset(Codec)
BRIGHTNESS = 200


class Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self):
        super().__init__()
        self.at = 0

    async def recv(self):
        await asyncio.sleep(0.02)  # the pace of real audio
        time = (self.at + np.arange(960)) / 48_000
        wave = (8_000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16)
        frame = AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, self.at
        frame.time_base = fractions.Fraction(1, 48_000)
        self.at += 960
        return frame


class Grey(MediaStreamTrack):
    kind = "video"

    def __init__(self):
        super().__init__()
        self.at = 0

    async def recv(self):
        await asyncio.sleep(1 / 15)  # the pace of a slow camera
        image = np.full((120, 160, 3), BRIGHTNESS, np.uint8)
        frame = VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = self.at, fractions.Fraction(1, 90_000)
        self.at += 6_000
        return frame


class Listener:
    def __init__(self):
        self.offers = asyncio.Queue()
        self.live = asyncio.Queue()
        self.connected = asyncio.Queue()
        self.lost = asyncio.Queue()

    def on_downlink_offer(self, offer):
        self.offers.put_nowait(offer)

    def on_stream_live(self, stream):
        self.live.put_nowait(stream)

    def on_subscriber_connected(self, subscriber):
        self.connected.put_nowait(subscriber)

    def on_active_speaker(self, stream):
        pass

    def on_not_encrypted(self, stream, mid, packets):
        raise AssertionError("the session is clear")

    def on_transport_lost(self, direction):
        self.lost.put_nowait(direction)


class Client:
    """A connection with aiortc on both of its transports."""

    def __init__(self, session, name):
        self.listener = Listener()
        self.media = session.open_client(name, self.listener)
        self.uplink, self.downlink = RTCPeerConnection(), RTCPeerConnection()
        self.tracks = {}
        self.downlink.on("track", lambda track: self.tracks.setdefault(track.kind, track))

    async def publish(self, stream, *tracks):
        for track in tracks:
            self.uplink.addTrack(track)
        await self.uplink.setLocalDescription(await self.uplink.createOffer())
        offers = [
            TrackOffer(t.mid, MediaKind(t.kind))
            for t in self.uplink.getTransceivers()[-len(tracks) :]
        ]
        answer = await self.media.publish(stream, self.uplink.localDescription.sdp, offers)
        await self.uplink.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
        return answer

    async def answer(self):
        offer = await asyncio.wait_for(self.listener.offers.get(), 5)
        await self.downlink.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        await self.downlink.setLocalDescription(await self.downlink.createAnswer())
        self.media.answer_downlink(offer.number, self.downlink.localDescription.sdp)
        return offer

    async def close(self):
        await self.uplink.close()
        await self.downlink.close()


@pytest.fixture(autouse=True)
def loopback_candidates(monkeypatch):
    """aioice gathers no loopback address, and the test shall need no other network."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])


@pytest.fixture
async def clients():
    opened = []
    yield opened
    for client in opened:
        await client.close()


def member(session, name, clients):
    client = Client(session, name)
    clients.append(client)
    return client


async def test_aiortc_takes_our_answers_and_we_take_its_answers(clients):
    plane = NativeMediaPlane([FakeMediaRouter()], MediaPlaneSettings(("127.0.0.1",)))
    session = plane.open_session("S", e2ee=False)
    ann, ben = member(session, "ann", clients), member(session, "ben", clients)
    answer = await ann.publish("one", Tone(), Grey())
    assert {track.codec for track in answer.tracks} == {Codec.OPUS, Codec.VP8}
    ben.media.subscribe("first", "one", ALL, CODECS)
    await ben.answer()
    ben.media.unsubscribe("first")
    await ben.answer()
    ben.media.subscribe("second", "one", ALL, CODECS)
    offer = await ben.answer()
    assert [track.mid for track in offer.tracks] == ["0", "1"]
    assert {t.currentDirection for t in ben.downlink.getTransceivers()} == {"recvonly"}
    await plane.close()


@pytest.fixture
async def native_session():
    if importlib.util.find_spec("sfu._native") is None:
        pytest.skip("the compiled core is not built here")
    plane = NativeMediaPlane.open(WorkerSettings("127.0.0.1"), MediaPlaneSettings(("127.0.0.1",)))
    yield plane.open_session("S", e2ee=False)
    await plane.close()


async def frames(track, number):
    return [await asyncio.wait_for(track.recv(), 10) for _ in range(number)]


async def test_audio_and_video_arrive(native_session, clients):
    ann, ben = member(native_session, "ann", clients), member(native_session, "ben", clients)
    await ann.publish("one", Tone(), Grey())
    assert await asyncio.wait_for(ann.listener.live.get(), 10) == "one"
    ben.media.subscribe("first", "one", ALL, CODECS)
    await ben.answer()
    assert await asyncio.wait_for(ben.listener.connected.get(), 10) == "first"
    images = await frames(ben.tracks["video"], 10)
    assert abs(images[-1].to_ndarray(format="rgb24").mean() - BRIGHTNESS) < 12
    audio_frames = await frames(ben.tracks["audio"], 50)
    assert max(np.abs(audio_frame.to_ndarray()).max() for audio_frame in audio_frames) > 4_000


@pytest.fixture
async def two_workers():
    if importlib.util.find_spec("sfu._native") is None:
        pytest.skip("the compiled core is not built here")
    plane = NativeMediaPlane.open(
        WorkerSettings("127.0.0.1"), MediaPlaneSettings(("127.0.0.1",)), workers=2
    )
    yield plane
    await plane.close()


async def test_sessions_on_two_workers_have_ports_of_their_own_and_do_not_meet(
    two_workers, clients
):
    seen = {}
    for name in ("S", "T"):
        session = two_workers.open_session(name, e2ee=False)
        ann, ben = member(session, "ann", clients), member(session, "ben", clients)
        answer = await ann.publish(f"{name}-one", Tone())
        ben.media.subscribe("first", f"{name}-one", ALL, CODECS)
        await ben.answer()
        audio_frames = await frames(ben.tracks["audio"], 20)
        assert max(np.abs(audio_frame.to_ndarray()).max() for audio_frame in audio_frames) > 4_000
        seen[name] = (await session.dump(), answer.sdp)
    assert [dump.worker for dump, _ in seen.values()] == [0, 1]
    for port, (_, sdp) in zip(two_workers.ports, seen.values(), strict=True):
        candidates = [line for line in sdp.splitlines() if "a=candidate" in line]
        assert {line.split()[5] for line in candidates} == {str(port)}
    one_each = [context.router.counters()["rtp_received"] for context in two_workers.contexts]
    assert min(one_each) >= 20
    assert two_workers.counters()["transports"] == 4
    assert two_workers.counters()["rtp_received"] >= sum(one_each)


async def test_both_ways_and_again_after_leaving(native_session, clients):
    ann, ben = member(native_session, "ann", clients), member(native_session, "ben", clients)
    await ann.publish("one", Tone(), Grey())
    await ben.publish("two", Tone())
    ann.media.subscribe("a", "two", ALL, CODECS)
    ben.media.subscribe("b", "one", ALL, CODECS)
    await ann.answer()
    await ben.answer()
    await frames(ann.tracks["audio"], 20)
    await frames(ben.tracks["video"], 5)
    ben.media.unsubscribe("b")
    await ben.answer()
    ben.media.subscribe("again", "one", ALL, CODECS)
    await ben.answer()
    assert {await asyncio.wait_for(ben.listener.connected.get(), 10) for _ in "ba"} == {
        "b",
        "again",
    }
    await frames(ben.tracks["video"], 5)


async def test_a_peer_connection_that_closes_loses_its_transport(native_session, clients):
    ann = member(native_session, "ann", clients)
    await ann.publish("one", Tone())
    await asyncio.wait_for(ann.listener.live.get(), 10)
    # Before its own end of the handshake a client has nothing to say good-bye with.
    async with asyncio.timeout(10):
        while ann.uplink.connectionState != "connected":  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
    await ann.uplink.close()
    assert (await asyncio.wait_for(ann.listener.lost.get(), 10)).value == "uplink"
