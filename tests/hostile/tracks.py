"""What clients send and receive, as the hostile server has it: streams and m-lines."""

from __future__ import annotations

import itertools
import random
import time
from typing import TYPE_CHECKING

from tests.hostile import sdp
from tests.hostile.codecs import CODECS, begins_key_frame
from tests.hostile.lie import Message
from tests.hostile.media import Rtp

if TYPE_CHECKING:
    from tests.hostile.member import Member

AUDIO_TYPE, VIDEO_TYPE = 111, 96
MID_EXTENSION = 4


class UpTrack:
    """One m-line that a client sends."""

    def __init__(self, stream: Stream, section: sdp.Section, line: sdp.Line) -> None:
        self.stream = stream
        self.kind, self.mid = section.kind, section.mid
        self.ssrcs = section.ssrcs
        self.payload_types = {n: name.partition("/")[0] for n, name in line.formats.items()}
        self.mid_extension = section.extension(sdp.MID_URI)
        self.kept: list[Rtp] = []
        """What was sent so far: a server records."""


class Stream:
    def __init__(self, owner: Member, stream_id: str, request: Message) -> None:
        self.owner, self.stream_id = owner, stream_id
        self.request = request
        self.tracks: dict[str, UpTrack] = {}
        self.is_live = False

    def info(self) -> Message:
        return {
            "streamId": self.stream_id,
            "connectionId": self.owner.connection_id,
            "creationTime": int(time.time() * 1000),
            "name": self.request.get("name", ""),
            "hasAudio": self.request.get("hasAudio", True) and "audio" in self.tracks,
            "hasVideo": self.request.get("hasVideo", True) and "video" in self.tracks,
            "videoType": self.request.get("videoType") or "camera",
            "videoDimensions": self.request.get("videoDimensions"),
            "frameRate": self.request.get("frameRate"),
            "codecs": {kind: self.owner.room.codec(kind) for kind in self.tracks},
        }


class DownLine:
    """One m-line that a client receives, and the numbers that its packets have."""

    def __init__(self, owner: Member, kind: str, mid: str) -> None:
        self.owner, self.kind, self.mid = owner, kind, mid
        self.ssrc = random.randrange(1, 2**32)
        self.payload_type = AUDIO_TYPE if kind == "audio" else VIDEO_TYPE
        self.subscriber_id = ""
        self.stream_id = ""
        self.told_stream_id = ""
        self.numbers = itertools.count(random.randrange(1_000, 30_000))
        self.source: UpTrack | None = None
        self.is_held = self._needs_key = False
        self.last = 0
        """The newest timestamp that was sent."""
        self.kept: list[Rtp] = []
        """What the subscriber was sent of live media: a server records."""
        self._shift = 0
        self._is_moved = False

    @property
    def codec(self) -> str:
        return self.owner.room.codec(self.kind)

    @property
    def _mime(self) -> str:
        return CODECS[self.codec].mime

    def offered(self) -> sdp.Line:
        return sdp.Line(
            self.kind,
            self.mid,
            {self.payload_type: "opus/48000/2" if self.kind == "audio" else self._mime},
            "sendonly" if self.subscriber_id else "inactive",
            {MID_EXTENSION: sdp.MID_URI},
            self.ssrc,
            self.stream_id or "none",
        )

    def track(self) -> Message:
        return {
            "mid": self.mid,
            "kind": self.kind,
            "codec": self.codec,
            "subscriberId": self.subscriber_id,
            "streamId": self.told_stream_id or self.stream_id,
        }

    def dress(self, packet: Rtp) -> Rtp:
        """The packet as one of this m-line, with the next number."""
        return Rtp(
            self.payload_type,
            next(self.numbers) & 0xFFFF,
            (packet.timestamp + self._shift) & 0xFFFFFFFF,
            self.ssrc,
            packet.payload,
            packet.marker,
            {MID_EXTENSION: self.mid.encode()},
        )

    def send(self, packet: Rtp) -> None:
        """A lie: a packet that was not forwarded now."""
        if self._send(packet):
            self.owner.room.lied("rtp")

    def _send(self, packet: Rtp) -> bool:
        self.last = packet.timestamp
        return self.owner.downlink is not None and self.owner.downlink.send(packet)

    def inject(self, packets: list[Rtp]) -> None:
        """Sends these as if they were live: later ones, with numbers and times that go on."""
        gap = 960 if self.kind == "audio" else 7_500
        first = packets[0].timestamp if packets else 0
        start = self.last + gap
        for packet in packets:
            moved = packet.but(timestamp=packet.timestamp - first + start - self._shift)
            self.send(self.dress(moved))
        self._is_moved = True

    def hold(self, held: bool) -> None:
        """Nothing live is forwarded; later video begins again with a key frame."""
        self.is_held, self._needs_key = held, self.kind == "video"
        if not held:
            self.ask_for_key_frame()

    def forward(self, packet: Rtp) -> None:
        self._needs_key = self._needs_key and not begins_key_frame(self.codec, packet.payload)
        if not self.is_held and not self._needs_key:
            if self._is_moved:
                gap = 960 if self.kind == "audio" else 7_500
                self._shift, self._is_moved = self.last + gap - packet.timestamp, False
            dressed = self.dress(packet)
            told = list(self.owner.room.lie.down(self, dressed))
            if self.owner.downlink is not None and self.owner.downlink.is_connected.is_set():
                self.kept.append(dressed)
                if told != [dressed]:
                    self.owner.room.lied("rtp")
            for made in told:
                self._send(made)

    def ask_for_key_frame(self) -> None:
        if self.source is not None and self.kind == "video":
            self.source.stream.owner.ask_for_key_frame(self.source)
