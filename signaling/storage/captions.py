"""The records of captions; implements `base.CaptionsStore`."""

from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from signaling.domain.captioning import CaptionsRecord, CaptionsStatus
from signaling.domain.errors import BadRequest, Conflict, ErrorCode
from signaling.storage.database import Database, may_be_name
from signaling.storage.schema import captions
from signaling.storage.single_callbacks import forget_callbacks


class SqlCaptions:
    """Uses the store's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_captions(self, record: CaptionsRecord) -> None:
        insert = captions.insert().values(_row(record))
        try:
            await self._database.write(lambda c: c.execute(insert))
        except IntegrityError as cause:
            running = sa.exists().where(
                captions.c.session_id == record.session_id,
                captions.c.status == CaptionsStatus.STARTED.value,
            )
            query = sa.select(running)
            if await self._database.read(lambda c: c.execute(query).scalar_one()):
                raise Conflict(ErrorCode.CAPTIONS_RUNNING) from cause
            raise BadRequest(
                ErrorCode.INVALID_PARAMETER, "The project does not exist, or the captions do."
            ) from cause

    async def change_captions(self, record: CaptionsRecord) -> bool:
        change = captions.update().where(captions.c.id == record.id).values(_row(record))
        return await self._database.write(lambda c: c.execute(change).rowcount) == 1

    async def captions(self, captions_id: str) -> CaptionsRecord | None:
        if not may_be_name(captions_id):
            return None
        query = captions.select().where(captions.c.id == captions_id)
        row = await self._database.read(lambda c: c.execute(query).mappings().first())
        return None if row is None else _record(row)

    async def remove_captions(self, captions_id: str) -> bool:
        gone = captions.delete().where(captions.c.id == captions_id)
        return await self._database.write(lambda c: c.execute(gone).rowcount) == 1

    async def forget_callbacks(self, ended_before_ms: int) -> int:
        running = (CaptionsStatus.STARTED.value,)
        return await forget_callbacks(self._database, captions, running, ended_before_ms)


def _row(record: CaptionsRecord) -> dict[str, object]:
    return {**asdict(record), "status": record.status.value}


def _record(row: sa.RowMapping) -> CaptionsRecord:
    return CaptionsRecord(**{**row, "status": CaptionsStatus(row["status"])})
