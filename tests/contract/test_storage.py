"""What every store keeps, whatever database is under it: SQLite, and a real PostgreSQL."""

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
from signaling.domain.archiving import ArchiveRecord, ArchiveStatus, StreamMode
from signaling.domain.callbacks import Callback
from signaling.domain.errors import BadRequest, DomainError, ErrorCode, Unavailable
from signaling.domain.operators import new_operator, token_hash
from signaling.domain.projects import new_project
from signaling.domain.session_options import ArchiveMode, MediaMode, SessionOptions, SessionRecord
from signaling.domain.webhook_deliveries import NewWebhookDelivery
from signaling.storage.folder import DATABASE, KEY_FILE
from signaling.storage.postgres import open_postgres
from signaling.storage.revision import MIGRATIONS, latest_revision
from signaling.storage.schema import metadata
from signaling.storage.sqlite import open_sqlite
from signaling.storage.wrapping import wrapper_of
from tests import postgres

ROOT = Path(__file__).parents[2]


def project(seed: int = 0, **options):
    return new_project(random_bytes=bytes([seed]) * 44, now_ms=seed, **options)


def record(owner, name: str = "2_a", **options) -> SessionRecord:
    return SessionRecord(name, owner.api_key, SessionOptions(**options), 17)


async def test_a_project_is_found_by_both_its_names(store):
    owner = project(1, name="Bäckerei", e2ee_enabled=True)
    await store.add_project(owner)
    assert await store.project_named(owner.api_key) == owner
    assert await store.project_named(owner.application_id) == owner
    assert await store.project_named("nobody") is None
    assert await store.project_named(owner.api_secret) is None


async def test_projects_are_listed_oldest_first(store):
    young, old = project(9), project(3)
    for one in (young, old):
        await store.add_project(one)
    assert await store.projects() == (old, young)


async def test_a_taken_name_is_refused_and_the_first_owner_keeps_it(store):
    owner = project(1)
    await store.add_project(owner)
    for twin in (
        replace(project(2), api_key=owner.api_key),
        replace(project(2), application_id=owner.application_id),
    ):
        with pytest.raises(BadRequest):
            await store.add_project(twin)
    assert await store.projects() == (owner,)


async def test_what_may_change_of_a_project_changes_and_its_names_do_not(store):
    owner = project(1)
    await store.add_project(owner)
    changed = replace(
        owner,
        name="new",
        e2ee_enabled=True,
        e2ee_by_default=True,
        api_secret="0" * 40,
        previous_secret=owner.api_secret,
        previous_secret_until_ms=2**40,
        allowed_origins="https://a.example https://b.example",
        max_sessions=10,
        max_connections=5,
        max_publish_bps=2_000_000,
    )
    requested = replace(changed, created_ms=99, api_key="1", application_id="other")
    assert await store.change_project(owner.application_id, lambda _: requested) == changed
    assert await store.project_named(owner.api_key) == changed
    for nobody in (project(2).api_key, "", "\0"):
        assert await store.change_project(nobody, lambda _: requested) is None


async def test_changes_of_a_project_at_the_same_time_do_not_undo_each_other(store):
    owner = project(1)
    await store.add_project(owner)

    def longer(one):
        return replace(one, name=one.name + "x")

    await asyncio.gather(*(store.change_project(owner.api_key, longer) for _ in range(20)))
    assert (await store.project_named(owner.api_key)).name == owner.name + "x" * 20


async def test_a_change_that_is_refused_changes_nothing(store):
    owner = project(1)
    await store.add_project(owner)

    def refused(_one):
        raise BadRequest(ErrorCode.INVALID_PARAMETER)

    with pytest.raises(BadRequest):
        await store.change_project(owner.api_key, refused)
    assert await store.project_named(owner.api_key) == owner


async def test_a_removed_project_takes_all_that_is_its_own_with_it(store):
    gone, kept = project(1), project(2)
    for one in (gone, kept):
        await store.add_project(one)
        await store.add_session(record(one, f"2_{one.api_key}"))
        await store.archives.add_archive(archive(one, f"archive-{one.api_key}"))
        name = f"callback-{one.api_key}"
        await store.callbacks.add_callback(
            Callback(name, one.api_key, "stream", "created", "http://app.test/x", 1)
        )
        await store.callbacks.queue([waiting(one, name)])
    assert await store.remove_project(gone.application_id) is True
    assert [await store.remove_project(one) for one in (gone.api_key, "", "\0")] == [False] * 3
    assert await store.projects() == (kept,)
    found = [await store.session(f"2_{one.api_key}") for one in (gone, kept)]
    assert [one is None for one in found] == [True, False]
    assert [await store.callbacks.waiting_of(one.api_key) for one in (gone, kept)] == [0, 1]
    assert await store.archives.archive(f"archive-{gone.api_key}") is None
    assert await store.archives.archive(f"archive-{kept.api_key}") is not None
    assert await store.callbacks.callbacks_of(gone.api_key) == ()
    assert len(await store.callbacks.callbacks_of(kept.api_key)) == 1


