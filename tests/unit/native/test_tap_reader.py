"""The reader of a tap: records of real encoders go in, and what comes out decodes."""

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.opus import OpusEncoder
from aiortc.codecs.vpx import Vp8Encoder

native = pytest.importorskip("sfu._native")

RTP, RTCP, JSON, LOST, END, FEEDBACK = range(1, 7)
SSRC = 0x1234
FRAMES = 12
WIDTH, HEIGHT = 320, 192
CLOCK = {"opus": 48_000}
DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9", "h264": "h264", "av1": "libdav1d"}
HOLD_MS = 400
WAIT_MS = 10_000

Payloads = list[tuple[bytes, bool]]
"""Of one frame, with the marker bits."""


def record(kind: int, body: bytes = b"", ssrc: int = SSRC) -> bytes:
    return struct.pack("<BBHIQ", kind, 0, 1, ssrc, time.monotonic_ns() // 1000) + body


def added(codec: str, ssrc: int = SSRC) -> bytes:
    track: dict[str, object] = {
        "ssrc": ssrc,
        "kind": "audio" if codec == "opus" else "video",
        "codec": codec,
        "clockRate": CLOCK.get(codec, 90_000),
        "payloadType": 96,
        "extensions": {},
    }
    return json.dumps({"event": "streamAdded", "stream": "s", "tracks": [track]}).encode()


def level(index: int) -> int:
    """The brightness of a frame, by which it is known again."""
    return 40 + 15 * index


def image(index: int) -> av.VideoFrame:
    """Noise on one half: several packets, whatever the codec."""
    luma = np.full((HEIGHT, WIDTH), level(index), np.uint8)
    noise = np.random.default_rng(index).integers(0, 255, (HEIGHT, WIDTH // 2), np.uint8)
    luma[:, WIDTH // 2 :] = noise
    chroma = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
    frame = av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]), "yuv420p")
    frame.pts, frame.time_base = index * 3_000, Fraction(1, 90_000)
    return frame


def aiortc_video(encoder: H264Encoder | Vp8Encoder) -> Iterator[Payloads]:
    for index in range(FRAMES):
        payloads, _ = encoder.encode(image(index))
        yield [(payload, payload is payloads[-1]) for payload in payloads]


class Packets:
    """A file that a muxer writes one packet at a time to."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.written.append(bytes(data))
        return len(data)


def muxed_video(encoder: str, options: dict[str, str]) -> Iterator[Payloads]:
    """By FFmpeg's packetizers."""
    file = Packets()
    of_muxer = {"strict": "experimental", "packetsize": "600"}
    with av.open(file, "w", format="rtp", options=of_muxer) as output:
        stream = output.add_stream(encoder, rate=30, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        for index in range(FRAMES):
            output.mux(stream.encode(image(index)))
        output.mux(stream.encode(None))
    frame: Payloads = []
    for packet in file.written:
        if 192 <= packet[1] <= 223:
            continue
        frame.append((packet[12:], packet[1] >= 128))
        if frame[-1][1]:
            yield frame
            frame = []


def aiortc_audio() -> Iterator[Payloads]:
    encoder = OpusEncoder()
    for index in range(FRAMES):
        phase = 2 * np.pi * 440 * (np.arange(960) + 960 * index) / 48_000
        samples = (np.sin(phase) * 8_000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(samples, 2)[None, :], "s16", "stereo")
        frame.pts, frame.sample_rate, frame.time_base = 960 * index, 48_000, Fraction(1, 48_000)
        for payload in encoder.encode(frame)[0]:
            yield [(payload, False)]


def encoded(codec: str) -> Iterator[Payloads]:
    match codec:
        case "vp8":
            return aiortc_video(Vp8Encoder())
        case "h264":
            return aiortc_video(H264Encoder())
        case "vp9":
            quick = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
            return muxed_video("libvpx-vp9", quick)
        case "av1":
            quick = {"preset": "12", "svtav1-params": "pred-struct=1:lookahead=0:rtc=1"}
            return muxed_video("libsvtav1", quick)
    return aiortc_audio()


class Bench:
    """The media core's end of a tap, and a reader at the other."""

    def __init__(self, codec: str, hold_ms: int = HOLD_MS) -> None:
        self.core, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.core.settimeout(WAIT_MS / 1000)
        self.reader = native.TapReader(child.fileno(), hold_ms)
        child.close()
        self.ticks = CLOCK.get(codec, 90_000) // (50 if codec == "opus" else 30)
        self.sequence = 65_533
        self.items: list[tuple[Any, ...]] = []
        self.core.send(record(JSON, added(codec), 0))

    def send(self, index: int, payloads: Payloads) -> None:
        for payload, marker in payloads:
            self.sequence = (self.sequence + 1) & 0xFFFF
            fields = (0x80, marker << 7 | 96, self.sequence, index * self.ticks, SSRC)
            self.core.send(record(RTP, struct.pack("!BBHII", *fields) + payload))
            # A socket that is a quarter full is not writable any more.
            self.items += self.reader.read(0)

    def end(self) -> None:
        self.core.send(record(END))
        while not any(item[0] == "end" for item in self.items):
            items = self.reader.read(WAIT_MS)
            assert items, "no end"
            self.items += items

    def frames(self) -> list[tuple[Any, ...]]:
        return [item for item in self.items if item[0] == "frame"]


Open = Callable[..., Bench]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Makes benches whose sockets are closed in the end."""
    with ExitStack() as stack:

        def open_bench(codec: str, hold_ms: int = HOLD_MS) -> Bench:
            bench = Bench(codec, hold_ms)
            stack.callback(bench.core.close)
            return bench

        yield open_bench


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264", "av1"])
def test_video_of_each_codec_decodes_to_what_was_encoded(opened: Open, codec: str) -> None:
    bench = opened(codec)
    several = False
    for index, payloads in enumerate(encoded(codec)):
        several |= len(payloads) > 1
        bench.send(index, payloads)
    bench.end()
    assert several, "frames of one packet show nothing"
    frames = bench.frames()
    assert len(frames) == FRAMES
    assert [frame[4] for frame in frames] == [True] + [False] * (FRAMES - 1)
    assert all(frame[1:4] == (SSRC, "video", codec) for frame in frames)
    assert {frame[9:12] for frame in frames} == {(WIDTH, HEIGHT, 0)}
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    images = [image for frame in frames for image in decoder.decode(av.Packet(frame[7]))]
    images += decoder.decode(None)
    assert [(image.width, image.height) for image in images] == [(WIDTH, HEIGHT)] * FRAMES
    for index, decoded in enumerate(images):
        left = decoded.to_ndarray()[:HEIGHT, : WIDTH // 2 - 16]
        assert abs(float(left.mean()) - level(index)) < 4, f"frame {index}"


def test_audio_decodes_to_what_was_encoded(opened: Open) -> None:
    bench = opened("opus")
    for index, payloads in enumerate(aiortc_audio()):
        bench.send(index, payloads)
    bench.end()
    frames = bench.frames()
    assert len(frames) == FRAMES
    assert all(frame[1:5] == (SSRC, "audio", "opus", True) for frame in frames)
    assert {frame[6] for frame in frames} == {20_000}
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout, decoder.format = 48_000, "stereo", "s16"
    decoded = [audio for frame in frames for audio in decoder.decode(av.Packet(frame[7]))]
    samples = np.concatenate([audio.to_ndarray().reshape(-1, 2)[:, 0] for audio in decoded])
    spectrum = np.abs(np.fft.rfft(samples[4_800:9_600]))
    assert spectrum.argmax() == 44, "440 Hz"


def test_times_are_of_the_hosts_monotonic_clock_and_grow(opened: Open) -> None:
    before = time.monotonic_ns() // 1000
    bench = opened("opus")
    for index, payloads in enumerate(aiortc_audio()):
        bench.send(index, payloads)
    bench.end()
    times = [frame[5] for frame in bench.frames()]
    # All were sent at once, so they are placed by their RTP time before the last arrival.
    assert before - 20_000 * FRAMES <= times[0] <= time.monotonic_ns() // 1000
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert all(step > 0 for step in steps)


def test_a_lost_packet_costs_frames_until_the_key_frame_that_is_requested(opened: Open) -> None:
    bench = opened("h264")
    frames = list(encoded("h264"))
    bench.send(0, frames[0])
    bench.send(1, frames[1][1:])
    bench.core.send(record(LOST, struct.pack("<I", 1)))
    bench.sequence += 1
    for index in range(2, 5):
        bench.send(index, frames[index])
    while not bench.frames():
        bench.items += bench.reader.read(WAIT_MS)
    request = bench.core.recv(2_000)
    kind, _, version, ssrc = struct.unpack_from("<BBHI", request)
    assert (kind, version, ssrc) == (FEEDBACK, 1, SSRC)
    assert request[16:18] == b"\x81\xce", "a picture loss indication"
    assert struct.unpack_from("!I", request, 24) == (SSRC,)
    bench.send(5, frames[0])
    bench.end()
    kinds = [item[0] for item in bench.items]
    assert kinds == ["json", "frame", "lost", "frame", "end"]
    _, ssrc, packets, from_us, to_us = bench.items[2]
    first, last = bench.frames()
    assert (ssrc, packets) == (SSRC, last[8])
    assert first[5] <= from_us <= to_us == last[5]
    counters = bench.reader.counters()
    # Once a second, and this machine may be slow.
    assert counters["key_frame_requests"] >= 1
    assert counters["undecodable_frames"] + counters["incomplete_frames"] == 4


def test_reading_waits_while_other_threads_run(opened: Open) -> None:
    bench = opened("opus", 0)
    assert [item[0] for item in bench.reader.read(WAIT_MS)] == ["json"]
    begun = time.monotonic()
    assert bench.reader.read(30) == []
    assert time.monotonic() - begun >= 0.03
    read: list[tuple[Any, ...]] = []
    thread = threading.Thread(target=lambda: read.extend(bench.reader.read(WAIT_MS)))
    thread.start()
    # The wait holds no lock that this needs.
    bench.core.send(record(JSON, b'{"event":"muted"}', 0))
    thread.join(WAIT_MS / 1000)
    assert [item[0] for item in read] == ["json"]
    assert read[0][2] == b'{"event":"muted"}'


def test_finish_gives_what_waits_for_repairs(opened: Open) -> None:
    bench = opened("opus", 10_000)
    bench.send(0, next(aiortc_audio()))
    bench.items += bench.reader.read(0)
    assert [item[0] for item in bench.items] == ["json"]
    assert [item[0] for item in bench.reader.finish()] == ["frame"]
    assert bench.reader.finish() == []


def test_a_tap_that_is_gone_ends_once(opened: Open) -> None:
    bench = opened("opus")
    bench.send(0, next(aiortc_audio()))
    bench.core.close()
    items = bench.items + bench.reader.read(WAIT_MS)
    assert [item[0] for item in items] == ["json", "frame", "end"]
    assert bench.reader.read(WAIT_MS) == []


def test_a_later_reader_learns_of_the_tracks(opened: Open) -> None:
    bench = opened("opus")
    bench.reader.read(WAIT_MS)
    later = native.TapReader(bench.reader.fileno(), 0)
    later.handle_json(added("opus"))
    bench.reader = later
    bench.send(0, next(aiortc_audio()))
    assert [item[0] for item in bench.items] == ["frame"]


def test_a_reader_needs_a_descriptor_and_a_sensible_hold() -> None:
    with pytest.raises(OSError, match="descriptor"):
        native.TapReader(-1, 0)
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        with pytest.raises(ValueError, match="hold_ms"):
            native.TapReader(left.fileno(), 10_001)
        reader = native.TapReader(left.fileno(), 0)
        left.close()
        assert os.fstat(reader.fileno()), "a copy"
