"""The embedded store: SQLite in the data folder, shared with command lines that run beside it.

WAL lets them read while the server writes; `synchronous=FULL` puts an acknowledged session on
disk before the answer leaves, so that a killed process loses nothing it promised.
"""

import asyncio
import importlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from signaling.domain.errors import BadRequest, ErrorCode, Unavailable
from signaling.domain.projects import Project
from signaling.domain.session_options import ArchiveMode, MediaMode, SessionOptions, SessionRecord
from signaling.storage.callbacks import SqlCallbacks
from signaling.storage.group_commit import GroupCommit
from signaling.storage.revision import latest_revision, revision_of
from signaling.storage.schema import projects, sessions

DATABASE = "sealroute.sqlite3"


async def open_sqlite(data_dir: Path, *, busy_timeout_ms: int = 5_000) -> "SqlStore":
    """Opens the store in a folder, made with mode 0700 if needed, and brings its schema up to date.

    Errors: `Unavailable` when the folder or the database can not be used.
    """
    path = data_dir / DATABASE
    try:
        await asyncio.to_thread(_prepare, data_dir, path)
    except OSError as cause:
        raise Unavailable(
            ErrorCode.STORAGE_UNAVAILABLE, f"{data_dir} can not be used: {cause.strerror}"
        ) from cause
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    sa.event.listen(engine.sync_engine, "connect", _configure(busy_timeout_ms))
    sa.event.listen(engine.sync_engine, "begin", _begin_writing)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_bring_up_to_date)
    except SQLAlchemyError as cause:
        await engine.dispose()
        raise Unavailable(
            ErrorCode.STORAGE_UNAVAILABLE, f"{path} can not be opened as a database."
        ) from cause
    return SqlStore(engine)


def _prepare(data_dir: Path, path: Path) -> None:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    data_dir.chmod(0o700)
    # SQLite gives the WAL and its index the mode of the database.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)


def _configure(busy_timeout_ms: int) -> Any:  # noqa: ANN401 - an event listener of SQLAlchemy
    def on_connect(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI object
        # SQLAlchemy begins transactions below, with the kind of lock that is needed.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={busy_timeout_ms}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return on_connect


def _begin_writing(connection: sa.Connection) -> None:
    """Takes the write lock at once where a write will follow: an upgrade later can not wait."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _bring_up_to_date(connection: sa.Connection) -> None:
    """Migrates where something is to be done. Alembic is loaded only then: it costs 10 MB."""
    if revision_of(connection) != latest_revision():
        importlib.import_module("signaling.storage.migrate").migrate(connection)


class SqlStore:
    """Projects and sessions in a SQL database. Owner of the engine."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(reading=True)
        self._callbacks = SqlCallbacks(engine)
        self._new_sessions = GroupCommit(self._insert_sessions)

    @property
    def callbacks(self) -> SqlCallbacks:
        return self._callbacks

    async def add_project(self, project: Project) -> None:
        row = {column.name: getattr(project, column.name) for column in projects.columns}
        try:
            async with self._write() as connection:
                await connection.execute(projects.insert().values(row))
        except IntegrityError as cause:
            raise BadRequest(
                ErrorCode.INVALID_PARAMETER, "A project with that key or id exists already."
            ) from cause

    async def project_named(self, identity: str) -> Project | None:
        named = sa.or_(projects.c.api_key == identity, projects.c.application_id == identity)
        async with self._read() as connection:
            row = (await connection.execute(projects.select().where(named))).mappings().first()
        return None if row is None else Project(**row)

    async def projects(self) -> tuple[Project, ...]:
        query = projects.select().order_by(projects.c.created_ms, projects.c.api_key)
        async with self._read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return tuple(Project(**row) for row in rows)

    async def replace_project(self, project: Project) -> bool:
        change = (
            projects.update()
            .where(projects.c.api_key == project.api_key)
            .values(
                name=project.name,
                e2ee_enabled=project.e2ee_enabled,
                public_key_pem=project.public_key_pem,
            )
        )
        async with self._write() as connection:
            return (await connection.execute(change)).rowcount == 1

    async def add_session(self, record: SessionRecord) -> None:
        options = record.options
        row: dict[str, object] = {
            "session_id": record.session_id,
            "project_id": record.project_id,
            "media_mode": options.media_mode.value,
            "archive_mode": options.archive_mode.value,
            "e2ee": options.e2ee,
            "archive_name": options.archive_name,
            "archive_resolution": options.archive_resolution,
            "location": options.location,
            "created_ms": record.created_ms,
        }
        try:
            await self._new_sessions.add(row)
        except IntegrityError as cause:
            raise BadRequest(
                ErrorCode.INVALID_PARAMETER, "The session exists already, or its project does not."
            ) from cause

    async def _insert_sessions(self, rows: Sequence[dict[str, object]]) -> None:
        async with self._write() as connection:
            await connection.execute(sessions.insert(), rows)

    async def session(self, session_id: str) -> SessionRecord | None:
        query = sessions.select().where(sessions.c.session_id == session_id)
        async with self._read() as connection:
            row = (await connection.execute(query)).mappings().first()
        return None if row is None else _session(row)

    async def close(self) -> None:
        await self._new_sessions.close()
        await self._engine.dispose()

    @asynccontextmanager
    async def _read(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._reading.connect() as connection:
                yield connection
        except SQLAlchemyError as cause:
            raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE) from cause

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except SQLAlchemyError as cause:
            raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE) from cause


def _session(row: sa.RowMapping) -> SessionRecord:
    return SessionRecord(
        session_id=row["session_id"],
        project_id=row["project_id"],
        options=SessionOptions(
            media_mode=MediaMode(row["media_mode"]),
            archive_mode=ArchiveMode(row["archive_mode"]),
            e2ee=row["e2ee"],
            archive_name=row["archive_name"],
            archive_resolution=row["archive_resolution"],
            location=row["location"],
        ),
        created_ms=row["created_ms"],
    )