def waiting(owner, callback: str) -> NewWebhookDelivery:
    return NewWebhookDelivery(
        event_id=f"event-{owner.api_key}",
        callback_id=callback,
        project_id=owner.api_key,
        session_id="s",
        origin="http://app.test:80",
        url="http://app.test/x",
        event="streamCreated",
        body="{}",
        created_ms=1,
        give_up_ms=1_000,
    )


def archive(owner, archive_id: str = "a", **changes) -> ArchiveRecord:
    made = ArchiveRecord(
        archive_id,
        owner.api_key,
        f"2_{owner.api_key}",
        "n",
        StreamMode.AUTO,
        True,
        False,
        "",
        created_ms=5,
        updated_ms=5,
    )
    return replace(made, **changes)


async def test_an_archive_comes_back_as_it_was_stored_and_as_it_was_changed(store):
    owner = project(1)
    await store.add_project(owner)
    made = archive(owner, name="Bäckerei", tag="t", stream_mode=StreamMode.MANUAL)
    await store.archives.add_archive(made)
    assert await store.archives.archive(made.id) == made
    changed = replace(
        made,
        status=ArchiveStatus.AVAILABLE,
        reason="user initiated",
        updated_ms=9,
        recorded_ms=2**40,
        size_bytes=2**41,
        sha256="x" * 44,
        expires_ms=2**42,
    )
    assert await store.archives.change_archive(changed) is True
    assert await store.archives.archive(made.id) == changed
    assert await store.archives.remove_archive(made.id) is True
    assert await store.archives.remove_archive(made.id) is False
    assert await store.archives.change_archive(changed) is False
    for nobody in (made.id, "", "\0", "\ud800"):
        assert await store.archives.archive(nobody) is None


async def test_a_session_has_one_recording_archive_of_each_tag_whoever_asks(store):
    owner = project(1)
    await store.add_project(owner)

    async def add(name: str, **changes) -> str | None:
        try:
            await store.archives.add_archive(archive(owner, name, **changes))
        except DomainError as refused:
            return refused.code.value
        return None

    outcomes = await asyncio.gather(*(add(f"a-{number}") for number in range(10)))
    assert sorted(filter(None, outcomes)) == ["archive_running"] * 9
    assert await add("other tag", tag="t") is None
    assert await add("other session", session_id="2_b") is None
    assert await add("paused", tag="t", status=ArchiveStatus.PAUSED) == "archive_running"
    (first,) = [f"a-{n}" for n, outcome in enumerate(outcomes) if outcome is None]
    stopped = archive(owner, first, status=ArchiveStatus.STOPPED)
    assert await store.archives.change_archive(stopped)
    assert await add("next") is None
    assert await add("of nobody", project_id="9", session_id="2_c") == "invalid_parameter"


async def test_archives_are_listed_newest_first_page_by_page_and_by_session(store):
    owner, other = project(1), project(2)
    for one in (owner, other):
        await store.add_project(one)
    stopped = ArchiveStatus.STOPPED
    for number in range(5):
        session = "2_even" if number % 2 == 0 else "2_odd"
        made = archive(owner, f"a-{number}", status=stopped, session_id=session, created_ms=number)
        await store.archives.add_archive(made)
    await store.archives.add_archive(archive(other, "b"))

    async def page(session_id=None, offset=0, limit=10):
        found = await store.archives.archives_of(
            owner.api_key, session_id, offset=offset, limit=limit
        )
        return found[0], [one.id for one in found[1]]

    assert await page() == (5, ["a-4", "a-3", "a-2", "a-1", "a-0"])
    assert await page(offset=1, limit=2) == (5, ["a-3", "a-2"])
    assert await page(limit=0) == (5, [])
    assert await page("2_odd") == (2, ["a-3", "a-1"])
    for nowhere in ("2_x", "\0", "\ud800"):
        assert await page(nowhere) == (0, [])


async def test_archives_that_wait_for_something_are_found(store):
    owner = project(1)
    await store.add_project(owner)
    for number, status in enumerate(ArchiveStatus):
        expires_ms = 10 if status is ArchiveStatus.AVAILABLE else None
        made = archive(owner, status.value, status=status, tag=str(number), expires_ms=expires_ms)
        await store.archives.add_archive(made)
    found = {one.id for one in await store.archives.unfinished_archives()}
    assert found == {"started", "paused", "stopped"}
    assert await store.archives.archives_kept_until(9) == ()
    assert [one.id for one in await store.archives.archives_kept_until(10)] == ["available"]


