"""The databases under the stores: files, keys, migrations, and processes that are killed."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from base64 import urlsafe_b64encode
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from config.secret import Secret
from config.settings import StorageSettings
from signaling.domain.callbacks import Callback
from signaling.domain.errors import Unavailable
from signaling.storage.folder import DATABASE, KEY_FILE
from signaling.storage.migrating import is_outdated
from signaling.storage.postgres import open_postgres
from signaling.storage.revision import MIGRATIONS, latest_revision
from signaling.storage.schema import metadata
from signaling.storage.sqlite import open_sqlite
from signaling.storage.wrapping import wrapper_of
from tests import postgres
from tests.migrated import take_back
from tests.stored import project

ROOT = Path(__file__).parents[2]


async def test_the_folder_and_its_files_are_for_the_owner_only(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    store = await open_sqlite(folder)
    await store.add_project(project(1))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    await store.close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert set(modes) >= {DATABASE, f"{DATABASE}-wal", KEY_FILE}
    assert set(modes.values()) == {0o600}


async def test_two_processes_see_each_others_projects_at_once(tmp_path):
    server = await open_sqlite(tmp_path)
    shell = await open_sqlite(tmp_path)
    await shell.add_project(project(1))
    assert await server.project_named(project(1).api_key) == project(1)
    await server.add_project(project(2))
    assert len(await shell.projects()) == 2
    await shell.close()
    await server.close()


async def test_a_file_that_is_no_database_is_unavailable_and_left_alone(tmp_path):
    file = tmp_path / DATABASE
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(Unavailable):
        await open_sqlite(tmp_path)
    assert file.read_bytes() == b"not a database" * 100


async def empty_address(kind: str, request, tmp_path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / DATABASE}"
    return postgres.fresh_database(request.getfixturevalue("postgres_server"))


async def open_at(address: str, tmp_path: Path):
    if address.startswith("sqlite"):
        return await open_sqlite(tmp_path)
    return await open_postgres(Secret(address), wrapper_of(Secret(""), tmp_path))


def changed(address: str, *statements: str) -> str:
    """The schema that is noted in a database after these changes."""
    engine = sa.create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
        noted = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    engine.dispose()
    return noted


LATER = "UPDATE alembic_version SET version_num = '9999_later'"
FAR_LATER = "UPDATE cluster_floor SET revision = '9998_later'"


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize(
    "floor", [FAR_LATER, "DELETE FROM cluster_floor", "DROP TABLE cluster_floor"]
)
async def test_a_database_of_a_release_too_new_is_refused_and_left_alone(
    kind, floor, request, tmp_path
):
    address = await empty_address(kind, request, tmp_path)
    await (await open_at(address, tmp_path)).close()
    changed(address, LATER, floor)
    with pytest.raises(Unavailable, match="newer release"):
        await open_at(address, tmp_path)
    assert changed(address) == "9999_later"


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_newer_schema_that_this_release_can_use_is_used_and_left_alone(
    kind, request, tmp_path
):
    address = await empty_address(kind, request, tmp_path)
    await (await open_at(address, tmp_path)).close()
    # As the next release would leave it: one thing more, and the floor where it was.
    changed(address, LATER, "ALTER TABLE sessions ADD COLUMN later TEXT")
    store = await open_at(address, tmp_path)
    await store.add_project(project(1))
    assert await store.projects() == (project(1),)
    await store.close()
    assert changed(address) == "9999_later"
    settings = StorageSettings(
        data_dir=str(tmp_path), url=Secret("" if kind == "sqlite" else address)
    )
    assert not is_outdated(settings), "no process has to migrate it"


def raw(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob(f"{DATABASE}*"))


async def test_no_secret_lies_in_clear_in_the_files(tmp_path):
    store = await open_sqlite(tmp_path)
    owner = replace(project(1), previous_secret="ab" * 20, previous_secret_until_ms=1)
    await store.add_project(owner)
    await store.close()
    assert owner.api_key.encode() in raw(tmp_path)
    assert owner.api_secret.encode() not in raw(tmp_path)
    assert b"ab" * 20 not in raw(tmp_path)


async def test_unwrapped_secrets_of_old_versions_are_wrapped_at_the_next_start(tmp_path):
    store = await open_sqlite(tmp_path)
    await store.add_project(project(1))
    await store.close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / DATABASE}")
    with engine.begin() as connection:
        clear = {"secret": project(1).api_secret}
        connection.execute(sa.text("UPDATE projects SET api_secret = :secret"), clear)
    store = await open_sqlite(tmp_path)
    assert await store.projects() == (project(1),)
    await store.close()
    with engine.connect() as connection:
        kept = connection.execute(sa.text("SELECT api_secret FROM projects")).scalar()
    engine.dispose()
    assert project(1).api_secret not in kept


async def test_the_migration_leaves_no_url_in_clear_in_the_files(tmp_path):
    store = await open_sqlite(tmp_path)
    await store.add_project(project(1))
    made = Callback("c", project(1).api_key, "all", "all", "https://app.test/canary", 1)
    await store.callbacks.add_callback(made)
    await store.close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / DATABASE}")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE callbacks SET url = 'https://app.test/canary'"))
        take_back(connection, "0011_sealed_urls")
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0010_captions'"))
    engine.dispose()
    assert b"canary" in raw(tmp_path)
    store = await open_sqlite(tmp_path)
    assert await store.callbacks.callbacks_of(made.project_id) == (made,)
    await store.close()
    assert b"canary" not in raw(tmp_path)


async def test_another_key_opens_nothing_and_is_refused_at_the_start(tmp_path):
    first, second = (Secret(urlsafe_b64encode(bytes([n]) * 32).decode()) for n in (1, 2))
    store = await open_sqlite(tmp_path, sealing_key=first)
    await store.add_project(project(1))
    await store.close()
    with pytest.raises(Unavailable, match="cannot be opened"):
        await open_sqlite(tmp_path, sealing_key=second)


async def test_the_sealing_key_is_changed_while_both_keys_are_known(tmp_path):
    first, second = (urlsafe_b64encode(bytes([n]) * 32).decode() for n in (1, 2))
    store = await open_sqlite(tmp_path, sealing_key=Secret(first))
    await store.add_project(project(1))
    await store.close()
    store = await open_sqlite(tmp_path, sealing_key=Secret(f"{second},{first}"))
    assert await store.rewrap_secrets() == 1
    await store.close()
    store = await open_sqlite(tmp_path, sealing_key=Secret(second))
    assert await store.projects() == (project(1),)
    await store.close()


async def test_a_secret_cannot_be_moved_to_another_project(tmp_path):
    store = await open_sqlite(tmp_path)
    for seed in (1, 2):
        await store.add_project(project(seed))
    await store.close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / DATABASE}")
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE projects SET api_secret = (SELECT min(api_secret) FROM projects)")
        )
    engine.dispose()
    with pytest.raises(Unavailable):
        await open_sqlite(tmp_path)


@pytest.mark.parametrize("key", ["short", "!" * 44, urlsafe_b64encode(bytes(31)).decode()])
async def test_a_sealing_key_of_the_wrong_form_is_refused(tmp_path, key):
    with pytest.raises(Unavailable, match="32 bytes"):
        await open_sqlite(tmp_path, sealing_key=Secret(key))


async def test_two_nodes_that_start_at_once_migrate_one_database_once(postgres_server, tmp_path):
    address = Secret(postgres.fresh_database(postgres_server))
    wrapper = wrapper_of(Secret(""), tmp_path)
    stores = await asyncio.gather(*(open_postgres(address, wrapper) for _ in range(3)))
    await stores[0].add_project(project(1))
    assert await stores[2].projects() == (project(1),)
    for store in stores:
        await store.close()


async def test_a_database_that_cannot_be_reached_is_unavailable_and_its_password_unsaid(tmp_path):
    address = Secret("postgresql://ada:hunter2@127.0.0.1:9/none")
    with pytest.raises(Unavailable) as caught:
        await open_postgres(address, wrapper_of(Secret(""), tmp_path))
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.__cause__)


async def test_the_migrations_make_exactly_the_schema(tmp_path):
    await (await open_sqlite(tmp_path)).close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / DATABASE}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


WRITER = """
import asyncio, pathlib, sys
from signaling.domain.projects import new_project
from signaling.domain.session_options import SessionOptions, SessionRecord
from signaling.storage.sqlite import open_sqlite

