"""Archives of encrypted sessions, live: the server in one process, a member service in another one
of another user, clients and an official SDK here.

A canary is in the frames that one client publishes, and the secret is one of its own kind: both are
looked for in all that the server has, its memory too.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import av
import numpy as np
import opentok
import pytest
from sealroute_client import Session, events, read_counter
from sealroute_client.e2ee.frames import CodecId
from sealroute_client.publisher import PublishedTrack

from tests.buckets import AZURITE, MOTO, S3, Azure, needs
from tests.interop.test_archives import frames_of
from tests.served import NEEDS_THE_MEDIA_CORE, Server, psnr, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    pytest.mark.skipif(sys.platform != "linux", reason="NOT CHECKED: memory is in /proc"),
    NEEDS_THE_MEDIA_CORE,
]
CANARY = random.Random(20_261).randbytes(64)
SECRET = "canary " + random.Random(20_262).randbytes(16).hex()
TONE_HZ = 440
AUDIBLE = 200
"""Mean of what is loud, of 32,767."""
NOBODY = 65_534
ROOT = Path(__file__).parents[2]


def another_user() -> dict[str, Any]:
    """How a process is started as one, if these tests may and that user can run this Python."""
    user: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        subprocess.run([sys.executable, "-c", ""], check=True, cwd=ROOT, **user)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return user


class MemberService:
    """A process of its own, of another user where there can be one."""

    def __init__(self, server: Server, *words: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="member-"))
        self.out = self.folder / "archives"
        self._log = self.folder / "log"
        (self.folder / "key").write_text(str(server.project["apiSecret"]))
        (self.folder / "secret").write_text(SECRET + "\n")
        self._user = another_user()
        for path in (self.folder, *self.folder.iterdir()):
            if self._user:
                os.chown(path, NOBODY, NOBODY)
        self.words = (
            *("--url", server.url, "--api-key", server.api_key, "--out", str(self.out)),
            *("--api-secret-file", str(self.folder / "key")),
            *("--secret-file", str(self.folder / "secret"), "--min-free-mb", "64"),
            *(words or ("--allow", server.session_id)),
        )

    async def start(self) -> None:
        with self._log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "member", *self.words),
                stdout=log,
                stderr=log,
                cwd=ROOT,
                **self._user,
            )
        await until(lambda: "registered" in self.log, 30)

    async def doctor(self) -> str:
        """What it says before the service is started. Errors: `AssertionError`."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "member", "doctor", *self.words),
            stdout=subprocess.PIPE,
            cwd=ROOT,
            **self._user,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said
        return said.decode()

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
            await asyncio.wait_for(self.process.wait(), 40)

    async def close(self) -> None:
        await self.stop()
        shutil.rmtree(self.folder)


def mapped(pid: int) -> list[tuple[int, int]]:
    """What a process can read of its own memory, but for devices."""
    found = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        place, rights, *rest = line.split()
        if rights.startswith("r") and not (rest[-1:] and rest[-1].startswith(("/dev", "[v"))):
            first, last = (int(one, 16) for one in place.split("-"))
            found.append((first, last))
    return found


def in_memory(pid: int, words: list[bytes]) -> set[bytes]:
    """Those of the words that the process has somewhere."""
    found: set[bytes] = set()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for first, last in mapped(pid):
            with contextlib.suppress(OSError):
                memory.seek(first)
                content = memory.read(last - first)
                found |= {word for word in words if word in content}
    return found


def in_files(folder: Path, words: list[bytes]) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and any(word in path.read_bytes() for word in words)
    ]


def pitch_of(file: Path) -> float:
    """The strongest tone, in Hz, as most of the half-seconds say in which there is one: where a
    busy machine sent nothing a composed file is silent, and half of 0 and 440 is no tone."""
    resampler = av.AudioResampler("s16", "mono", 48_000)
    with av.open(str(file)) as opened:
        blocks = [one for frame in opened.decode(audio=0) for one in resampler.resample(frame)]
    samples = np.concatenate([block.to_ndarray().reshape(-1) for block in blocks])
    pitches = []
    for at in range(0, len(samples) - 24_000, 24_000):
        block = samples[at : at + 24_000].astype(float)
        if np.mean(np.abs(block)) > AUDIBLE:
            spectrum = np.abs(np.fft.rfft(block * np.hanning(24_000)))
            pitches.append(float(np.argmax(spectrum)) * 2)
    return statistics.median_low(pitches)


def quality_of(file: Path) -> float:
    """Of the images, as the worse half of them has it, in dB."""
    with av.open(str(file)) as opened:
        images = list(opened.decode(video=0))[::8]
    found = [psnr(image, read_counter(image)) for image in images]
    return float(np.median(found))


def unpacked(file: Path, folder: Path) -> dict[str, dict]:
    """The longest file of each stream in the manifest."""
    with zipfile.ZipFile(file) as opened:
        opened.extractall(folder)
        manifest = json.loads(opened.read(opened.namelist()[0]))
    files = sorted(
        manifest["files"], key=lambda one: one["stopTimeOffset"] - one["startTimeOffset"]
    )
    return {one["streamId"]: one for one in files}


