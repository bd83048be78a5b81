"""Data folders that belong to somebody else, and folders that two servers want."""

import asyncio
import contextlib
import errno
import importlib
import os
import shutil
import socket
import sqlite3
import stat
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from config.load import ConfigurationError
from config.secret import Secret
from config.settings import (
    CallbackSettings,
    HttpSettings,
    MediaSettings,
    Settings,
    StorageSettings,
)
from signaling.cli.doctor import examine
from signaling.domain.errors import Unavailable
from signaling.server import running_server
from signaling.storage import revision
from signaling.storage.folder import DATABASE, KEY_FILE, LOCK, FolderUnusable, served
from signaling.storage.sqlite import open_sqlite
from tests.fakes.media_plane import FakeMediaPlane

OTHER_USER = 20_000
# Loaded at the first migration: another user may not be able to read where it is installed.
migrate = importlib.import_module("signaling.storage.migrate")


@pytest.fixture
def volume():
    """An empty folder that every user can reach; `tmp_path` is its owner's alone."""
    parent = Path(tempfile.mkdtemp())
    parent.chmod(0o755)
    folder = parent / "data"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(parent)


@pytest.fixture(autouse=True)
def migrations(monkeypatch):
    """Where every user can read them: the checkout may be in a home that is its owner's alone."""
    parent = Path(tempfile.mkdtemp())
    parent.chmod(0o755)
    copied = shutil.copytree(revision.MIGRATIONS, parent / "migrations")
    monkeypatch.setattr(revision, "MIGRATIONS", copied)
    monkeypatch.setattr(migrate, "MIGRATIONS", copied)
    yield
    shutil.rmtree(parent)


@contextlib.contextmanager
def somebody_else(monkeypatch):
    """A user that does not own the files. Only root can become one; for others the kernel's
    refusal to change modes is played."""
    if os.geteuid() != 0:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "chmod", _refuse)
            yield
        return
    os.seteuid(OTHER_USER)
    try:
        yield
    finally:
        os.seteuid(0)


def _refuse(_path, _mode):
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def settings_in(folder: Path) -> Settings:
    return Settings(
        http=HttpSettings(host="127.0.0.1", port=0),
        media=MediaSettings(host="127.0.0.1", port=0),
        storage=StorageSettings(data_dir=str(folder)),
    )


def of_folder(settings: Settings):
    return next(one for one in examine(settings, None) if one.check == "data folder")


async def opens(folder: Path) -> None:
    await (await open_sqlite(folder)).close()


async def test_a_volume_that_root_owns_and_everybody_may_write_serves(volume, monkeypatch):
    """Kubernetes' emptyDir."""
    volume.chmod(0o777)
    with somebody_else(monkeypatch):
        await opens(volume)
    assert stat.S_IMODE((volume / DATABASE).stat().st_mode) == 0o600


async def test_data_of_another_user_that_the_group_may_write_serves(volume, monkeypatch):
    """What the kubelet makes of a volume for an `fsGroup`; here "others" are the group."""
    await opens(volume)
    volume.chmod(0o777)
    for file in volume.iterdir():
        file.chmod(0o666)
    with somebody_else(monkeypatch):
        await opens(volume)


def test_the_doctor_reports_a_volume_that_others_can_get_into(volume, monkeypatch):
    volume.chmod(0o777)
    with somebody_else(monkeypatch):
        found = of_folder(settings_in(volume))
    assert (found.state, "777" in found.detail) == ("warning", True)
    assert "700 now" not in found.advice


async def test_root_gets_no_advice_to_run_chown(volume, monkeypatch):
    """As /sys refuses."""
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: _refuse(None, None))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(FolderUnusable, match="file system does not allow") as refused:
        await opens(volume / "below")
    assert "chown" not in str(refused.value)


