"""The native client in calls with the Python SDK and with itself, through a real server
(`make test-sdk-native`): what arrives is looked at and listened to."""

import asyncio
import contextlib
import datetime as dt
import json
import os
from pathlib import Path

import av
import numpy as np
import pytest
from sealroute_client.media.sources import draw_pattern, read_counter

from tests.certificates import Authority
from tests.served import SECRET, Server, psnr, subscribed, until

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".cache" / "sdk-native" / "debug" / "sealroute-native"
OTHER_SECRET = "another secret for all"
FILM_TONE_HZ, PATTERN_TONE_HZ = 1_000, 440
A_WHILE_S = 60
pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]


class Native:
    """One run of `sealroute-native` in a session of a server."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict] = []
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, server: Server, verb: str, *options: str, secret: str | None) -> "Native":
        environment = {**os.environ, "SEALROUTE_TOKEN": await server.token()}
        environment.pop("SEALROUTE_SECRET", None)
        if secret is not None:
            environment["SEALROUTE_SECRET"] = secret
        common = ("--url", server.url, "--api-key", server.api_key, "--session", server.session_id)
        process = await asyncio.create_subprocess_exec(
            *(str(PROGRAM), verb, *common, "--commands", *options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        return cls(process)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def told(self, event: str) -> list[dict]:
        return [line for line in self.lines if line["event"] == event]

    async def tells(self, event: str) -> dict:
        await until(lambda: self.told(event), A_WHILE_S)
        return self.told(event)[0]

    def command(self, name: str, **members: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"command": name, **members}).encode() + b"\n")

    async def leave(self) -> int:
        """The exit code."""
        if self.process.returncode is None:
            with contextlib.suppress(ConnectionError):
                self.command("leave")
        await asyncio.wait_for(self._reader, A_WHILE_S)
        return await asyncio.wait_for(self.process.wait(), A_WHILE_S)


@pytest.fixture(params=[True, False], ids=["encrypted", "clear"])
async def call(request, tmp_path):
    """A server with a session, and what it takes to join: a secret or none."""
    server = Server(tmp_path / "data", e2ee=request.param)
    await server.start()
    yield server, SECRET if request.param else None
    await server.stop()


@pytest.fixture
async def server(tmp_path):
    running = Server(tmp_path / "data", e2ee=True)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def natives():
    running: list[Native] = []
    yield running
    for native in running:
        if native.process.returncode is None:
            native.process.kill()
        await asyncio.gather(native.leave(), return_exceptions=True)


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> tuple[str, str]:
    """The pattern in VP8 and a tone in Opus, five seconds of each, to be played in a loop."""
    folder = tmp_path_factory.mktemp("media")
    film, audio = str(folder / "film.ivf"), str(folder / "audio.ogg")
    with av.open(film, "w", format="ivf") as out:
        stream = out.add_stream("libvpx", rate=30)
        stream.width, stream.height, stream.bit_rate = 640, 480, 1_000_000
        stream.options = {"g": "30", "deadline": "realtime", "cpu-used": "8"}
        for number in range(150):
            out.mux(stream.encode(draw_pattern(number, 640, 480)))
        out.mux(stream.encode())
    with av.open(audio, "w", format="ogg") as out:
        stream = out.add_stream("libopus", rate=48_000, layout="stereo")
        phase = 2 * np.pi * FILM_TONE_HZ / 48_000 * np.arange(5 * 48_000)
        samples = (8_000 * np.sin(phase)).astype(np.int16).repeat(2).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = 48_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return film, audio


def published(media: tuple[str, str]) -> tuple[str, ...]:
    return ("--video", media[0], "--audio", media[1], "--name", "native")


def pitch_hz(frames: list) -> float:
    """The loudest frequency."""
    blocks = [frame.to_ndarray().astype(float) for frame in frames]
    flat = np.concatenate([block.reshape(-1) for block in blocks])
    mono = flat[::2] if blocks[0].shape[0] == 1 else np.concatenate([b[0] for b in blocks])
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono))))
    return float(np.argmax(spectrum) * 48_000 / len(mono))


def is_pattern(image) -> bool:
    return image.width == 640 and psnr(image, read_counter(image)) > 25


async def take(frames, count: int) -> list:
    async with asyncio.timeout(A_WHILE_S):
        taken = []
        async for frame in frames:
            taken.append(frame)
            if len(taken) == count:
                break
        return taken


async def seen_and_heard(subscriber) -> tuple[list, list]:
    return await asyncio.gather(take(subscriber.video, 40), take(subscriber.audio, 50))


async def recorded(folder: Path, film_bytes: int = 150_000, sound_bytes: int = 20_000) -> None:
    """Until there is so much."""

    def size(kind: str) -> int:
        return sum(path.stat().st_size for path in folder.glob(f"*.{kind}"))

    await until(lambda: size("ivf") > film_bytes and size("ogg") > sound_bytes, A_WHILE_S)


def check_recording(folder: Path, tone_hz: int) -> None:
    (film,), (audio,) = folder.glob("*.ivf"), folder.glob("*.ogg")
    with av.open(str(film)) as container:
        images = list(container.decode(video=0))
    assert len(images) > 30
    assert all(is_pattern(image) for image in images)
    with av.open(str(audio)) as container:
        frames = list(container.decode(audio=0))
    assert abs(pitch_hz(frames[10:60]) - tone_hz) < 5


async def test_the_python_client_sees_and_hears_what_the_native_one_publishes(
    call, natives, media
) -> None:
    server, secret = call
    native = await Native.start(server, "publish", *published(media), secret=secret)
    natives.append(native)
    await native.tells("published")
    async with await server.member(secret) as session:
        subscriber = await subscribed(session)
        images, samples = await seen_and_heard(subscriber)
        assert all(is_pattern(image) for image in images)
        assert abs(pitch_hz(samples[10:]) - FILM_TONE_HZ) < 5
        assert subscriber.state.failed == 0
        code = None if secret is None else session.verification_code()
        assert native.told("connected")[0]["verificationCode"] == code
    assert await native.leave() == 0
    assert native.told("error") == []


async def test_the_native_client_records_what_the_python_one_publishes(
    call, natives, tmp_path
) -> None:
    server, secret = call
    folder = tmp_path / "recordings"
    async with await server.member(secret) as session:
        await session.publish()
        native = await Native.start(server, "record", "--out", str(folder), secret=secret)
        natives.append(native)
        await native.tells("subscribed")
        await recorded(folder)
        assert await native.leave() == 0
    check_recording(folder, PATTERN_TONE_HZ)
    assert native.told("error") == []
    assert native.told("recorded")[0]["frames"]["video"] > 30


async def test_a_native_client_records_what_another_publishes(
    server, natives, media, tmp_path
) -> None:
    folder = tmp_path / "recordings"
    natives.append(await Native.start(server, "publish", *published(media), secret=SECRET))
    await natives[0].tells("published")
    recorder = await Native.start(server, "record", "--out", str(folder), secret=SECRET)
    natives.append(recorder)
    await recorded(folder)
    assert await recorder.leave() == 0
    check_recording(folder, FILM_TONE_HZ)


async def test_a_wrong_secret_is_told_once_and_nothing_is_recorded(
    server, natives, media, tmp_path
) -> None:
    folder = tmp_path / "recordings"
    natives.append(await Native.start(server, "publish", *published(media), secret=SECRET))
    await natives[0].tells("published")
    recorder = await Native.start(server, "record", "--out", str(folder), secret=OTHER_SECRET)
    natives.append(recorder)
    await recorder.tells("encryptionSecretMismatch")
    assert list(folder.iterdir()) == []
    right = tmp_path / "secret"
    right.write_text(SECRET)
    recorder.command("setEncryptionSecret", secretFile=str(right))
    await recorder.tells("encryptionSecretMatch")
    await recorded(folder)
    assert len(recorder.told("encryptionSecretMismatch")) == 1
    assert await recorder.leave() == 0
    check_recording(folder, FILM_TONE_HZ)


async def test_a_secret_changes_in_the_call_and_a_late_joiner_has_the_new_one(
    server, natives, media, tmp_path
) -> None:
    native = await Native.start(server, "publish", *published(media), secret=SECRET)
    natives.append(native)
    await native.tells("published")
    new = tmp_path / "secret"
    new.write_text(OTHER_SECRET)
    async with await server.member() as session:
        viewer = await subscribed(session)
        await until(lambda: viewer.state.decrypted > 50, A_WHILE_S)
        await session.set_encryption_secret(OTHER_SECRET)
        native.command("setEncryptionSecret", secretFile=str(new))
        async with await server.member(OTHER_SECRET) as late:
            # Only what is sent under the new secret opens here.
            images, _ = await seen_and_heard(await subscribed(late))
            assert all(is_pattern(image) for image in images)
        assert viewer.state.failed == 0
    assert await native.leave() == 0


async def test_signals_are_read_on_both_sides(server, natives, tmp_path) -> None:
    folder = str(tmp_path / "recordings")
    native = await Native.start(server, "record", "--out", folder, secret=SECRET)
    natives.append(native)
    await native.tells("connected")
    async with await server.member() as session:
        heard: list = []
        session.on("signal", heard.append)
        await session.signal("from Python", type="chat")
        signal = await native.tells("signal")
        assert (signal["data"], signal["type"], signal["encrypted"]) == (
            "from Python",
            "chat",
            True,
        )
        native.command("signal", data="from Rust", type="chat")
        await until(lambda: any(event.data == "from Rust" for event in heard), A_WHILE_S)
        assert all(event.encrypted for event in heard)
    assert await native.leave() == 0


async def test_without_the_secret_of_an_encrypted_session_nothing_leaves(
    server, natives, media
) -> None:
    native = await Native.start(server, "publish", *published(media), secret=None)
    natives.append(native)
    error = await native.tells("error")
    assert (error["code"], error["number"]) == ("encryption_secret_missing", 6000)
    assert await native.leave() == 4
    assert native.told("published") == []


async def test_a_server_is_joined_over_tls_only_if_its_certificate_is_trusted(
    natives, media, tmp_path
) -> None:
    authority, day = Authority(tmp_path), dt.timedelta(days=1)
    certificate = str(authority.certificate("localhost", -day, day))
    files = {f"SEALROUTE_HTTP_TLS_{name}": certificate for name in ("CERTIFICATE", "KEY")}
    running = Server(tmp_path / "data", e2ee=True, config=files)
    running.url = running.url.replace("http://127.0.0.1", "https://localhost")
    await running.start()
    try:
        trusting = ("--ca-file", str(authority.trusted))
        for options in (trusting, ()):
            words = (*published(media), *options)
            natives.append(await Native.start(running, "publish", *words, secret=SECRET))
        await natives[0].tells("published")
        assert await natives[0].leave() == 0
        assert (await natives[1].tells("error"))["code"] == "connect_failed"
        assert await natives[1].leave() == 1
        assert natives[1].told("connected") == []
    finally:
        await running.stop()