def judge(described: dict, folder: Path) -> None:
    """Its video and audio are what was published."""
    file = folder / described["filename"]
    recorded_s = (described["stopTimeOffset"] - described["startTimeOffset"]) / 1000
    assert recorded_s > 2
    found = frames_of(file)
    assert found["video"] >= 5 * recorded_s
    assert found["audio"] >= 45 * recorded_s
    assert quality_of(file) > 25
    assert abs(pitch_of(file) - TONE_HZ) < 5


@pytest.fixture
async def server(tmp_path):
    one = Server(tmp_path / "data", e2ee=True)
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
def planted(monkeypatch) -> dict[str, bool]:
    """While `on` there is a canary in frames that are about to be encrypted."""
    encrypt, state = PublishedTrack.encrypt, {"on": False}

    def plant(self, codec, frame):
        with_canary = state["on"] and codec is CodecId.VP8
        return encrypt(self, codec, frame + CANARY if with_canary else frame)

    monkeypatch.setattr(PublishedTrack, "encrypt", plant)
    return state


def application_of(server: Server) -> opentok.Client:
    return opentok.Client(server.api_key, server.project["apiSecret"], api_url=server.url)


def announced(what: str, archive: str, recorder: str) -> events.SignalReceived:
    """As the recorder says it: encrypted, so nobody else did."""
    return events.SignalReceived(recorder, what, json.dumps({"id": archive}), encrypted=True)


def archives_of(member: Session) -> list[events.Event]:
    """What its SDK says of them, from now on."""
    seen: list[events.Event] = []
    member.on(events.ArchiveStarted, seen.append)
    member.on(events.ArchiveStopped, seen.append)
    return seen


async def until_a_newcomer_knows(server: Server, archive: str, recorder: str) -> None:
    newcomer = await server.join(SECRET)
    archives = archives_of(newcomer)
    await until(lambda: archives == [events.ArchiveStarted(archive, recorder)], 20)
    await newcomer.disconnect()