@pytest.mark.parametrize("file", [None, DATABASE, f"{DATABASE}-wal", KEY_FILE])
async def test_a_permission_problem_says_who_and_what_to_do(volume, monkeypatch, file):
    await opens(volume)
    (volume / f"{DATABASE}-wal").touch()
    for each in volume.iterdir():
        each.chmod(0o666)
    volume.chmod(0o777)
    (volume / file if file else volume).chmod(0o100 if file else 0o555)
    with somebody_else(monkeypatch):
        user = os.geteuid()
        with pytest.raises(Unavailable, match=f"chown -R {user} {volume}"):
            await opens(volume)
        found = await asyncio.to_thread(of_folder, settings_in(volume))
    assert (found.state, file or "data") == ("error", Path(found.detail.split()[0]).name)
    assert "backup" not in found.advice
    assert "chown" in found.advice


@pytest.mark.parametrize("where", ["/proc/nope", "/dev/null/data"])
def test_a_folder_that_cannot_be_made_is_reported(where):
    found = of_folder(settings_in(Path(where)))
    assert (found.state, "backup" in found.advice) == ("error", False)


def test_the_doctor_leaves_no_folder_behind(tmp_path):
    found = of_folder(settings_in(tmp_path / "a" / "b"))
    assert found.state == "ok"
    assert list(tmp_path.iterdir()) == []


async def test_the_doctor_advises_a_backup_against_damage_only(tmp_path):
    await opens(tmp_path)
    settings = settings_in(tmp_path)
    settings = replace(settings, storage=replace(settings.storage, busy_timeout_ms=100))
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        held = await asyncio.to_thread(of_folder, settings)
    (tmp_path / DATABASE).write_bytes(b"not a database" * 100)
    damaged = await asyncio.to_thread(of_folder, settings)
    assert (held.state, damaged.state) == ("error", "error")
    assert "Another process" in held.advice
    assert "backup" in damaged.advice


def fake_plane(_settings):
    return FakeMediaPlane(connect_at_once=True), 0


async def test_of_two_servers_on_one_folder_the_second_says_why_it_does_not_start(tmp_path):
    settings = settings_in(tmp_path)
    async with running_server(settings, open_plane=fake_plane):
        with pytest.raises(FolderUnusable, match=f"process {os.getpid()} on .*already serves"):
            async with running_server(settings, open_plane=fake_plane):
                pytest.fail("two servers serve one folder")
        await opens(tmp_path)  # command lines work beside it
    async with running_server(settings, open_plane=fake_plane):
        pass


async def test_a_start_that_fails_lets_go_of_the_folder(tmp_path):
    settings = settings_in(tmp_path)
    broken = replace(settings, http=replace(settings.http, tls_certificate="/none"))
    with pytest.raises(Exception, match="certificate"):
        async with running_server(broken, open_plane=fake_plane):
            pytest.fail("it started without its certificate")
    with served(tmp_path):
        pass


@pytest.mark.parametrize(
    "note", [b"", b"{", b"[]", b'{"process": "x", "host": 1}', b"\xff" * 2_000]
)
def test_whatever_the_lock_file_says_the_second_server_is_refused(tmp_path, note):
    with served(tmp_path):
        (tmp_path / LOCK).write_bytes(note)
        with pytest.raises(FolderUnusable, match="already serves"), served(tmp_path):
            pytest.fail("both have it")


@pytest.fixture
def taken():
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def _refuse_media(_settings: Settings):
    raise OSError(errno.EADDRINUSE, "the media port cannot be used")


@pytest.mark.parametrize("fault", ["http port", "media port", "certificate", "callbacks", "key"])
async def test_a_start_that_fails_leaves_no_folder(tmp_path, taken, fault):
    folder = tmp_path / "new" / "data"
    settings = replace(
        settings_in(folder),
        http=HttpSettings(
            host="127.0.0.1",
            port=taken if fault == "http port" else 0,
            tls_certificate="missing.pem" if fault == "certificate" else "",
        ),
    )
    if fault == "callbacks":
        settings = replace(settings, callbacks=CallbackSettings(allowed_networks="no network"))
    if fault == "key":
        storage = replace(settings.storage, sealing_key=Secret("no key"))
        settings = replace(settings, storage=storage)
    plane = _refuse_media if fault == "media port" else fake_plane
    with pytest.raises((OSError, ConfigurationError, Unavailable)):
        async with running_server(settings, open_plane=plane):
            pytest.fail("it started")
    assert not (tmp_path / "new").exists()
