"""Captions of live calls: somebody speaks, this server recognizes it, and who asked reads it. The
speech is synthetic, so that each word is known."""

import asyncio
import subprocess
from fractions import Fraction

import numpy as np
import pytest
from aiortc import MediaStreamTrack
from av import AudioFrame
from opentok import Roles, exceptions

from config.caption_settings import CaptionSettings
from tests.media_site import media_site
from tests.served import NEEDS_THE_MEDIA_CORE, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_THE_MEDIA_CORE,
]
MORNING = "good morning everybody and welcome to the meeting"
FORWARD = "go forward ten meters and turn left"
SPOKEN_S = 40
"""How long a busy machine may take to recognize a sentence."""


def speech(text: str) -> np.ndarray:
    """16 bit at 48 kHz, by a voice of FFmpeg's flite."""
    source = ["-f", "lavfi", "-i", f"flite=text='{text}':voice=slt"]
    form = ["-ar", "48000", "-ac", "1", "-f", "s16le", "-"]
    command = ["ffmpeg", "-loglevel", "error", *source, *form]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, "<i2")


class Speaker(MediaStreamTrack):
    """A microphone in a quiet room: silence, and the phrase that comes next."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._samples, self._began_s = 0, None
        self._waiting = np.zeros(0, np.int16)
        self.ended_s = 0.0

    @property
    def is_speaking(self) -> bool:
        return len(self._waiting) > 0

    def say(self, samples: np.ndarray) -> None:
        self._waiting = np.concatenate((self._waiting, samples))

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        self._began_s = self._began_s or loop.time()
        await asyncio.sleep(max(0.0, self._began_s + self._samples / 48_000 - loop.time()))
        said, self._waiting = self._waiting[:960], self._waiting[960:]
        if len(said) and not len(self._waiting):
            self.ended_s = loop.time()
        block = np.zeros(960, np.int16)
        block[: len(said)] = said
        frame = AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._samples, Fraction(1, 48_000)
        self._samples += 960
        return frame


class Reader:
    """What a subscriber was told, and when."""

    def __init__(self, subscriber) -> None:
        self.received = []
        subscriber.on("captionReceived", self._take)

    def _take(self, event) -> None:
        self.received.append((event, asyncio.get_running_loop().time()))

    def finals(self) -> list[str]:
        return [event.caption for event, _ in self.received if event.is_final]


@pytest.fixture
async def site(tmp_path):
    async with media_site(tmp_path, captions=CaptionSettings(engines=1)) as one:
        yield one


async def start(site, session: str, **options):
    token = site.token(session, Roles.moderator)
    return await asyncio.to_thread(site.application.start_captions, session, token, **options)


def words(text: str) -> set[str]:
    return set(text.split())


async def test_what_somebody_says_is_read_by_who_asked_and_by_nobody_else(site) -> None:
    session = await site.session()
    ann, ben = await site.join(session), await site.join(session)
    voice = Speaker()
    spoken = await ann.publish(audio=voice, video=False, captions=True)
    await until(lambda: ben.streams)
    asked = Reader(await ben.subscribe(spoken.stream_id, video=False, captions=True))
    other = Reader(await ann.subscribe(spoken.stream_id, video=False))
    started = await start(site, session)
    voice.say(await asyncio.to_thread(speech, MORNING))
    # Where a busy machine sends late there is a pause, and the sentence is more than one caption.
    await until(lambda: len(words(" ".join(asked.finals())) & words(MORNING)) >= 6, SPOKEN_S)
    assert {event.stream_id for event, _ in asked.received} == {spoken.stream_id}
    assert other.received == []
    stopped = len(asked.received)
    await asyncio.to_thread(site.application.stop_captions, started.captions_id)
    with pytest.raises(exceptions.NotFoundError):
        await asyncio.to_thread(site.application.stop_captions, started.captions_id)
    assert len(asked.received) == stopped