async def ended(application: opentok.Client, archive: str):
    async with asyncio.timeout(40):
        while True:
            shown = await asyncio.to_thread(application.get_archive, archive)
            if shown.status in ("uploaded", "failed"):
                return shown
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_a_member_archives_what_the_server_cannot_see(server, planted, tmp_path, capfd):
    application, start = application_of(server), opentok.OutputModes.individual
    member = MemberService(server)
    ann, ben = await server.join(SECRET), await server.join(SECRET)
    seen: list[events.SignalReceived] = []
    ben.on("signal", seen.append)
    archives = archives_of(ben)
    try:
        with pytest.raises(opentok.ArchiveError, match="end-to-end encrypted"):
            await asyncio.to_thread(application.start_archive, server.session_id)
        await member.start()
        first = await ann.publish(name="camera")
        planted["on"] = True
        second = await ben.publish(audio=False, name="canary")
        begin = application.start_archive
        archive = await asyncio.to_thread(begin, server.session_id, name="board", output_mode=start)
        assert archive.status == "started"
        await until(lambda: len(seen) == 1, 20)
        (recorder,) = (
            name for name, one in ben.connections.items() if one.get("data") == "recorder"
        )
        assert seen == [announced("archiveStarted", archive.id, recorder)]
        await until_a_newcomer_knows(server, archive.id, recorder)
        await until(lambda: "first frame" in member.log, 20)
        await asyncio.sleep(4.0)
        words = [CANARY, SECRET.encode()]
        assert CANARY in in_memory(member.process.pid, words)  # the eyes see
        assert in_memory(os.getpid(), words) == set(words)
        assert in_memory(server.process.pid, words) == set()
        stopped = await asyncio.to_thread(application.stop_archive, archive.id)
        assert stopped.status == "stopped"
        shown = await ended(application, archive.id)
        assert (shown.status, shown.url) == ("uploaded", None)
        await until(lambda: seen[1:] == [announced("archiveStopped", archive.id, recorder)])
        assert archives == [
            events.ArchiveStarted(archive.id, recorder),
            events.ArchiveStopped(archive.id, recorder),
        ]
        file = member.out / archive.id / "archive.zip"
        assert shown.size == file.stat().st_size
        by_stream = unpacked(file, tmp_path / "files")
        assert set(by_stream) == {first.stream_id, second.stream_id}
        judge(by_stream[first.stream_id], tmp_path / "files")
        assert in_files(tmp_path / "files", [CANARY])
        assert in_memory(server.process.pid, words) == set()
        assert in_files(server.folder, words) == []
        assert SECRET not in "".join(capfd.readouterr())
        assert SECRET not in member.log
        await asyncio.to_thread(application.delete_archive, archive.id)
        assert file.exists()  # it is the customer's
    finally:
        await ann.disconnect()
        await ben.disconnect()
        await member.close()


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_secret_that_changes_is_followed_and_a_late_one_is_a_gap(server, tmp_path) -> None:
    application = application_of(server)
    member = MemberService(server)
    ann = await server.join(SECRET)
    try:
        await member.start()
        published = await ann.publish()
        begin, individual = application.start_archive, opentok.OutputModes.individual
        archive = await asyncio.to_thread(begin, server.session_id, output_mode=individual)
        await until(lambda: "first frame" in member.log, 30)
        await asyncio.sleep(2.0)
        (member.folder / "secret").write_text("the second secret\n")
        await ann.set_encryption_secret("the second secret")
        await until(lambda: "secret has changed" in member.log, 60)
        await asyncio.sleep(7.0)  # the members wait five seconds at most
        await ann.set_encryption_secret("the third secret")
        await asyncio.sleep(8.0)
        (member.folder / "secret").write_text("the third secret\n")
        await until(lambda: member.log.count("secret has changed") == 2, 60)
        await asyncio.sleep(6.0)
        await asyncio.to_thread(application.stop_archive, archive.id)
        assert (await ended(application, archive.id)).status == "uploaded"
        file = member.out / archive.id / "archive.zip"
        described = unpacked(file, tmp_path / "files")[published.stream_id]
        gaps = [one for one in described["gaps"] if one[2] == "secret"]
        first_ms, last_ms, _ = max(gaps, key=lambda gap: gap[1] - gap[0])
        assert last_ms - first_ms > 1_000
        assert described["stopTimeOffset"] > last_ms
        recorded = tmp_path / "files" / described["filename"]
        assert quality_of(recorded) > 25
        assert abs(pitch_of(recorded) - TONE_HZ) < 5
    finally:
        await ann.disconnect()
        await member.close()


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_member_composes_too_and_its_death_ends_the_archive(server) -> None:
    application = application_of(server)
    member = MemberService(server, "--allow", "any")
    ann = await server.join(SECRET)
    try:
        await member.start()
        await ann.publish()
        begin = application.start_archive
        archive = await asyncio.to_thread(begin, server.session_id, resolution="640x480")
        await until(lambda: "first frame" in member.log, 30)
        await asyncio.sleep(4.0)
        await asyncio.to_thread(application.stop_archive, archive.id)
        shown = await ended(application, archive.id)
        assert shown.status == "uploaded"
        found = frames_of(member.out / archive.id / "archive.mp4")
        assert found["video"] >= 60
        assert abs(pitch_of(member.out / archive.id / "archive.mp4") - TONE_HZ) < 5
        later = await asyncio.to_thread(begin, server.session_id)
        await until(lambda: member.log.count("first frame") == 2, 30)
        member.process.kill()
        shown = await ended(application, later.id)
        assert shown.status == "failed"
        path = f"{server.url}/v2/project/{server.api_key}/archive/{later.id}"
        asked = Request(path, headers=application.get_headers())
        raw = await asyncio.to_thread(lambda: json.loads(urlopen(asked).read()))
        assert raw["reason"] == "Member service lost"
        with pytest.raises(opentok.ArchiveError, match="end-to-end encrypted"):
            await asyncio.to_thread(begin, server.session_id)
    finally:
        await ann.disconnect()
        await member.close()


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "kind",
    [pytest.param(S3, marks=needs(MOTO)), pytest.param(Azure, marks=needs(AZURITE))],
)
async def test_a_member_brings_its_archive_to_its_own_bucket(server, tmp_path, kind) -> None:
    application = application_of(server)
    async with kind.running(tmp_path) as store:
        bucket = store.bucket
        member = MemberService(server)
        (secret := member.folder / "bucket-secret").write_text(bucket.secret)
        secret.chmod(0o644)  # in a folder that is the service's alone
        member.words += (f"--{bucket.kind}", bucket.name, "--endpoint", str(bucket.endpoint))
        member.words += ("--identity", bucket.identity, "--bucket-secret-file", str(secret))
        member.words += ("--allow-networks", "127.0.0.0/8")
        ann = await server.join(SECRET)
        try:
            assert "takes this service" in await member.doctor()
            await member.start()
            await ann.publish()
            begin, mode = application.start_archive, opentok.OutputModes.individual
            archive = await asyncio.to_thread(begin, server.session_id, output_mode=mode)
            await until(lambda: "first frame" in member.log, 40)
            await asyncio.to_thread(application.stop_archive, archive.id)
            shown = await ended(application, archive.id)
            assert shown.status == "uploaded"
            key = f"{server.api_key}/{archive.id}/archive.zip"
            content = await asyncio.to_thread(store.content, key)
            assert len(content) == shown.size
            assert not (member.out / archive.id).exists()
            assert bucket.secret not in member.log
        finally:
            await ann.disconnect()
            await member.close()


@pytest.mark.parametrize("words", [(), ("--out", "x"), ("--help",)])
def test_the_command_line_says_what_is_missing(words) -> None:
    command = [sys.executable, "-m", "member", *words]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=50
    )
    assert done.returncode == (0 if "--help" in words else 2)
    assert "--secret-command" in done.stdout + done.stderr
