"""The streams of a session as one image and one audio track, tick after tick.

A tick is 1/30 s. Whatever comes, or does not, each tick has its image, and the audio has no gap:
a slow machine makes all of them later. Times are those of the job; nothing here reads a clock.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from sfu.egress.child.encoded import AUDIO_BLOCK, Encoded
from sfu.egress.child.events import StreamAdded
from sfu.egress.child.frames import Frame
from sfu.egress.child.layout import LayoutRule, LayoutType
from sfu.egress.child.mix import LOOKAHEAD, Mixer
from sfu.egress.child.plan import SAMPLES_PER_TICK, Stage, tick_us
from sfu.egress.composer.canvas import Canvas
from sfu.egress.composer.encode import Encoders
from sfu.egress.composer.streams import ComposedStream
from sfu.egress.composition import Composition, Layout
from sfu.egress.control import IgnoredReason


class Composer:
    """`tick`: the number of the first image, where another process made those before it."""

    def __init__(self, wanted: Composition, encoders: Encoders, tick: int = 0) -> None:
        self._encoders = encoders
        self._stage = Stage(wanted.width, wanted.height, rule_of(wanted.layout))
        self._canvas = Canvas(wanted.width, wanted.height) if wanted.has_video else None
        self._mixer = Mixer(tick * SAMPLES_PER_TICK)
        self._streams: dict[str, ComposedStream] = {}
        self._by_ssrc: dict[int, ComposedStream] = {}
        self._due: deque[tuple[int, Callable[[int], None]]] = deque()
        self._tick = tick
        self._wanted_key_frames: set[int] = set()
        self._ignored: Counter[IgnoredReason] = Counter()

    @property
    def next_tick(self) -> int:
        return self._tick

    def has(self, ssrcs: Iterable[int]) -> bool:
        """Whether there is a stream of just these tracks."""
        wanted = frozenset(ssrcs)
        return any(self._by_ssrc[one].ssrcs == wanted for one in wanted if one in self._by_ssrc)

    @property
    def waiting_bytes(self) -> int:
        return sum(stream.waiting_bytes for stream in self._streams.values())

    @property
    def ignored(self) -> Counter[IgnoredReason]:
        """What was not composed."""
        return sum((one.refused for one in self._streams.values()), self._ignored)

    # --- what happens in the session: each at its time, with the frames of that time ------------

    def add(self, added: StreamAdded, at_us: int, classes: Sequence[str] | None = None) -> None:
        """`classes`: those that it has now, where they changed since it was added."""
        stream = ComposedStream(added, at_us)
        self._by_ssrc |= dict.fromkeys(stream.ssrcs, stream)
        shown = added.layout_class_list if classes is None else classes
        self._at(at_us, lambda now_us: self._add(stream, now_us, shown))

    def remove(self, stream: str, at_us: int) -> None:
        self._at(at_us, lambda _: self._remove(stream))

    def set_muted(self, stream: str, kind: str, at_us: int, *, muted: bool) -> None:
        if kind == "video":
            self._at(at_us, lambda now_us: self._stage.set_muted(stream, now_us, muted=muted))

    def set_classes(self, stream: str, classes: Sequence[str], at_us: int) -> None:
        self._at(at_us, lambda _: self._stage.set_classes(stream, classes))

    def set_layout(self, layout: Layout, at_us: int) -> None:
        self._at(at_us, lambda _: self._stage.set_rule(rule_of(layout)))

    def knows(self, frame: Frame) -> bool:
        return frame.ssrc in self._by_ssrc

    def handle_frame(self, frame: Frame, at_us: int) -> None:
        """One of a stream that it knows."""
        self._by_ssrc[frame.ssrc].add(frame, at_us)

    def skip(self, at_us: int) -> list[int]:
        """Frames before this time are missing: after a pause. The video tracks."""
        self._at(at_us, lambda _: self._need_key_frames())
        tracks = [track for one in self._streams.values() for track in one.added.tracks]
        return [track.ssrc for track in tracks if track.kind == "video"]

    def take_wanted_key_frames(self) -> list[int]:
        """The tracks that cannot go on without a key frame."""
        wanted, self._wanted_key_frames = sorted(self._wanted_key_frames), set()
        return wanted

    # --- a tick ----------------------------------------------------------------------------------

    def make_tick(self, *, same_image: bool = False) -> Iterator[Encoded]:
        """The next image, and the audio up to it. `same_image`: the last one again, which costs
        less."""
        at_us = tick_us(self._tick)
        while self._due and self._due[0][0] <= at_us:
            self._due.popleft()[1](at_us)
        for name, stream in self._streams.items():
            stream.decode_audio(at_us)
            self._decode_video(name, stream, at_us)
        if self._canvas is not None:
            yield from self._image(self._canvas, at_us, same_image=same_image)
        # Up to the time of the image: what comes later is not decoded yet.
        yield from self._audio(self._tick * SAMPLES_PER_TICK - AUDIO_BLOCK - LOOKAHEAD)
        self._tick += 1

    def finish(self) -> Iterator[Encoded]:
        """The rest of the audio. Nothing follows."""
        for stream in self._streams.values():
            stream.decode_audio(tick_us(self._tick))
        yield from self._audio(self._tick * SAMPLES_PER_TICK - 1)
        yield from self._encoders.finish()

    def close(self) -> None:
        self._encoders.close()

    def _image(self, canvas: Canvas, at_us: int, *, same_image: bool) -> Iterator[Encoded]:
        if not same_image:
            images = {
                name: stream.image
                for name, stream in self._streams.items()
                if stream.image is not None
            }
            canvas.paint(self._stage.at(at_us), images)
        yield from self._encoders.encode_video(canvas.copy())

    def _decode_video(self, name: str, stream: ComposedStream, at_us: int) -> None:
        is_visible = self._canvas is not None and self._stage.is_visible(name)
        newest_us = stream.decode_video(at_us, is_visible=is_visible)
        if newest_us is not None:
            self._stage.handle_frame(name, newest_us)
        if is_visible:
            self._wanted_key_frames.update(stream.wanted_key_frames(at_us))

    def _audio(self, up_to: int) -> Iterator[Encoded]:
        """Blocks that begin at or before this sample."""
        if self._encoders.audio is None:
            return
        while self._mixer.position <= up_to:
            lanes = [stream.lane for stream in self._streams.values()]
            yield from self._encoders.encode_audio(self._mixer.mix(lanes, AUDIO_BLOCK))

    # --- at their time ---------------------------------------------------------------------------

    def _at(self, at_us: int, action: Callable[[int], None]) -> None:
        """In the order in which they were said."""
        before_us = self._due[-1][0] if self._due else at_us
        self._due.append((max(at_us, before_us), action))

    def _add(self, stream: ComposedStream, at_us: int, classes: Sequence[str]) -> None:
        name = stream.added.stream
        self._remove(name)
        self._streams[name] = stream
        self._by_ssrc |= dict.fromkeys(stream.ssrcs, stream)
        self._stage.add(
            name,
            at_us,
            has_video=stream.added.has("video"),
            video_type=stream.added.video_type,
            classes=classes,
        )

    def _need_key_frames(self) -> None:
        for stream in self._streams.values():
            stream.need_key_frames()

    def _remove(self, name: str) -> None:
        stream = self._streams.pop(name, None)
        if stream is None:
            return
        for ssrc in stream.ssrcs:
            self._by_ssrc.pop(ssrc, None)
        self._ignored += stream.refused
        self._stage.remove(name)
        if self._canvas is not None:
            self._canvas.forget(name)


def rule_of(layout: Layout) -> LayoutRule:
    if layout.type == "custom":
        return LayoutRule(placed=layout.placed)
    screenshare = None if layout.screenshare is None else LayoutType(layout.screenshare)
    return LayoutRule(LayoutType(layout.type), screenshare)
