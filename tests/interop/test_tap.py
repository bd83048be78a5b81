"""A real publisher, the compiled core, and a reader of a tap: clear media as it leaves the core."""

import asyncio
import importlib.util
import sys
from itertools import pairwise

import aioice.ice
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtp import RtcpPacket, RtcpPsfbPacket, RtcpSrPacket, RtpPacket

from sfu.core_api import MediaKind, WorkerSettings
from sfu.media_plane import TrackOffer
from sfu.media_view import read_media
from sfu.native_plane import NativeMediaPlane
from sfu.peer_transport import MediaPlaneSettings
from tests.fakes.tap_records import RecordKind, read_record, write_record
from tests.interop.test_aiortc_through_the_plane import Grey, Tone

pytestmark = pytest.mark.interop
ALL = frozenset(MediaKind)
AUDIO_SSRC, VIDEO_SSRC = 1, 2
PATIENCE_S = 20
LARGE = "x" * 30_000


class Quiet:
    """A listener that needs only the first of its client's reports."""

    def __init__(self):
        self.live = asyncio.Event()

    def on_stream_live(self, stream):
        self.live.set()

    def on_subscribed_layers(self, stream, layers):
        pass

    def on_active_speaker(self, stream):
        pass

    def on_transport_lost(self, direction):
        pass


class TapListener:
    def __init__(self):
        self.closed = asyncio.Queue()
        self.gone = asyncio.Queue()

    def on_stream_gone(self, stream):
        self.gone.put_nowait(stream)

    def on_tap_closed(self, reason):
        self.closed.put_nowait(reason)


class Publisher:
    """An aiortc peer that publishes `st`, and the RTP payloads that it gave to its own SRTP."""

    def __init__(self, session, monkeypatch):
        self.listener = Quiet()
        self.media = session.open_client("ann", self.listener)
        self.peer = RTCPeerConnection()
        self.sent = {}
        before = RTCDtlsTransport._send_rtp

        async def note(transport, data):
            packet = data[1] & 0x7F
            if not 64 <= packet <= 95:
                rtp = RtpPacket.parse(data)
                self.sent.setdefault(rtp.ssrc, []).append(rtp.payload)
            await before(transport, data)

        monkeypatch.setattr(RTCDtlsTransport, "_send_rtp", note)

    def sent_of(self, kind):
        (sender,) = [t.sender for t in self.peer.getTransceivers() if t.kind == kind]
        return self.sent[sender._ssrc]

    async def publish(self):
        for track in (Tone(), Grey()):
            self.peer.addTrack(track)
        await self.peer.setLocalDescription(await self.peer.createOffer())
        offers = [TrackOffer(t.mid, MediaKind(t.kind)) for t in self.peer.getTransceivers()]
        answer = await self.media.publish("st", self.peer.localDescription.sdp, offers)
        await self.peer.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
        await asyncio.wait_for(self.listener.live.wait(), PATIENCE_S)


class Reader:
    """The other end of a tap, and every record that it has read."""

    def __init__(self, tap):
        self.end = tap.child_end
        self.records = []

    def read(self):
        while (record := read_record(self.end)) is not None:
            self.records.append(record)
        return self.records

    def rtp(self, ssrc):
        return [
            RtpPacket.parse(record.body)
            for record in self.read()
            if record.kind is RecordKind.RTP and record.ssrc == ssrc
        ]

    def of(self, kind):
        return [record for record in self.read() if record.kind is kind]

    def key_frames(self):
        return [packet for packet in self.rtp(VIDEO_SSRC) if _is_key_frame(packet.payload)]


def _is_key_frame(payload):
    """RFC 7741: the first packet of partition 0, and the inverse key frame bit after the
    descriptor."""
    start = _descriptor_bytes(payload)
    return payload[0] & 0x17 == 0x10 and payload[start] & 1 == 0


def _frame_part(payload):
    return payload[_descriptor_bytes(payload) :]


def _descriptor_bytes(payload):
    length = 1
    if payload[0] & 0x80:
        flags = payload[1]
        length += 1
        if flags & 0x80:
            length += 2 if payload[2] & 0x80 else 1
        length += bool(flags & 0x40) + bool(flags & 0x30)
    return length


