"""The audio of one call: the session's voices to the telephone, its voice to the session; pure.

While the call is up a packet goes out every 20 ms, in silence too: a pause in it would be taken
for a lost call. Held, nothing goes out and nothing is said.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from sfu.egress.audio.g722 import G722Codec
from sfu.egress.audio.opus import OpusDecoder, OpusEncoder, UndecodableError
from sfu.egress.audio.pace import SLOT_US
from sfu.egress.audio.resample import BLOCK, Decimator, Interpolator, Samples
from sfu.egress.audio.voices import Voice, Voices, position
from sfu.egress.sip import g711, rtcp, rtp
from sfu.egress.sip.sdp import Codec, Remote

NARROW_HZ = 8_000
_MAX_NARROW_BYTES = NARROW_HZ * 120 // 1_000
_ENDING = 10
_SIGN_OF_LIFE = 20
"""Slots: a stream that is silent for longer than 400 ms would be taken for one that has ended."""


class AudioCodec(Protocol):
    def encode(self, block: Samples) -> bytes: ...
    def decode(self, data: bytes) -> Samples:
        """Errors: `UndecodableError`."""


class _Opus:
    def __init__(self) -> None:
        self._encoder = OpusEncoder()
        self._decoder = OpusDecoder()

    def encode(self, block: Samples) -> bytes:
        return self._encoder.encode(block)

    def decode(self, data: bytes) -> Samples:
        return self._decoder.decode(data)


class _Narrow:
    def __init__(self, law: g711.Law) -> None:
        self._law: g711.Law = law
        self._narrow = Decimator(NARROW_HZ)
        self._wide = Interpolator(NARROW_HZ)

    def encode(self, block: Samples) -> bytes:
        return g711.encode(self._law, self._narrow.convert(block))

    def decode(self, data: bytes) -> Samples:
        if not 0 < len(data) <= _MAX_NARROW_BYTES:
            raise UndecodableError
        return self._wide.convert(g711.decode(self._law, data))


def codec_of(codec: Codec) -> AudioCodec:
    match codec.name:
        case "opus":
            return _Opus()
        case "G722":
            return G722Codec()
        case law:
            return _Narrow(law)


class Phone:
    """`is_muted`: what the telephone says is not heard in the session. `is_early`: it is heard
    before it answers, and hears silence, which opens the way through a NAT."""

    def __init__(
        self,
        ssrc: int,
        sequence: int,
        now_us: int,
        cname: str = "",
        random: Callable[[], float] = lambda: 0.5,
    ) -> None:
        """`cname`, `random`: see `rtcp.Reports`."""
        self.reports = rtcp.Reports(ssrc, cname, random)
        self._voices = Voices()
        self._ssrc = ssrc
        self._sequence = sequence
        self._remote: Remote | None = None
        self._codec: AudioCodec | None = None
        self._voice = Voice()
        self._clock = rtp.Clock(1)
        self._ear = rtp.EventEar()
        self._heard_ssrc: int | None = None
        self._keypad = rtp.Keypad()
        self._begins = True
        self._silent_slots = 0
        self._heard_us = now_us
        self.has_spoken = False
        self.is_muted = self.is_early = False
        self.ignored_packets = 0

    # --- the session ------------------------------------------------------------------------

    def add_voice(self, track: int) -> None:
        self._voices.add(track)

    def remove_voice(self, track: int) -> None:
        self._voices.remove(track)

    def has_voice(self, track: int) -> bool:
        return self._voices.has(track)

    def hear(self, track: int, pts_us: int, now_us: int, samples: Samples) -> None:
        """Decoded audio of a track."""
        self._voices.hear(track, pts_us, now_us, samples)

    # --- the call ---------------------------------------------------------------------------

    def set_remote(self, remote: Remote, now_us: int) -> None:
        """The media is agreed, for the first time or again."""
        before = self._remote
        if before is None or before.codec.name != remote.codec.name:
            self._codec = codec_of(remote.codec)
            self._heard_ssrc = None
        if before is None or before.is_held != remote.is_held:
            self._begins = True
        self._remote = remote
        self._heard_us = now_us

    @property
    def is_held(self) -> bool:
        return self._remote is not None and self._remote.is_held

    @property
    def sends_events(self) -> bool:
        return self._remote is not None and self._remote.events is not None

    def silent_us(self, now_us: int) -> int:
        """How long nothing has come that should; held, nothing should."""
        if self._remote is None or self.is_held or not self._remote.sends:
            self._heard_us = now_us
        return now_us - self._heard_us

    def press(self, digits: str) -> None:
        self._keypad.press(digits)

    def next_digit(self) -> str | None:
        """For a call whose digits are not sent among its packets."""
        return self._keypad.next()

    def handle_packet(self, data: bytes, now_us: int) -> str | None:
        """A digit, if the packet begins one."""
        packet, remote, codec = rtp.read(data), self._remote, self._codec
        if packet is None or remote is None or codec is None:
            self.ignored_packets += 1
            return None
        self._heard_us = now_us
        self.reports.note_received(packet, remote.codec.rate_hz, now_us)
        if packet.payload_type in remote.all_events:
            return self._ear.hear(packet)
        if packet.payload_type != remote.codec.payload_type or remote.is_held:
            self.ignored_packets += 1
            return None
        if packet.ssrc != self._heard_ssrc:
            self._heard_ssrc = packet.ssrc
            self._clock, self._voice = rtp.Clock(remote.codec.rate_hz), Voice()
        pts_us = self._clock.time_of(packet.timestamp, now_us)
        try:
            samples = codec.decode(packet.payload)
        except UndecodableError:
            self.ignored_packets += 1
            return None
        self._voice.add(pts_us, now_us, samples)
        return None

    # --- every 20 ms ------------------------------------------------------------------------

    def step(self, slot: int) -> tuple[bytes | None, Samples | None]:
        """A packet for the telephone, and what it says to the session; in order of slots."""
        at = position(slot * SLOT_US)
        mixed = self._voices.mixed(at)
        return self._packet(slot, mixed), self._speech(at)

    def _packet(self, slot: int, mixed: Samples) -> bytes | None:
        remote, codec = self._remote, self._codec
        if remote is None or codec is None or remote.is_held:
            return None
        slot_samples = remote.codec.rate_hz // 50
        if self.is_early:
            mixed = np.zeros_like(mixed)
        payload, kind, back = codec.encode(mixed), remote.codec.payload_type, 0
        marker, self._begins = self._begins, False
        can_press = remote.events is not None and not self.is_early
        part = self._keypad.step() if can_press else None
        if part is not None and remote.events is not None:
            payload, kind = part.payload(slot_samples), remote.events
            marker, back = part.is_first, part.begins_ago
            self._begins = True
        if not payload:
            return None
        self._sequence = self._sequence + 1 & 0xFFFF
        self.reports.note_sent(len(payload))
        timestamp = (slot - back) * slot_samples & 0xFFFF_FFFF
        return rtp.write(rtp.Packet(kind, marker, self._sequence, timestamp, self._ssrc, payload))

    def report(self, now_us: int, unix_s: float) -> bytes | None:
        """What goes to the telephone beside its packets, every few seconds, held or not."""
        remote = self._remote
        if remote is None or not self.reports.due(now_us):
            return None
        return self.reports.report(now_us, unix_s, now_us * remote.codec.rate_hz // 1_000_000)

    def goodbye(self, now_us: int, unix_s: float) -> bytes | None:
        remote = self._remote
        if remote is None:
            return None
        return self.reports.goodbye(now_us, unix_s, now_us * remote.codec.rate_hz // 1_000_000)

    def _speech(self, at: int) -> Samples | None:
        block = None if self._remote is None else self._voice.take(at)
        if block is not None and not self.is_muted and not self.is_held:
            self.has_spoken = True
            self._silent_slots = 0
            return block
        if not self.has_spoken:
            return None
        self._silent_slots += 1
        if self._silent_slots > _ENDING and self._silent_slots % _SIGN_OF_LIFE:
            return None
        return np.zeros(BLOCK, np.float32)
