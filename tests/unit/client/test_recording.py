"""A recording begins with the first key frame that is whole, and asks until there is one."""

from types import SimpleNamespace

import av
import pytest
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder, VpxPayloadDescriptor
from sealroute_client.cli_run import reception_fault
from sealroute_client.errors import NotConnected
from sealroute_client.media import layered
from sealroute_client.media.inbound import EncodedFrame
from sealroute_client.media.recording import Recording, RecordingError, Sample, can_begin
from sealroute_client.media.sources import draw_pattern
from sealroute_client.subscriber import Subscriber

from tests.unit.egress.media import video

PACKET_BYTES = 500


def vp8_frames(count: int) -> list[bytes]:
    """Of a real encoder, the first a key frame."""
    encoder, frames = Vp8Encoder(), []
    for number in range(count):
        payloads, _ = encoder.encode(draw_pattern(number, 640, 480), force_keyframe=number == 0)
        frames.append(b"".join(VpxPayloadDescriptor.parse(payload)[1] for payload in payloads))
    return frames


def sample(data: bytes, at: int, codec: str = "vp8") -> Sample:
    return Sample("video", codec, data, at * 3_000, at / 30, None)


def test_a_key_frame_without_its_first_packet_is_none() -> None:
    (whole,) = vp8_frames(1)
    assert can_begin("vp8", whole)
    # Each looks like a key frame by its first bit.
    for at in (at for at in range(PACKET_BYTES, len(whole)) if not whole[at] & 1):
        assert not can_begin("vp8", whole[at:])
    encoder = H264Encoder()
    nals = [bytes(p) for p in encoder._encode_frame(draw_pattern(0, 320, 240), True)]
    start = b"\0\0\0\1"
    kinds = {nal[0] & 0x1F: nal for nal in nals}
    assert can_begin("h264", start + start.join(nals))
    assert not can_begin("h264", start + kinds[5])


def test_a_torn_key_frame_at_the_start_does_not_end_the_recording(tmp_path) -> None:
    recording = Recording(tmp_path / "r.webm", frozenset({"video"}))
    frames = vp8_frames(4)
    recording.put(sample(b"\0" + frames[0][PACKET_BYTES:], 0))
    assert recording.needs_key_frame
    for number, whole in enumerate(frames, 1):
        recording.put(sample(whole, number))
    recording.close()
    assert (recording.error, recording.counts.frames["video"]) == (None, 4)
    with av.open(str(recording.path)) as written:
        assert len(list(written.decode(video=0))) == 4


@pytest.fixture
def subscriber():
    return with_video(Subscriber({"streamId": "s"}, None, lambda *_: None, lambda **_: None))


def with_video(made: Subscriber) -> Subscriber:
    asked = []
    tap = SimpleNamespace(
        give_to=lambda take, on_gap: tap.__dict__.update(take=take, on_gap=on_gap) or 1,
        request_key_frame=lambda: asked.append(made._clock()),
        take_from=lambda _generation: tap.__dict__.update(take=None),
        report=None,
        take=None,
    )
    made.bind("video", "vp8", tap, None)
    made.asked, made.tap = asked, tap
    return made


async def test_a_recording_asks_until_the_key_frame_has_come(subscriber, tmp_path) -> None:
    now_s = 0.0
    subscriber._clock = lambda: now_s
    subscriber.record(tmp_path)
    subscriber.asked.clear()  # that one is lost
    key, *deltas = vp8_frames(3)
    for number in range(90):
        now_s = number / 30
        subscriber.tap.take(EncodedFrame("vp8", deltas[number % 2], number * 3_000))
    assert subscriber.asked == [0.0, 1.0, 2.0]
    subscriber.tap.take(EncodedFrame("vp8", key, 270_000))
    now_s = 10.0
    subscriber.tap.take(EncodedFrame("vp8", deltas[0], 273_000))
    assert len(subscriber.asked) == 3
    await subscriber.close()
    assert subscriber.recording.counts.frames["video"] == 2


@pytest.mark.parametrize("as_text", [True, False])
async def test_a_recording_can_be_asked_for_at_once_after_subscribing(tmp_path, as_text) -> None:
    made = Subscriber({"streamId": "s"}, None, lambda *_: None, lambda **_: None)
    folder = tmp_path / "new" / "rec"
    path = made.record(str(folder) if as_text else folder)
    assert (path, made.recording) == (folder / "s.mkv", None)
    with_video(made)
    for number, data in enumerate(vp8_frames(4)):
        made.tap.take(EncodedFrame("vp8", data, number * 3_000))
    await made.close()
    assert (made.recording.error, made.recording.counts.frames["video"]) == (None, 4)
    with av.open(str(path)) as written:
        assert written.format.name.startswith("matroska")
        assert len(list(written.decode(video=0))) == 4


def test_an_application_can_have_the_frames_as_their_encoder_made_them(subscriber) -> None:
    given, missing = [], []
    subscriber.on_encoded = given.append
    subscriber.on_loss = lambda kind, loss: missing.append((kind, loss))
    frames = vp8_frames(3)
    for number, data in enumerate(frames):
        subscriber.tap.take(EncodedFrame("vp8", data, number * 3_000))
    assert [(one.kind, one.codec, one.data) for one in given] == [
        ("video", "vp8", data) for data in frames
    ]
    assert [one.timestamp for one in given] == [0, 3_000, 6_000]
    subscriber.tap.on_gap()
    assert missing == [("video", "network")]


async def test_a_subscription_is_recorded_once(subscriber, tmp_path) -> None:
    subscriber.record(tmp_path / "first")
    with pytest.raises(RecordingError, match="recorded already"):
        subscriber.record(tmp_path / "second")
    assert not (tmp_path / "second").exists()


async def test_what_has_ended_is_not_recorded(subscriber, tmp_path) -> None:
    await subscriber.close()
    with pytest.raises(NotConnected, match="ended"):
        subscriber.record(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_could_not_be_written_is_a_failure(subscriber, tmp_path) -> None:
    recording = Recording(tmp_path / "missing" / "r.webm", frozenset({"video"}))
    recording.put(sample(vp8_frames(1)[0], 0))
    recording.close()
    subscriber.recording = recording
    fault = reception_fault(subscriber)
    assert (fault.code, "FileNotFoundError" in str(fault)) == ("recording_failed", True)


@pytest.mark.parametrize(
    ("failed", "decrypted", "is_mismatched", "code"),
    [
        (0, 0, False, None),
        (3, 0, False, "encryption_secret_mismatch"),
        (3, 90, False, None),
        (90, 90, True, "encryption_secret_mismatch"),
    ],
    ids=["nothing came", "too short to tell", "late secret", "the secret changed"],
)
def test_what_was_received_under_another_secret_is_a_fault(
    subscriber, failed, decrypted, is_mismatched, code
) -> None:
    state = subscriber.state
    state.failed, state.decrypted, state.is_mismatched = failed, decrypted, is_mismatched
    fault = reception_fault(subscriber)
    assert (None if fault is None else fault.code) == code


@pytest.mark.parametrize("codec", ["vp9", "av1"])
def test_a_recording_of_a_layered_codec_has_all_its_frames(tmp_path, codec) -> None:
    recording = Recording(tmp_path / "a.webm", frozenset({"video"}))
    for number, (_, data) in enumerate(video(codec, 12)):
        whole = layered.join(codec, [data])
        recording.put(Sample("video", codec, whole, number * 3_000, number / 30, None))
    recording.close()
    assert recording.error is None
    with av.open(str(tmp_path / "a.webm")) as written:
        assert len(list(written.decode(video=0))) == 12