async def write():
    store = await open_sqlite(pathlib.Path(sys.argv[1]))
    owner = new_project(random_bytes=bytes(44), now_ms=0)
    await store.add_project(owner)
    number = 0
    while True:
        await store.add_session(SessionRecord(f"2_{number}", owner.api_key, SessionOptions(), 0))
        print(number, flush=True)
        number += 1

asyncio.run(write())
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 40])
async def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path, acknowledged):
    writer = subprocess.Popen(  # noqa: ASYNC220 - the test has nothing else to do meanwhile
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    last = -1
    for line in writer.stdout:
        last = int(line)
        if last >= acknowledged:
            writer.send_signal(signal.SIGKILL)
            break
    # What it could still say before the signal reached it counts as acknowledged too.
    rest = writer.stdout.read().split()
    writer.stdout.close()
    assert writer.wait(10) == -signal.SIGKILL
    last = max([last, *map(int, rest[:-1] if rest else [])])
    store = await open_sqlite(tmp_path)
    for number in range(last + 1):
        assert await store.session(f"2_{number}") is not None
    await store.close()


def test_the_newest_migration_by_name_is_the_head_of_the_chain():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == latest_revision()


async def test_a_postgresql_that_is_not_there_is_named_with_the_cause(tmp_path):
    url = Secret("postgresql://someone:the-password@127.0.0.1:1/x")
    with pytest.raises(Unavailable) as refused:
        await open_postgres(url, wrapper_of(Secret(""), tmp_path))
    assert "127.0.0.1:1" in refused.value.message
    assert "refused" in refused.value.message
    assert "the-password" not in refused.value.message
