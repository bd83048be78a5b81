"""What an application gives a Session that it cannot use has an error of its own."""

import dataclasses

import numpy as np
import pytest
from aiortc import AudioStreamTrack, VideoStreamTrack
from sealroute_client import InvalidParameter, RecordingError, Session, events
from sealroute_client.cli_output import printable, progress
from sealroute_client.credentials import Credentials
from sealroute_client.emitter import Emitter, Event
from sealroute_client.media.recording import make_folder
from sealroute_client.media.sources import is_device_name, open_source


@pytest.mark.parametrize(
    "url", ["", "host", "host:8080", "ftp://host", "http://", "//host", "http://["]
)
def test_a_url_without_scheme_or_host_is_refused(url) -> None:
    with pytest.raises(InvalidParameter, match="URL"):
        _ = Credentials(url, "", "", "").socket_url


async def test_a_bad_url_fails_before_any_network_use_and_can_be_tried_again() -> None:
    session = Session("localhost:1", "key", "session", "token")
    for _ in range(2):
        with pytest.raises(InvalidParameter, match="http://"):
            await session.connect()


@pytest.mark.parametrize(
    ("audio", "video", "words"),
    [
        (False, np.zeros((2, 2, 3), np.uint8), "ndarray"),
        (True, "camera", "str"),
        (None, True, "NoneType"),
        (VideoStreamTrack(), True, "audio"),
        (True, AudioStreamTrack(), "video"),
        (False, False, "Nothing"),
    ],
)
async def test_what_is_no_track_is_refused_by_its_kind(audio, video, words) -> None:
    with pytest.raises(InvalidParameter, match=words):
        await open_source(None, audio, video, loop=False, is_device=False)


def test_a_folder_that_takes_no_file_is_refused_with_the_reason(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RecordingError, match="cannot be written"):
            make_folder(folder)
    make_folder(tmp_path / "made")
    assert list((tmp_path / "made").iterdir()) == []


def test_a_device_is_known_by_its_name_and_a_missing_file_is_none(tmp_path) -> None:
    assert is_device_name("/dev/video0")
    assert is_device_name("hw:0")
    assert not is_device_name("/nonexistent.mp4")
    assert not is_device_name(tmp_path / "default.mp4")


EVENTS = [kind for kind in vars(events).values() if isinstance(kind, type)]
EVENTS = [kind for kind in EVENTS if issubclass(kind, Event) and kind is not Event]


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_has_a_name_and_camel_case_on_the_wire(kind) -> None:
    made = kind(*[None for _ in dataclasses.fields(kind)])
    assert made.name
    assert not any("_" in key for key in made.detail)
    assert len(made.detail) == len(dataclasses.fields(kind))


def test_listeners_are_found_by_name_and_by_class_and_one_that_fails_stops_no_other(caplog) -> None:
    seen: list[str] = []
    emitter = Emitter()

    def fail(_event: Event) -> None:
        raise ValueError

    emitter.on(events.Ended, fail)
    emitter.on("ended", lambda event: seen.append(event.stream_id))
    emitter.on(events.Ended, lambda event: seen.append(event.name))
    emitter.on("*", lambda event: seen.append("any"))
    emitter.emit(events.Ended("s"))
    assert seen == ["s", "ended", "any"]
    assert "listener failed" in caplog.text


@pytest.mark.parametrize("name", ["nosuchevent", "signalReceived", "stream_created", ""])
def test_a_name_that_no_event_has_is_refused_with_the_names_that_there_are(name) -> None:
    session = Session("http://host", "key", "session", "token")
    with pytest.raises(InvalidParameter, match=r"connectionCreated.*streamCreated") as caught:
        session.on(name, print)
    assert all(kind.name in str(caught.value) for kind in EVENTS)
    assert session._listeners == {}
    session.off(name, print)
    for kind in EVENTS:
        session.on(kind.name, print)


def test_progress_shows_frames_bitrate_and_loss_in_one_line() -> None:
    stream = {"video": {"frames": 10, "bytes": 1}, "audio": {"frames": 20, "bytes": 1}}
    stats = {"sent": {}, "received": {"s": stream}, "packetsLost": 3, "failed": 0, "decrypted": 30}
    assert progress(stats, 1_234_567) == "got 30 frames | 1,235 kbit/s | 3 packets lost"
    stats |= {"sent": {"t": stream}, "failed": 7}
    assert "sent 30 frames" in progress(stats, 0)
    assert "7 did not open" in progress(stats, 0)


def test_names_from_others_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[2Jb\r\nc") == "a?[2Jb??c"
