"""Audio Connectors of live calls: an official SDK connects a session to a bot, which hears a tone
and sends it back, and another client hears that."""

import asyncio
import base64
import contextlib
import json
from fractions import Fraction

import numpy as np
import pytest
import websockets
from aiortc import MediaStreamTrack
from av import AudioFrame
from opentok import exceptions

from config.settings import EgressSettings
from tests.media_site import media_site
from tests.served import NEEDS_THE_MEDIA_CORE, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_THE_MEDIA_CORE,
]
RATE_HZ = 16_000
FRAME_BYTES = 640
TONE_HZ, HIGH_HZ = 700, 1_100
AUDIBLE = 0.05


class Tone(MediaStreamTrack):
    """A microphone that hears a tone."""

    kind = "audio"

    def __init__(self, hz: int) -> None:
        super().__init__()
        self._hz, self._samples, self._began_s = hz, 0, None

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        self._began_s = self._began_s or loop.time()
        await asyncio.sleep(max(0.0, self._began_s + self._samples / 48_000 - loop.time()))
        at = (np.arange(960) + self._samples) / 48_000
        wave = (np.sin(2 * np.pi * self._hz * at) * 12_000).astype(np.int16)
        frame = AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._samples, Fraction(1, 48_000)
        self._samples += 960
        return frame


def loudness_at(hz: float, samples: np.ndarray, rate_hz: int) -> float:
    """The amplitude of a tone in samples between -1 and 1."""
    at = np.arange(len(samples)) / rate_hz
    return float(2 * abs(np.mean(samples * np.exp(-2j * np.pi * hz * at))))


def samples_of(audio: bytes) -> np.ndarray:
    return np.frombuffer(audio, "<i2").astype(np.float32) / 32_768


class Bot:
    """An application's end: it writes down what comes, and sends audio back if it `echoes`."""

    def __init__(self, rate_hz: int = RATE_HZ) -> None:
        self.rate_hz = rate_hz
        self.texts: list[dict] = []
        self.audio: list[bytes] = []
        self.requests = []
        self.sockets = []
        self.echoes = False

    async def serve(self) -> str:
        self.server = await websockets.serve(self._handle, "127.0.0.1", 0, compression=None)
        return f"ws://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/bot?a=b"

    async def _handle(self, socket) -> None:
        self.requests.append(socket.request)
        self.sockets.append(socket)
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in socket:
                await self.take(socket, message)

    async def take(self, socket, message) -> None:
        fields = json.loads(message) if isinstance(message, str) else {}
        if "said" in fields:
            self.audio.append(base64.b64decode(fields["said"]))
        elif fields:
            self.texts.append(fields)
        else:
            self.audio.append(message)
            if self.echoes:
                await socket.send(message)

    def hears(self, hz: float) -> float:
        """How loud a tone is in the last second."""
        if not self.audio:
            return 0.0
        return loudness_at(hz, samples_of(b"".join(self.audio[-50:])), self.rate_hz)

    async def close(self) -> None:
        self.server.close()
        await self.server.wait_closed()


@pytest.fixture
async def bot():
    one = Bot()
    one.uri = await one.serve()
    yield one
    await one.close()


@pytest.fixture
async def site(tmp_path):
    settings = EgressSettings(allowed_networks="127.0.0.0/8")
    async with media_site(tmp_path, egress=settings) as one:
        yield one


async def connect(site, session: str, uri: str, **options):
    call = site.application.connect_audio_to_websocket
    wanted = {"uri": uri, "audioRate": RATE_HZ, **options}
    return await asyncio.to_thread(call, session, site.token(session), wanted)


