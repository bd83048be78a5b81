"""Whatever a publisher does, and in whatever order its tracks arrive: files that can be read."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.egress.individual_archive import ORIGIN_US, Archive
from tests.unit.egress.media import AUDIO_US, VIDEO_US, added, frame, json_item, read_back, video

CODECS = ("vp8", "h264", "av1")
SIZES = ((64, 48), (128, 96))
STEP_US = 100_000

changes = st.one_of(
    st.tuples(st.just("camera"), st.sampled_from(SIZES)),
    st.tuples(st.just("codec"), st.sampled_from(CODECS)),
    st.tuples(st.just("again"), st.none()),
    st.tuples(st.just("mute"), st.sampled_from(["audio", "video"])),
    st.tuples(st.just("loss"), st.integers(1, 300)),
    st.tuples(st.just("pause"), st.integers(1, 5)),
)
steps = st.lists(st.tuples(changes, st.sampled_from([0, 1, 3, 8, 30])), max_size=12)
delays_us = st.sampled_from([-150_000, -60_000, 0, 60_000, 150_000])


class Publisher:
    """Sends what a real one could send. `audio_sent` is what no archive may lose."""

    def __init__(self, archive, video_delay_us):
        self.archive, self.video_delay_us = archive, video_delay_us
        self.at_us, self.ssrc, self.codec, self.size = 0, 10, "vp8", SIZES[0]
        self.muted, self.late, self.next_frame = set(), [], 0
        self.audio_sent = 0
        self.add()

    def add(self):
        event = added(video_ssrc=self.ssrc, audio_ssrc=self.ssrc + 1, codec=self.codec)
        self.archive.play(json_item(event, self.at_us))
        self.muted.clear()

    def send(self, count):
        for _ in range(count):
            if "audio" not in self.muted:
                for number in range(STEP_US // AUDIO_US):
                    self.deliver(self.ssrc + 1, "opus", b"\xfc\xff\xfe", number * AUDIO_US)
                    self.audio_sent += 1
            if "video" not in self.muted:
                for number in range(3):
                    key, data = video(self.codec, 40, self.size)[self.next_frame % 40]
                    self.next_frame += 1
                    size = self.size if key else (0, 0)
                    at_us = number * VIDEO_US
                    self.deliver(self.ssrc, self.codec, data, at_us, key=key, size=size)
            self.at_us += STEP_US
            self.flush(self.at_us - abs(self.video_delay_us))
            self.archive.archive.handle_time(ORIGIN_US + self.at_us)

    def deliver(self, ssrc, codec, data, offset_us, **more):
        """One track arrives later than the other, as far as a reader may hold it back."""
        item = frame(ssrc, codec, data, self.at_us + offset_us, **more)
        is_late = (codec != "opus") == (self.video_delay_us > 0)
        if is_late:
            self.late.append(item)
        else:
            self.archive.play(item)

    def flush(self, until_us):
        ready = [item for item in self.late if item[5] <= until_us]
        self.late = [item for item in self.late if item[5] > until_us]
        self.archive.play(*ready)

    def camera(self, size):
        self.size, self.next_frame = size, 0

    def codec_changed(self, codec):
        self.codec, self.next_frame = codec, 0

    def again(self, _):
        self.flush(self.at_us)
        self.archive.play(json_item({"event": "streamRemoved", "stream": "s1"}, self.at_us))
        self.ssrc, self.next_frame = self.ssrc + 10, 0
        self.add()

    def mute(self, kind):
        is_muted = kind not in self.muted
        (self.muted.add if is_muted else self.muted.discard)(kind)
        event = {"event": "muted", "stream": "s1", "kind": kind, "muted": is_muted}
        self.archive.play(json_item(event, self.at_us))
        if kind == "video" and not is_muted:
            self.next_frame = 0

    def loss(self, ms):
        self.archive.play(("lost", self.ssrc, 3, self.at_us, self.at_us + ms * 1_000))

    def pause(self, steps_long):
        self.flush(self.at_us)
        self.archive.archive.pause(ORIGIN_US + self.at_us)
        self.at_us += steps_long * STEP_US
        self.archive.archive.resume(ORIGIN_US + self.at_us)
        self.next_frame = 0

    def act(self, name, value):
        acts = {"camera": self.camera, "codec": self.codec_changed}
        acts |= {"again": self.again, "mute": self.mute, "loss": self.loss, "pause": self.pause}
        acts[name](value)


@settings(max_examples=60)
@given(steps, delays_us)
def test_files_can_be_read_and_no_audio_is_lost(acts, video_delay_us):
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Path(folder))
        publisher = Publisher(archive, video_delay_us)
        publisher.send(10)
        for (name, value), count in acts:
            publisher.act(name, value)
            publisher.send(count)
        publisher.flush(publisher.at_us)
        manifest = archive.finish()
        audio = 0
        for file in manifest["files"]:
            back = read_back(Path(folder) / "out" / file["filename"])
            audio += len(back.times.get("audio", []))
            assert back.first_is_key.get("video", True)
            for kind, times in back.times.items():
                assert times == sorted(times)
                assert back.decoded[kind] == len(times)
            longest_us = max(map(max, back.times.values()))
            lasts_ms = file["stopTimeOffset"] - file["startTimeOffset"]
            assert longest_us <= lasts_ms * 1_000 + 1_000
            assert all(file["startTimeOffset"] - 1 <= gap[0] <= gap[1] for gap in file["gaps"])
        assert audio == publisher.audio_sent
