"""Projects and sessions in a SQL database; implements `base.Store`."""

import secrets
from collections.abc import Sequence
from dataclasses import fields, replace

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from signaling.domain.errors import BadRequest, ErrorCode
from signaling.domain.projects import Project
from signaling.domain.session_options import ArchiveMode, MediaMode, SessionOptions, SessionRecord
from signaling.storage.archives import SqlArchives
from signaling.storage.base import ProjectEdit
from signaling.storage.broadcasts import SqlBroadcasts
from signaling.storage.buckets import SqlBuckets
from signaling.storage.callbacks import SqlCallbacks
from signaling.storage.captions import SqlCaptions
from signaling.storage.database import Database, may_be_name
from signaling.storage.group_commit import GroupCommit
from signaling.storage.operators import SqlOperators
from signaling.storage.renders import SqlRenders
from signaling.storage.schema import (
    archives,
    broadcasts,
    buckets,
    callback_outbox,
    callbacks,
    captions,
    projects,
    renders,
    sessions,
)
from signaling.storage.stops import SqlStops
from signaling.storage.wrapping import SecretWrapper

_OF_A_PROJECT = (
    callback_outbox,
    callbacks,
    archives,
    broadcasts,
    buckets,
    captions,
    renders,
    sessions,
)


class SqlStore:
    """Owns the database."""

    def __init__(self, database: Database, wrapper: SecretWrapper) -> None:
        self._database = database
        self._wrapper = wrapper
        self._archives = SqlArchives(database)
        self._broadcasts = SqlBroadcasts(database, wrapper)
        self._buckets = SqlBuckets(database, wrapper)
        self._captions = SqlCaptions(database)
        self._callbacks = SqlCallbacks(database, wrapper)
        self._operators = SqlOperators(database)
        self._renders = SqlRenders(database, wrapper)
        self._stops = SqlStops(database)
        self._new_sessions = GroupCommit(self._insert_sessions)

    @property
    def archives(self) -> SqlArchives:
        return self._archives

    @property
    def broadcasts(self) -> SqlBroadcasts:
        return self._broadcasts

    @property
    def buckets(self) -> SqlBuckets:
        return self._buckets

    @property
    def captions(self) -> SqlCaptions:
        return self._captions

    @property
    def callbacks(self) -> SqlCallbacks:
        return self._callbacks

    @property
    def operators(self) -> SqlOperators:
        return self._operators

    @property
    def renders(self) -> SqlRenders:
        return self._renders

    @property
    def stops(self) -> SqlStops:
        return self._stops

    @property
    def wrapper(self) -> SecretWrapper:
        return self._wrapper

    async def add_project(self, project: Project) -> None:
        row = self._row(project)
        try:
            await self._database.write(lambda c: c.execute(projects.insert().values(row)))
        except IntegrityError as cause:
            raise BadRequest(
                ErrorCode.INVALID_PARAMETER, "A project with that key or id exists already."
            ) from cause

    async def project_named(self, identity: str) -> Project | None:
        if not may_be_name(identity):
            return None
        given = {"identity": identity}
        row = await self._database.read(lambda c: c.execute(_BY_NAME, given).mappings().first())
        return None if row is None else self._project(row)

    async def projects(self) -> tuple[Project, ...]:
        query = projects.select().order_by(projects.c.created_ms, projects.c.api_key)
        rows = await self._database.read(lambda c: c.execute(query).mappings().all())
        return tuple(self._project(row) for row in rows)

    async def change_project(self, identity: str, change: ProjectEdit) -> Project | None:
        if not may_be_name(identity):
            return None
        # The row lock serializes changes; SQLite has one writer at a time anyway.
        query = projects.select().where(_named(identity)).with_for_update()

        def work(connection: sa.Connection) -> Project | None:
            found = connection.execute(query).mappings().first()
            if found is None:
                return None
            before = self._project(found)
            after = replace(
                change(before),
                api_key=before.api_key,
                application_id=before.application_id,
                created_ms=before.created_ms,
            )
            row = self._row(after)
            connection.execute(
                projects.update().where(projects.c.api_key == before.api_key).values(row)
            )
            return after

        return await self._database.write(work)

    async def remove_project(self, identity: str) -> bool:
        if not may_be_name(identity):
            return False
        query = sa.select(projects.c.api_key).where(_named(identity)).with_for_update()

        def work(connection: sa.Connection) -> bool:
            api_key = connection.execute(query).scalar()
            for table in _OF_A_PROJECT:
                connection.execute(table.delete().where(table.c.project_id == api_key))
            gone = connection.execute(projects.delete().where(projects.c.api_key == api_key))
            return gone.rowcount == 1

        removed = await self._database.write(work)
        self._callbacks.forget_known()
        return removed

    async def rewrap_secrets(self) -> int:
        """Wraps every secret with the newest key, including unwrapped ones of earlier releases."""
        found = await self.projects()
        for project in found:
            await self.change_project(project.api_key, lambda unchanged: unchanged)
        await self._broadcasts.rewrap_outputs()
        await self._renders.rewrap_details()
        await self._buckets.rewrap_buckets()
        await self._callbacks.rewrap_all()
        return len(found)

    async def has_unwrapped_secrets(self) -> bool:
        query = sa.select(projects.c.api_secret)
        secrets = await self._database.read(lambda c: c.execute(query).scalars().all())
        return not all(self._wrapper.is_wrapped(secret) for secret in secrets)

    def _row(self, project: Project) -> dict[str, object]:
        row = {one.name: getattr(project, one.name) for one in fields(project)}
        row["api_secret"] = self._wrapper.wrap(project.api_secret, project.api_key)
        if project.previous_secret is not None:
            row["previous_secret"] = self._wrapper.wrap(project.previous_secret, project.api_key)
        return row

    def _project(self, row: sa.RowMapping) -> Project:
        found = Project(**row)
        return replace(
            found,
            api_secret=self._unwrapped(found.api_secret, found.api_key),
            previous_secret=None
            if found.previous_secret is None
            else self._unwrapped(found.previous_secret, found.api_key),
        )

    def _unwrapped(self, stored: str, owner: str) -> str:
        return self._wrapper.unwrap(stored, owner) if self._wrapper.is_wrapped(stored) else stored

    async def add_session(self, record: SessionRecord) -> None:
        try:
            await self._new_sessions.add(_session_row(record))
        except IntegrityError as cause:
            raise BadRequest(
                ErrorCode.INVALID_PARAMETER, "The session exists already, or its project does not."
            ) from cause

    async def _insert_sessions(self, rows: Sequence[dict[str, object]]) -> None:
        await self._database.write(lambda c: c.execute(sessions.insert(), list(rows)))

    async def session(self, session_id: str) -> SessionRecord | None:
        if not may_be_name(session_id):
            return None
        query = sessions.select().where(sessions.c.session_id == session_id)
        row = await self._database.read(lambda c: c.execute(query).mappings().first())
        return None if row is None else _session(row)

    async def check_writing(self) -> None:
        """Stores a session and removes it in one transaction, to test writing."""
        name = f"readiness-{secrets.token_hex(8)}"

        def work(connection: sa.Connection) -> None:
            owner = connection.execute(sa.select(projects.c.api_key).limit(1)).scalar()
            if owner is None:
                return  # without a project there can be no session
            row = _session_row(SessionRecord(name, owner, SessionOptions(), 0))
            connection.execute(sessions.insert(), row)
            connection.execute(sessions.delete().where(sessions.c.session_id == name))

        await self._database.write(work)

    async def close(self) -> None:
        await self._new_sessions.close()
        await self._database.close()


def _named(identity: str) -> sa.ColumnElement[bool]:
    return sa.or_(projects.c.api_key == identity, projects.c.application_id == identity)


_IDENTITY = sa.bindparam("identity", type_=sa.String)
_BY_NAME = projects.select().where(
    sa.or_(projects.c.api_key == _IDENTITY, projects.c.application_id == _IDENTITY)
)
"""Built once: a statement takes longer to build than to run."""


def _session_row(record: SessionRecord) -> dict[str, object]:
    options = record.options
    return {
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
