"""One stream of an archive: its subscription, its tracks, and the frames that go to the process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sealroute_client import Subscriber
from sealroute_client.media.recording import Sample, is_key_frame
from sealroute_client.subscriber import Loss

from member.feed import Feed
from member.stream_clock import StreamClock
from sfu.egress.frame_records import CODECS, FrameRecord, Missed

_OPUS_MS = (10, 20, 40, 60)
ASK_AGAIN_S = 1.0
_VIDEO_US = 33_333
"""A video frame lasts until the next one; of the last one nobody knows how long."""


@dataclass(slots=True)
class _Track:
    ssrc: int
    codec: str
    needs_key: bool
    last_us: int | None = None
    missed_since_us: int | None = None
    loss: Loss = "network"
    asked_s: float = float("-inf")


@dataclass(slots=True)
class RecordedStream:
    """`properties` are members of `streamAdded`. `forwards`: the kinds that go into the archive."""

    stream: str
    kinds: frozenset[str]
    properties: Mapping[str, object]
    forwards: dict[str, bool] = field(default_factory=dict)
    muted: dict[str, bool] = field(default_factory=dict)
    subscriber: Subscriber | None = None
    on_doubt: Callable[[], None] = lambda: None
    """Called when what comes is encrypted under another secret than those that are there."""
    _tracks: dict[str, _Track] = field(default_factory=dict)
    _clock: StreamClock | None = None

    def begin(self, feed: Feed, subscriber: Subscriber, next_ssrc: Callable[[], int]) -> None:
        """The tracks of the subscription are known."""
        for kind, track in subscriber.tracks.items():
            if kind in self.kinds and track.codec in CODECS:
                self._tracks[kind] = _Track(next_ssrc(), track.codec, kind == "video")
        self._clock = StreamClock(frozenset(self._tracks))
        tracks = [
            {"ssrc": track.ssrc, "kind": kind, "codec": track.codec}
            for kind, track in self._tracks.items()
        ]
        feed.event(
            {**self.properties, "event": "streamAdded", "stream": self.stream, "tracks": tracks}
        )
        for kind, muted in self.muted.items():
            self.mute(feed, kind, muted=muted)
        subscriber.on_encoded = lambda sample: self._take(feed, sample)
        subscriber.on_loss = self._on_loss
        subscriber.request_key_frame()

    @property
    def is_begun(self) -> bool:
        return self._clock is not None

    def mute(self, feed: Feed | None, kind: str, *, muted: bool) -> None:
        self.muted[kind] = muted
        if feed is not None and self.is_begun:
            said = {"event": "muted", "stream": self.stream, "kind": kind, "muted": muted}
            feed.event(said)

    def arrange(self, feed: Feed | None, classes: list[str]) -> None:
        """Its layout classes."""
        self.properties = {**self.properties, "layoutClassList": classes}
        if feed is not None and self.is_begun:
            said = {"stream": self.stream, "layoutClassList": classes}
            feed.event({"event": "layoutClassList", **said})

    def end(self, feed: Feed) -> None:
        """What waits for its time is written first."""
        if self._clock is None:
            return
        for at_us, sample in self._clock.settle():
            self._write(feed, at_us, sample)
        if self.subscriber is not None:
            self.subscriber.on_encoded = None
        for track in self._tracks.values():
            if track.loss == "secret":
                self._write_missed(feed, track, feed.now_us())
        feed.event({"event": "streamRemoved", "stream": self.stream, "reason": ""})

    def wants_key_frame(self, ssrc: int) -> bool:
        """Whether the track is this stream's; then its video is asked for one."""
        found = any(track.ssrc == ssrc for track in self._tracks.values())
        if found and self.subscriber is not None:
            self.subscriber.request_key_frame()
        return found

    def forward(self, kind: str, *, on: bool) -> None:
        self.forwards[kind] = on
        track = self._tracks.get(kind)
        if on and kind == "video" and track is not None:
            track.needs_key = True
            self.wants_key_frame(track.ssrc)

    def _ask(self, track: _Track, now_s: float) -> None:
        """A request, or what it asked for, may be lost on its way."""
        if self.subscriber is not None and now_s >= track.asked_s + ASK_AGAIN_S:
            track.asked_s = now_s
            self.subscriber.request_key_frame()

    def _on_loss(self, kind: str, loss: Loss) -> None:
        if loss == "secret":
            self.on_doubt()
        track = self._tracks.get(kind)
        if track is None or (kind == "audio" and loss == "network"):
            return
        if kind == "video":
            track.needs_key = True
        if track.missed_since_us is None:
            track.missed_since_us = track.last_us
        if loss == "secret":
            track.loss = loss

    @staticmethod
    def _write_missed(feed: Feed, track: _Track, to_us: int) -> None:
        if track.missed_since_us is not None:
            feed.missed(Missed(track.ssrc, track.missed_since_us, to_us, track.loss))
        track.missed_since_us, track.loss = None, "network"

    def _take(self, feed: Feed, sample: Sample) -> None:
        if self._clock is not None:
            for at_us, one in self._clock.place(sample):
                self._write(feed, at_us, one)

    def _write(self, feed: Feed, at_us: int, sample: Sample) -> None:
        track = self._tracks.get(sample.kind)
        if track is None or not self.forwards.get(sample.kind, True):
            return
        if sample.codec != track.codec:
            return  # what was announced; another one is another stream
        is_video = sample.kind == "video"
        key = is_video and is_key_frame(sample.codec, sample.data)
        if is_video and track.needs_key and not key:
            self._ask(track, sample.arrived_s)
            return
        # Time never goes back within a track.
        at_us = at_us if track.last_us is None else max(at_us, track.last_us + 1)
        if key or not is_video:
            self._write_missed(feed, track, at_us)
        duration_us = _lasts_us(sample, at_us, track.last_us)
        record = FrameRecord(track.ssrc, sample.codec, key, at_us, duration_us, sample.data)
        is_written = feed.frame(record)
        track.needs_key = is_video and not is_written
        track.last_us = at_us


def _lasts_us(sample: Sample, at_us: int, before_us: int | None) -> int:
    if sample.kind == "audio":
        return opus_us(sample.data)
    return _VIDEO_US if before_us is None else min(at_us - before_us, 1_000_000)


def opus_us(packet: bytes) -> int:
    """How long an Opus packet lasts: RFC 6716 section 3.1."""
    if not packet:
        return 0
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        one_us = _OPUS_MS[config & 3] * 1_000
    elif config < 16:
        one_us = 10_000 << (config & 1)
    else:
        one_us = 2_500 << (config & 3)
    frames = (1, 2, 2)[code] if code < 3 else (packet[1] & 0x3F if len(packet) > 1 else 0)
    return min(one_us * frames, 120_000)
