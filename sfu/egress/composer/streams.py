"""One stream of a composed job: frames wait for their time, and are decoded when they are due."""

from collections import Counter

from sfu.egress.child.events import StreamAdded
from sfu.egress.child.frames import Frame
from sfu.egress.child.mix import Lane
from sfu.egress.child.plan import FrameQueue, sample_at
from sfu.egress.composer.canvas import Image
from sfu.egress.composer.decode import VIDEO_CODECS, AudioDecoder, DecodeError, VideoDecoder
from sfu.egress.control import IgnoredReason

MAX_SIDE = 4_096
"""Pixels: larger video is of no participant, and each of them is decoded."""
_ASK_US = 1_000_000
"""How often a key frame is asked for."""


class ComposedStream:
    """`image` is the newest one, `lane` its audio."""

    def __init__(self, added: StreamAdded, at_us: int) -> None:
        self.added = added
        self.image: Image | None = None
        self.lane = Lane()
        self.refused: Counter[IgnoredReason] = Counter()
        self._queues = {track.ssrc: FrameQueue() for track in added.tracks}
        self._video_ssrcs = [track.ssrc for track in added.tracks if track.kind == "video"]
        self._video: VideoDecoder | None = None
        self._audio: AudioDecoder | None = None
        self._codec = ""
        self._degrees = self._number = 0
        self._asked_us = at_us
        self.need_key_frames()

    @property
    def ssrcs(self) -> frozenset[int]:
        return frozenset(self._queues)

    @property
    def waiting_bytes(self) -> int:
        return sum(queue.size_bytes for queue in self._queues.values())

    def add(self, frame: Frame, at_us: int) -> None:
        if frame.kind == "video" and frame.codec not in VIDEO_CODECS:
            self.refused["not_in_a_file"] += 1
        elif max(frame.width, frame.height) > MAX_SIDE:
            self.refused["frame_too_large"] += 1
            self.need_key_frames()
        else:
            self._queues[frame.ssrc].add(at_us, frame)

    def need_key_frames(self) -> None:
        for ssrc in self._video_ssrcs:
            self._queues[ssrc].need_key()

    def decode_audio(self, until_us: int) -> None:
        for ssrc, queue in self._queues.items():
            if ssrc not in self._video_ssrcs:
                for at_us, frame in queue.take(until_us):
                    self._decode_audio(frame, at_us)

    def decode_video(self, until_us: int, *, is_visible: bool) -> int | None:
        """The time of the newest image, if there is a new one."""
        before, newest = self._number, None
        for ssrc in self._video_ssrcs:
            queue = self._queues[ssrc]
            due = queue.take(until_us)
            if is_visible:
                self._decode_all(queue, [frame for _, frame in due])
            elif due:
                queue.need_key()
                self.image = None
            if due and self._number != before:
                newest = due[-1][0]
        return newest

    def wanted_key_frames(self, at_us: int) -> list[int]:
        """The tracks that go on with a key frame only, at most once a second."""
        wanted = [ssrc for ssrc in self._video_ssrcs if self._queues[ssrc].needs_key]
        if not wanted or at_us - self._asked_us < _ASK_US:
            return []
        self._asked_us = at_us
        return wanted

    def _decode_audio(self, frame: Frame, at_us: int) -> None:
        try:
            self._audio = self._audio or AudioDecoder(frame.codec)
            self.lane.add(sample_at(at_us), self._audio.decode(frame.data))
        except DecodeError:
            self.refused["not_decoded"] += 1

    def _decode_all(self, queue: FrameQueue, frames: list[Frame]) -> None:
        is_broken = False
        for frame in frames:
            if frame.key or not is_broken:
                is_broken = not self._decode_video(frame)
        if is_broken:
            queue.need_key()

    def _decode_video(self, frame: Frame) -> bool:
        """False: what follows has no reference."""
        try:
            if self._video is None or frame.codec != self._codec:
                self._video, self._codec = VideoDecoder(frame.codec), frame.codec
            decoded = self._video.decode(frame.data)
        except DecodeError:
            self.refused["not_decoded"] += 1
            self._video = None
            return False
        if frame.degrees is not None:
            self._degrees = frame.degrees
        if decoded is not None:
            self._number += 1
            self.image = Image(decoded, self._number, self._degrees)
        return True
