"""The records of archives; implements `base.ArchiveStore`."""

from dataclasses import asdict

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from sfu.egress.composition import Composition
from signaling.domain.archiving import (
    RECORDING,
    UNFINISHED,
    ArchiveRecord,
    ArchiveStatus,
    StreamMode,
)
from signaling.domain.errors import BadRequest, Conflict, ErrorCode
from signaling.storage.database import Database, may_be_name
from signaling.storage.pages import page_of
from signaling.storage.schema import archives


class SqlArchives:
    """Uses the store's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_archive(self, record: ArchiveRecord) -> None:
        row = _row(record)
        try:
            await self._database.write(lambda c: c.execute(archives.insert().values(row)))
        except IntegrityError as cause:
            if await self._is_recording(record):
                raise Conflict(ErrorCode.ARCHIVE_RUNNING) from cause
            raise BadRequest(
                ErrorCode.INVALID_PARAMETER, "The project does not exist, or the archive does."
            ) from cause

    async def _is_recording(self, record: ArchiveRecord) -> bool:
        query = sa.select(
            sa.exists().where(
                archives.c.session_id == record.session_id,
                archives.c.tag == record.tag,
                archives.c.status.in_(RECORDING),
            )
        )
        return bool(await self._database.read(lambda c: c.execute(query).scalar_one()))

    async def change_archive(self, record: ArchiveRecord) -> bool:
        change = archives.update().where(archives.c.id == record.id).values(_row(record))
        return await self._database.write(lambda c: c.execute(change).rowcount) == 1

    async def archive(self, archive_id: str) -> ArchiveRecord | None:
        if not may_be_name(archive_id):
            return None
        query = archives.select().where(archives.c.id == archive_id)
        row = await self._database.read(lambda c: c.execute(query).mappings().first())
        return None if row is None else _record(row)

    async def archives_of(
        self, project_id: str, session_id: str | None, *, offset: int, limit: int
    ) -> tuple[int, tuple[ArchiveRecord, ...]]:
        total, rows = await page_of(
            self._database, archives, project_id, session_id, offset=offset, limit=limit
        )
        return total, tuple(_record(row) for row in rows)

    async def unfinished_archives(self) -> tuple[ArchiveRecord, ...]:
        return await self._all(archives.c.status.in_(UNFINISHED))

    async def archives_kept_until(self, now_ms: int) -> tuple[ArchiveRecord, ...]:
        return await self._all(
            sa.and_(
                archives.c.status == ArchiveStatus.AVAILABLE.value,
                archives.c.expires_ms <= now_ms,
            )
        )

    async def _all(self, which: sa.ColumnElement[bool]) -> tuple[ArchiveRecord, ...]:
        query = archives.select().where(which).order_by(archives.c.created_ms, archives.c.id)
        rows = await self._database.read(lambda c: c.execute(query).mappings().all())
        return tuple(_record(row) for row in rows)

    async def remove_archive(self, archive_id: str) -> bool:
        gone = archives.delete().where(archives.c.id == archive_id)
        return await self._database.write(lambda c: c.execute(gone).rowcount) == 1


def _row(record: ArchiveRecord) -> dict[str, object]:
    composition = record.composition
    return {
        **asdict(record),
        "stream_mode": record.stream_mode.value,
        "status": record.status.value,
        "composition": None if composition is None else msgspec.json.encode(composition).decode(),
    }


def _record(row: sa.RowMapping) -> ArchiveRecord:
    text = row["composition"]
    return ArchiveRecord(
        **{
            **row,
            "stream_mode": StreamMode(row["stream_mode"]),
            "status": ArchiveStatus(row["status"]),
            "composition": text and msgspec.json.decode(text, type=Composition),
        }
    )