async def test_operators_are_known_by_the_hash_of_their_token(store):
    ada, token = new_operator("ada", random_bytes=bytes(32), now_ms=1)
    await store.operators.add_operator(ada)
    with pytest.raises(BadRequest):
        await store.operators.add_operator(replace(ada, token_hash="0" * 64))
    assert await store.operators.operator_with(token_hash(token)) == ada
    assert await store.operators.operator_with(token_hash(token + "x")) is None
    assert await store.operators.operators() == (ada,)
    assert await store.operators.remove_operator("ada") is True
    assert await store.operators.remove_operator("ada") is False
    assert await store.operators.operator_with(token_hash(token)) is None


async def test_many_writers_at_once_all_succeed(store):
    owner = project(1)
    await store.add_project(owner)
    names = [f"2_{number}" for number in range(40)]
    await asyncio.gather(*(store.add_session(record(owner, name)) for name in names))
    found = await asyncio.gather(*(store.session(name) for name in names))
    assert [one.session_id for one in found] == names


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"e2ee": True, "location": "192.0.2.1"},
        {"media_mode": MediaMode.RELAYED},
        {
            "archive_mode": ArchiveMode.ALWAYS,
            "archive_name": "n",
            "archive_resolution": "1280x720",
        },
    ],
)
async def test_a_session_comes_back_as_it_was_made(store, options):
    owner = project(1)
    await store.add_project(owner)
    made = record(owner, **options)
    await store.add_session(made)
    assert await store.session(made.session_id) == made
    assert await store.session("2_other") is None


async def test_a_session_needs_a_project_and_an_id_of_its_own(store):
    with pytest.raises(BadRequest):
        await store.add_session(record(project(1)))
    await store.add_project(project(1))
    await store.add_session(record(project(1)))
    with pytest.raises(BadRequest):
        await store.add_session(record(project(1), e2ee=True))
    assert (await store.session("2_a")).options.e2ee is False


async def test_many_writers_at_once_lose_nothing(store):
    owner = project(1)
    await store.add_project(owner)
    records = [record(owner, f"2_{number}") for number in range(50)]
    await asyncio.gather(*(store.add_session(one) for one in records))
    assert [await store.session(one.session_id) for one in records] == records


@pytest.mark.parametrize(
    "hostile", ["'; DROP TABLE projects; --", "\x00", "%", "ü" * 1000, "\ud800", ""]
)
async def test_hostile_names_find_nothing_and_break_nothing(store, hostile):
    assert await store.project_named(hostile) is None
    assert await store.session(hostile) is None
    assert await store.callbacks.remove_callback(project(1).api_key, hostile) is False


# --- SQLite's own ------------------------------------------------------------------------


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


async def test_a_database_of_a_newer_release_is_refused_and_left_alone(tmp_path):
    await (await open_sqlite(tmp_path)).close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / DATABASE}")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999_later'"))
    with pytest.raises(Unavailable, match="newer release"):
        await open_sqlite(tmp_path)
    with engine.connect() as connection:
        noted = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    engine.dispose()
    assert noted == "9999_later"


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


_READ_ONLY = {"sqlite": "PRAGMA query_only = ON", "postgresql": "SET TRANSACTION READ ONLY"}


async def test_what_cannot_be_written_is_known_and_said_once(store, capsys):
    """As on a full disk, and on a file system that was mounted again read-only."""
    owner = project(1)
    await store.add_project(owner)
    await store.check_writing()
    engine = store._database._engine

    def read_only(connection):
        connection.exec_driver_sql(_READ_ONLY[connection.dialect.name])

    sa.event.listen(engine, "begin", read_only)
    for number in range(3):
        with pytest.raises(Unavailable):
            await store.add_session(record(owner, f"2_{number}"))
        with pytest.raises(Unavailable):
            await store.check_writing()
    assert await store.project_named(owner.api_key) == owner, "reading goes on"
    said = capsys.readouterr().out
    assert said.count("storage unavailable") == 1
    assert "read" in said.split("reason=")[1]
    sa.event.remove(engine, "begin", read_only)
    if engine.dialect.name == "sqlite":
        engine.dispose()
    await store.check_writing()
    assert "storage available again" in capsys.readouterr().out
    assert await store.session("2_0") is None


async def test_checking_leaves_no_session_behind(store):
    await store.check_writing()
    await store.add_project(project(1))
    await store.check_writing()

    def count(connection):
        return connection.exec_driver_sql("SELECT count(*) FROM sessions").scalar()

    assert await store._database.read(count) == 0


async def test_a_postgresql_that_is_not_there_is_named_with_the_cause(tmp_path):
    url = Secret("postgresql://someone:the-password@127.0.0.1:1/x")
    with pytest.raises(Unavailable) as refused:
        await open_postgres(url, wrapper_of(Secret(""), tmp_path))
    assert "127.0.0.1:1" in refused.value.message
    assert "refused" in refused.value.message
    assert "the-password" not in refused.value.message