async def until(condition):
    """Waits until the condition holds, and returns what it gave."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return found


@pytest.fixture
async def plane():
    if importlib.util.find_spec("sfu._native") is None:
        pytest.skip("the compiled core is not built here")
    plane = NativeMediaPlane.open(WorkerSettings("127.0.0.1"), MediaPlaneSettings(("127.0.0.1",)))
    yield plane
    await plane.close()


@pytest.fixture
async def session(plane, monkeypatch):
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    return plane.open_session("S", e2ee=False)


@pytest.fixture
async def ann(session, monkeypatch):
    publisher = Publisher(session, monkeypatch)
    await publisher.publish()
    yield publisher
    await publisher.peer.close()


@pytest.fixture
async def tap(session):
    listener = TapListener()
    tap = session.open_tap(listener)
    yield tap, listener
    tap.close()


async def tracks_of(session, tap):
    """The core's own figures of the tap's tracks, by SSRC."""
    snapshot = (await session.dump()).core
    down_tracks = snapshot.forwarding.down_tracks
    return {one.ssrc: one for one in down_tracks if one.transport == tap.handle}


def is_part(part, whole):
    """Whether `part` is a run of `whole`."""
    at = whole.index(part[0])
    return whole[at : at + len(part)] == part


async def test_media_comes_out_as_it_was_before_its_sender_encrypted_it(session, ann, tap):
    tap, _ = tap
    reader = Reader(tap)
    tap.add("st", ALL, {"name": "Ann"})
    await until(lambda: len(reader.rtp(AUDIO_SSRC)) >= 100 and len(reader.rtp(VIDEO_SSRC)) >= 20)
    first = reader.records[0]
    assert (first.kind, first.event["name"]) == (RecordKind.JSON, "Ann")
    described = {track["ssrc"]: track for track in first.event["tracks"]}
    audio, video = reader.rtp(AUDIO_SSRC), reader.rtp(VIDEO_SSRC)
    assert is_part([packet.payload for packet in audio], ann.sent_of("audio"))
    # The core numbers frames itself, so descriptors differ.
    assert is_part(
        [_frame_part(packet.payload) for packet in video],
        [_frame_part(payload) for payload in ann.sent_of("video")],
    )
    for ssrc, packets in ((AUDIO_SSRC, audio), (VIDEO_SSRC, video)):
        assert {packet.payload_type for packet in packets} == {described[ssrc]["payloadType"]}
        numbers = [packet.sequence_number for packet in packets]
        assert all((b - a) % 65_536 == 1 for a, b in pairwise(numbers))
    assert _is_key_frame(video[0].payload)
    arrivals = [record.arrival_us for record in reader.of(RecordKind.RTP)]
    assert arrivals == sorted(arrivals)


async def test_the_core_counts_what_the_reader_gets(plane, session, ann, tap):
    tap, _ = tap
    reader = Reader(tap)
    tap.add("st", ALL, {})
    await until(lambda: len(reader.rtp(AUDIO_SSRC)) >= 50)
    for kind in MediaKind:
        tap.set_forwarding("st", kind, False)
    # Once the core has applied this, nothing more is written.
    counted = await tracks_of(session, tap)
    read = reader.of(RecordKind.RTP)
    by_ssrc = {ssrc: sum(record.ssrc == ssrc for record in read) for ssrc in counted}
    assert by_ssrc == {ssrc: track.packets for ssrc, track in counted.items()}
    (view,) = read_media(await session.dump()).taps["st"]
    assert {kind: track.packets for kind, track in view.down_tracks.items()} == {
        MediaKind.AUDIO: by_ssrc[AUDIO_SSRC],
        MediaKind.VIDEO: by_ssrc[VIDEO_SSRC],
    }
    await until(lambda: plane.counters()["tap_records"] == len(reader.read()))
    assert plane.counters()["taps"] == 1
    assert plane.counters()["drop.send_buffer_full"] == 0


async def test_sender_reports_reach_the_reader(ann, tap):
    tap, _ = tap
    reader = Reader(tap)
    tap.add("st", ALL, {})

    def reported():
        packets = [p for r in reader.of(RecordKind.RTCP) for p in RtcpPacket.parse(r.body)]
        return {p.ssrc for p in packets if isinstance(p, RtcpSrPacket)}

    await until(lambda: reported() == {AUDIO_SSRC, VIDEO_SSRC})


async def test_a_key_frame_that_the_reader_requests_comes(ann, tap):
    tap, _ = tap
    reader = Reader(tap)
    tap.add("st", ALL, {})
    await until(lambda: len(reader.rtp(VIDEO_SSRC)) >= 15)
    before = len(reader.key_frames())
    pli = bytes(RtcpPsfbPacket(fmt=1, ssrc=0, media_ssrc=VIDEO_SSRC))
    write_record(reader.end, RecordKind.FEEDBACK, pli)
    await until(lambda: len(reader.key_frames()) > before)


async def test_a_reader_that_is_behind_keeps_its_audio_and_learns_what_video_it_missed(
    plane, session, ann, tap
):
    tap, listener = tap
    reader = Reader(tap)
    tap.add("st", ALL, {})
    await until(lambda: len(reader.rtp(VIDEO_SSRC)) >= 5)
    async with asyncio.timeout(PATIENCE_S):
        while (await tracks_of(session, tap))[VIDEO_SSRC].waiting != "tap_full":
            for _ in range(8):
                tap.write({"event": "filler", "text": LARGE})
            await asyncio.sleep(0.02)
    audio = (await tracks_of(session, tap))[AUDIO_SSRC].packets
    withheld = plane.counters()["drop.tap_full"]
    await until(lambda: plane.counters()["drop.tap_full"] >= withheld + 15)
    async with asyncio.timeout(PATIENCE_S):
        while (await tracks_of(session, tap))[AUDIO_SSRC].packets <= audio + 30:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    read = len(reader.records)
    await until(lambda: any(r.kind is RecordKind.LOST for r in reader.read()))
    lost = reader.of(RecordKind.LOST)
    assert {record.ssrc for record in lost} == {VIDEO_SSRC}
    missed = sum(int.from_bytes(record.body, "little") for record in lost)
    # The core publishes its counters a moment later.
    assert await until(lambda: missed == plane.counters()["drop.tap_full"])
    assert missed >= withheld + 15
    at = reader.records.index(lost[0])
    video = [
        RtpPacket.parse(record.body)
        for record in await until(
            lambda: [
                r for r in reader.read()[at:] if r.kind is RecordKind.RTP and r.ssrc == VIDEO_SSRC
            ]
        )
    ]
    assert _is_key_frame(video[0].payload)
    numbers = [packet.sequence_number for packet in reader.rtp(AUDIO_SSRC)]
    assert all((b - a) % 65_536 == 1 for a, b in pairwise(numbers))
    assert any(record.kind is RecordKind.JSON for record in reader.records[read:])
    assert listener.closed.empty()


async def test_a_killed_reader_ends_the_tap_and_not_the_call(plane, session, ann, tap):
    tap, listener = tap
    tap.add("st", ALL, {})
    wait = "import sys, time; sys.stdout.write('up'); sys.stdout.flush(); time.sleep(600)"
    pipe = asyncio.subprocess.PIPE
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", wait, pass_fds=[tap.child_end.fileno()], stdout=pipe
    )
    try:
        tap.child_end.close()
        assert await reader.stdout.readexactly(2) == b"up"
        assert listener.closed.empty()
        other = session.open_tap(TapListener())
        other.add("st", ALL, {})
        alive = Reader(other)
        await until(lambda: len(alive.rtp(AUDIO_SSRC)) >= 10)
    finally:
        reader.kill()
        await reader.wait()
    assert await asyncio.wait_for(listener.closed.get(), PATIENCE_S) == "reader_gone"
    before = len(alive.rtp(AUDIO_SSRC))
    await until(lambda: len(alive.rtp(AUDIO_SSRC)) >= before + 25)
    assert await until(lambda: plane.counters()["taps"] == 1)
    other.close()


async def test_the_end_comes_after_the_last_packet(session, ann, tap):
    tap, _ = tap
    reader = Reader(tap)
    tap.add("st", ALL, {})
    await until(lambda: len(reader.rtp(AUDIO_SSRC)) >= 20)
    tap.end()
    await until(lambda: reader.of(RecordKind.END))
    assert reader.records[-1].kind is RecordKind.END
    assert (await session.dump()).taps == ()


async def test_the_end_of_a_stream_comes_after_its_last_packet(ann, tap):
    tap, listener = tap
    reader = Reader(tap)
    tap.add("st", ALL, {})
    await until(lambda: len(reader.rtp(AUDIO_SSRC)) >= 20)
    ann.media.unpublish("st")
    assert await asyncio.wait_for(listener.gone.get(), PATIENCE_S) == "st"
    (removed,) = (r for r in await until(lambda: reader.of(RecordKind.JSON)[1:]))
    assert removed.event["event"] == "streamRemoved"
    await asyncio.sleep(0.1)  # time for packets that must not come
    assert reader.read()[-1] is removed
