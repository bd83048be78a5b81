"""Finished archives of a member service on their way to its own bucket."""

import hashlib

import pytest

from member.command_line import main
from member.credentials import ProjectKey
from member.policy import Policy
from member.recording import Recording, Tools
from member.secret_source import OneSecret
from member.uploads import WAITS_S, Uploads
from sfu.egress import member_lines as lines
from sfu.egress.buckets import Bucket
from sfu.egress.jobs import Finished
from tests.fakes.uploads import FakeUploader

ID = "5c2f0d1e-0000-4000-8000-000000000001"
BUCKET = Bucket("s3", "recordings", "id", "secret")


class World:
    def __init__(self, folder):
        self.uploader, self.waits = FakeUploader(), []
        self.file = folder / ID / "archive.zip"
        self.file.parent.mkdir()
        self.file.write_bytes(b"PK")
        self.uploads = Uploads(BUCKET, self.uploader, "10.0.0.0/8", self._sleep)

    async def _sleep(self, seconds):
        self.waits.append(seconds)

    async def bring(self):
        return await self.uploads.bring("1234567", ID, self.file, 2)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def test_an_archive_is_where_the_servers_would_be_and_its_folder_is_gone(world) -> None:
    assert await world.bring() is True
    assert world.uploader.objects == {f"1234567/{ID}/archive.zip": b"PK"}
    assert world.uploader.jobs[0].allowed_networks == "10.0.0.0/8"
    assert not world.file.parent.exists()


async def test_a_bucket_that_is_away_is_tried_again(world) -> None:
    world.uploader.is_away = lambda: len(world.uploader.jobs) < 3
    assert await world.bring() is True
    assert world.waits == list(WAITS_S[:2])


async def test_what_does_not_get_there_stays(world, caplog) -> None:
    world.uploader.is_away = lambda: True
    assert await world.bring() is False
    assert world.waits == list(WAITS_S)
    assert world.file.read_bytes() == b"PK"
    assert "secret" not in caplog.text


async def test_the_server_hears_of_the_end_once_the_archive_is_there(world, tmp_path) -> None:
    key = ProjectKey("1234567", "a secret of the project, long enough")
    tools = Tools(
        "http://127.0.0.1:9", key, OneSecret("x"), Policy.of(["any"]), tmp_path, None, world.uploads
    )
    line = lines.ArchiveLine(ID, "session", "name", 1)
    reported = []
    recording = Recording(line, tools, reported.append)
    recording.on_finished(Finished(world.file, 2, hashlib.sha256(b"PK").digest(), 1_000))
    await recording._upload()
    assert list(world.uploader.objects) == [f"1234567/{ID}/archive.zip"]
    assert reported == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--s3", "recordings"), "--identity"),
        (("--azure", "c", "--identity", "me"), "SEALROUTE_BUCKET_SECRET"),
        (("--s3", "b", "--identity", "i", "--bucket-secret-file", "/none"), "/none"),
        (("--s3", "b", "--identity", "i", "--allow-networks", "10/x"), "10/x"),
        (("--s3", "b", "--azure", "c"), "not allowed with"),
    ],
)
def test_half_a_bucket_is_refused_before_anything_is_recorded(
    words, text, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("SEALROUTE_API_SECRET", "k" * 32)
    monkeypatch.setenv("SEALROUTE_SECRET", "secret")
    if "--allow-networks" in words:
        monkeypatch.setenv("SEALROUTE_BUCKET_SECRET", "s")
    given = ("--url", "http://127.0.0.1:9", "--api-key", "1", "--allow", "any")
    try:
        code = main([*given, "--out", str(tmp_path), *words])
    except SystemExit as usage:
        code = usage.code
    assert code == 2
    assert text in capsys.readouterr().err