async def test_a_bot_hears_the_session_and_the_session_hears_the_bot(site, bot) -> None:
    session = await site.session()
    ann, ben = await site.join(session), await site.join(session)
    spoken = await ann.publish(audio=Tone(TONE_HZ), video=False)
    bot.echoes = True
    options = {"headers": {"X-Bot": "7"}, "bidirectional": True}
    connected = await connect(site, session, bot.uri, **options)
    request = bot.requests[0]
    assert request.path == "/bot?a=b"
    assert request.headers["X-Bot"] == "7"
    assert request.headers["x-opentok-ws-sessionid"] == session
    assert request.headers["x-opentok-ws-connectionid"] == connected.connectionId
    await until(lambda: bot.texts)
    assert bot.texts[0] == {
        "event": "websocket:connected",
        "content-type": "audio/l16;rate=16000",
        "X-Bot": "7",
    }
    await until(lambda: bot.hears(TONE_HZ) > AUDIBLE, 20)
    assert bot.hears(TONE_HZ + 300) < bot.hears(TONE_HZ) / 10
    assert {len(one) for one in bot.audio} == {FRAME_BYTES}
    assert connected.connectionId in ben.connections
    await until(lambda: len(ben.streams) == 2)
    echo = next(one for name, one in ben.streams.items() if name != spoken.stream_id)
    assert echo["connectionId"] == connected.connectionId
    subscriber = await ben.subscribe(echo)
    frames: list[np.ndarray] = []
    async with asyncio.timeout(30):
        async for frame in subscriber.audio:
            samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels)).mean(axis=1)
            frames = [*frames[-49:], samples / 32_768]
            if loudness_at(TONE_HZ, np.concatenate(frames), 48_000) > AUDIBLE:
                break
    # Its own echo is not among what the bot hears: it would grow without end.
    assert np.max(np.abs(samples_of(b"".join(bot.audio[-50:])))) < 0.6
    await bot.sockets[0].send('{"action": "clear"}')
    await until(lambda: {"event": "websocket:cleared"} in bot.texts)
    await asyncio.to_thread(site.application.force_disconnect, session, connected.connectionId)
    await until(lambda: connected.connectionId not in ben.connections)
    await until(lambda: bot.sockets[0].close_code == 1000)


async def test_a_bot_hears_the_streams_it_asked_for_as_it_asked_for_them(site, bot) -> None:
    session = await site.session()
    ann, ben = await site.join(session), await site.join(session)
    low = await ann.publish(audio=Tone(TONE_HZ), video=False)
    await ben.publish(audio=Tone(HIGH_HZ), video=False)
    both = Bot(24_000)
    both.uri, bot.rate_hz = await both.serve(), 8_000
    await connect(site, session, bot.uri, audioRate=8_000, streams=[low.stream_id])
    json_of = {"transport": "json", "audio_field": "said", "static_fields": {"to": "bot"}}
    await connect(site, session, both.uri, audioRate=24_000, audioTransport=json_of)
    await until(lambda: min(both.hears(TONE_HZ), both.hears(HIGH_HZ)) > AUDIBLE, 20)
    await until(lambda: bot.hears(TONE_HZ) > AUDIBLE, 20)
    assert bot.hears(HIGH_HZ) < bot.hears(TONE_HZ) / 20
    assert ({len(one) for one in bot.audio}, {len(one) for one in both.audio}) == ({320}, {960})
    await both.close()


async def test_a_bot_that_went_away_is_connected_again_and_a_done_one_is_not(site, bot) -> None:
    session = await site.session()
    ben = await site.join(session)
    connected = await connect(site, session, bot.uri)
    await bot.sockets[0].close(1011)
    await until(lambda: len(bot.sockets) == 2, 20)
    assert connected.connectionId in ben.connections
    await bot.sockets[1].close(1000)
    await until(lambda: connected.connectionId not in ben.connections, 20)
    assert len(bot.sockets) == 2


async def test_a_bot_that_is_not_there_is_an_error_of_the_caller(site, bot) -> None:
    session = await site.session()
    ben = await site.join(session)
    nobody = bot.uri
    await bot.close()
    with pytest.raises(exceptions.RequestError):
        await connect(site, session, nobody)
    with pytest.raises(exceptions.RequestError):
        await connect(site, session, "ws://10.0.0.1/")
    assert len(ben.connections) <= 1
