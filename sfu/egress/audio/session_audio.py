"""The session's side of a process that hears and speaks: voices from the tap, packets into it."""

import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import msgspec
import numpy as np

from sfu.egress.audio import pace
from sfu.egress.audio.opus import OpusDecoder, OpusEncoder, UndecodableError
from sfu.egress.audio.resample import Samples
from sfu.egress.child.frames import Reader, frame_of
from sfu.egress.run_lines import SpeakLine

STALE_US = 1_000_000
"""Older frames were left by a process that died."""
_RECORD = struct.Struct("<BBHIQ")
_PUBLISH_UP = 7
_RTP = struct.Struct(">BBHII")

OpenReader = Callable[[int, int], Reader]


class Listener(Protocol):
    """Who hears the session."""

    def add_voice(self, track: int) -> None: ...
    def remove_voice(self, track: int) -> None: ...
    def has_voice(self, track: int) -> bool: ...
    def hear(self, track: int, pts_us: int, now_us: int, samples: Samples) -> None: ...


class SessionAudio:
    """`stale_us`: audio that is older is not heard. `is_over` once the tap has ended. `counts`:
    what of it could not be used. `streams`: whose each track is."""

    def __init__(
        self,
        descriptor: int,
        hold_ms: int,
        open_reader: OpenReader,
        listener: Listener,
        stale_us: int = STALE_US,
    ) -> None:
        self.is_over = False
        self.counts: Counter[Any] = Counter()
        self.streams: dict[int, str] = {}
        self._stale_us = stale_us
        self._media = socket.socket(fileno=descriptor)
        self._reader = open_reader(descriptor, hold_ms)
        self._listener = listener
        self._decoders: dict[int, OpusDecoder] = {}
        self._tracks: dict[str, list[int]] = {}
        self._encoder = OpusEncoder()
        self._form: SpeakLine | None = None

    def may_speak(self, form: SpeakLine) -> None:
        """The stream is published."""
        self._form = form

    def listen(self, now_us: int) -> None:
        """Decodes what has come."""
        try:
            items = self._reader.read(0)
        except (OSError, ValueError):
            items = [("end", now_us)]
        for item in items:
            match item:
                case ("frame", *_):
                    self._decode(item, now_us)
                case ("json", _, body):
                    self._handle_event(body)
                case ("end", *_):
                    self.is_over = True

    def _decode(self, item: tuple[Any, ...], now_us: int) -> None:
        frame = frame_of(item)
        if frame.codec != "opus" or frame.pts_us < now_us - self._stale_us:
            return
        if not self._listener.has_voice(frame.ssrc):
            return
        opus = self._decoders.setdefault(frame.ssrc, OpusDecoder())
        try:
            samples = opus.decode(frame.data)
        except UndecodableError:
            self.counts["undecodable_packets"] += 1
            return
        self._listener.hear(frame.ssrc, frame.pts_us, now_us, samples)

    def _handle_event(self, body: bytes) -> None:
        event = msgspec.json.decode(body)
        if event["event"] == "streamAdded":
            tracks = [track["ssrc"] for track in event["tracks"] if track["kind"] == "audio"]
            self._tracks[event["stream"]] = tracks
            for track in tracks:
                self.streams[track] = event["stream"]
                self._listener.add_voice(track)
        elif event["event"] == "streamRemoved":
            for track in self._tracks.pop(event["stream"], []):
                self._listener.remove_voice(track)
                self._decoders.pop(track, None)
                self.streams.pop(track, None)

    def speak(self, slot: int, speech: Samples, now_us: int) -> None:
        """One packet of the stream."""
        packet, form = self._encoder.encode(speech), self._form
        if not packet or form is None:
            return
        number, at = pace.sequence_number(slot), pace.timestamp(slot)
        rtp = _RTP.pack(0x90, form.payload_type, number, at, form.ssrc)
        level = struct.pack(">HHBBxx", 0xBEDE, 1, form.audio_level_id << 4, _level(speech))
        record = _RECORD.pack(_PUBLISH_UP, 0, 1, form.ssrc, now_us)
        with suppress(OSError):  # the server is far behind, or gone
            self._media.send(record + rtp + level + packet, socket.MSG_DONTWAIT)


def _level(speech: Samples) -> int:
    """In -dBov, with the flag of voice activity (RFC 6464)."""
    loudness = float(np.sqrt(np.mean(np.square(speech))))
    level = 127 if loudness < 1e-6 else min(127, max(0, round(-20 * np.log10(loudness))))
    return level | (0x80 if level < 60 else 0)
