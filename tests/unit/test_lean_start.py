"""What a server does not keep in its memory: migrations, codecs, packages of development, and what
only clients need."""

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys

import pytest

from config.secret import Secret
from config.settings import StorageSettings
from signaling.domain.errors import Unavailable
from signaling.domain.projects import new_project
from signaling.storage import migrating
from signaling.storage.choosing import serving_store
from signaling.storage.folder import DATABASE
from signaling.storage.migrating import is_outdated, migrate_apart
from signaling.storage.revision import latest_revision
from signaling.storage.sqlite import open_sqlite
from tests.postgres import fresh_database, running


def in_folder(folder) -> StorageSettings:
    return StorageSettings(data_dir=str(folder))


def loaded_by_a_server(folder) -> set[str]:
    """The modules that a server has loaded when it has listened and ended."""
    words = ["serve", "--host", "127.0.0.1", "--port", "0", "--media-port", "0"]
    words += ["--media-host", "127.0.0.1", "--data-dir", str(folder), "--json"]
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "signaling", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        lines = []
        # Read while it runs: what nobody reads holds it up.
        for line in server.stderr:
            lines.append(line)
            if not line.startswith("import time:") and "listening" in line:
                break
        server.send_signal(signal.SIGTERM)
        lines += server.stderr.readlines()
        assert json.loads(server.stdout.read())
        assert server.wait() == 0
    return {line.split("|")[2].strip() for line in lines if line.startswith("import time:")}


@pytest.mark.parametrize("start", ["first", "later", "with a project"])
async def test_a_server_loads_no_migrations_no_codecs_and_no_packages_of_development(
    tmp_path, start
):
    if start != "first":
        store = await open_sqlite(tmp_path)
        if start == "with a project":
            await store.add_project(new_project(random_bytes=bytes(range(44)), now_ms=0))
        await store.close()
    loaded = loaded_by_a_server(tmp_path)
    assert {"aiohttp", "sqlalchemy", "structlog.dev"} <= loaded
    left_out = ["alembic.", "mako.", "rich.", "pygments.", "psycopg.", "av.", "numpy."]
    left_out += ["sfu.egress.child.", "sfu.egress.zygote", "OpenSSL.", "jwt."]
    if start != "with a project":  # its secrets are opened at each start
        left_out.append("cryptography.")
    assert [name for name in loaded if name.startswith(tuple(left_out))] == []
    assert not is_outdated(in_folder(tmp_path))


async def test_a_process_of_its_own_migrates_and_the_store_opens_with_its_key(tmp_path):
    settings = in_folder(tmp_path)
    assert is_outdated(settings)
    async with serving_store(settings, migrate_apart) as store:
        assert await store.projects() == ()
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchone() == (
            latest_revision(),
        )


async def test_a_schema_that_is_up_to_date_starts_no_process(tmp_path, monkeypatch):
    store = await open_sqlite(tmp_path)
    await store.close()
    started = []

    async def start(*_words, **_streams):
        started.append(True)
        raise OSError

    monkeypatch.setattr(migrating.asyncio, "create_subprocess_exec", start)
    await migrate_apart(in_folder(tmp_path))
    assert started == []


async def test_files_where_the_server_was_started_are_not_run(tmp_path, monkeypatch):
    """They may be anybody's, and the process that migrates is given the secrets of the storage."""
    place, data_dir = tmp_path / "place", tmp_path / "data"
    place.mkdir()
    data_dir.mkdir(mode=0o700)
    for name in ("json", "structlog", "config"):
        (place / f"{name}.py").write_text(f"open({str(place / 'was-run')!r}, 'w')\n")
    monkeypatch.chdir(place)
    await migrate_apart(in_folder(data_dir))
    assert not (place / "was-run").exists()
    assert not is_outdated(in_folder(data_dir)), "it migrates all the same"


async def test_where_no_process_can_be_started_the_server_migrates_itself(tmp_path, monkeypatch):
    async def refuse(*_words, **_streams):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(migrating.asyncio, "create_subprocess_exec", refuse)
    async with serving_store(in_folder(tmp_path), migrate_apart) as store:
        assert await store.projects() == ()
    assert not is_outdated(in_folder(tmp_path))


async def test_what_is_wrong_with_a_database_is_said_by_the_server(tmp_path):
    store = await open_sqlite(tmp_path)
    await store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.execute("UPDATE cluster_floor SET revision = '9999'")
    with pytest.raises(Unavailable, match="newer release"):
        async with serving_store(in_folder(tmp_path), migrate_apart):
            raise AssertionError("it must not be served")


@pytest.mark.parametrize("url", ["nonsense", "postgresql://u:p@127.0.0.1:port/db"])
async def test_an_address_that_is_none_is_said_to_be_wrong(tmp_path, url):
    settings = StorageSettings(data_dir=str(tmp_path), url=Secret(url))
    with pytest.raises(Unavailable, match="address of the database is not valid"):
        async with serving_store(settings, migrate_apart):
            raise AssertionError("it must not be served")


def test_the_revision_of_postgresql_is_asked_there():
    with running() as socket:
        url = Secret(fresh_database(socket))
        settings = StorageSettings(url=url)
        assert is_outdated(settings)
    assert not is_outdated(settings), "a database that does not answer is left to the server"
