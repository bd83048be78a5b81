"""The records of broadcasts; implements `base.BroadcastStore`."""

from dataclasses import asdict
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.exc import IntegrityError

from signaling.domain.archiving import StreamMode
from signaling.domain.broadcasting import (
    BroadcastRecord,
    BroadcastStatus,
    HlsOutput,
    RtmpOutput,
)
from signaling.domain.errors import BadRequest, Conflict, ErrorCode
from signaling.storage.database import Database, may_be_name
from signaling.storage.pages import page_of, rewrap
from signaling.storage.schema import broadcasts
from signaling.storage.wrapping import SecretWrapper


class _Outputs(Struct, frozen=True):
    """The form in which they are stored."""

    hls: HlsOutput | None
    rtmp: tuple[RtmpOutput, ...]


class SqlBroadcasts:
    """Uses the store's database."""

    def __init__(self, database: Database, wrapper: SecretWrapper) -> None:
        self._database = database
        self._wrapper = wrapper

    async def add_broadcast(self, record: BroadcastRecord) -> None:
        row = self._row(record)
        try:
            await self._database.write(lambda c: c.execute(broadcasts.insert().values(row)))
        except IntegrityError as cause:
            if await self._is_running(record):
                raise Conflict(ErrorCode.BROADCAST_RUNNING) from cause
            raise BadRequest(
                ErrorCode.INVALID_PARAMETER, "The project does not exist, or the broadcast does."
            ) from cause

    async def _is_running(self, record: BroadcastRecord) -> bool:
        query = sa.select(
            sa.exists().where(
                broadcasts.c.session_id == record.session_id,
                broadcasts.c.tag == record.tag,
                broadcasts.c.status == BroadcastStatus.STARTED.value,
            )
        )
        return bool(await self._database.read(lambda c: c.execute(query).scalar_one()))

    async def change_broadcast(self, record: BroadcastRecord) -> bool:
        row = self._row(record)
        change = broadcasts.update().where(broadcasts.c.id == record.id).values(row)
        return await self._database.write(lambda c: c.execute(change).rowcount) == 1

    async def broadcast(self, broadcast_id: str) -> BroadcastRecord | None:
        if not may_be_name(broadcast_id):
            return None
        query = broadcasts.select().where(broadcasts.c.id == broadcast_id)
        row = await self._database.read(lambda c: c.execute(query).mappings().first())
        return None if row is None else self._record(row)

    async def broadcasts_of(
        self, project_id: str, session_id: str | None, *, offset: int, limit: int
    ) -> tuple[int, tuple[BroadcastRecord, ...]]:
        total, rows = await page_of(
            self._database, broadcasts, project_id, session_id, offset=offset, limit=limit
        )
        return total, tuple(self._record(row) for row in rows)

    async def running_broadcasts(self) -> tuple[BroadcastRecord, ...]:
        wanted = broadcasts.c.status == BroadcastStatus.STARTED.value
        query = broadcasts.select().where(wanted).order_by(broadcasts.c.created_ms)
        rows = await self._database.read(lambda c: c.execute(query).mappings().all())
        return tuple(self._record(row) for row in rows)

    async def remove_broadcast(self, broadcast_id: str) -> bool:
        gone = broadcasts.delete().where(broadcasts.c.id == broadcast_id)
        return await self._database.write(lambda c: c.execute(gone).rowcount) == 1

    async def rewrap_outputs(self) -> None:
        """Wraps all of them with the newest key."""
        await rewrap(
            self._database,
            broadcasts,
            "outputs",
            lambda row: self._wrapped(self._unwrapped(row), row["id"]),
        )

    def _row(self, record: BroadcastRecord) -> dict[str, object]:
        row: dict[str, Any] = asdict(record)
        del row["hls"], row["rtmp"]
        outputs = _Outputs(record.hls, record.rtmp)
        return {
            **row,
            "stream_mode": record.stream_mode.value,
            "status": record.status.value,
            "layout": msgspec.json.encode(record.layout).decode(),
            "outputs": self._wrapped(msgspec.json.encode(outputs).decode(), record.id),
        }

    def _record(self, row: sa.RowMapping) -> BroadcastRecord:
        outputs = msgspec.json.decode(self._unwrapped(row), type=_Outputs)
        stored = {name: row[name] for name in row if name != "outputs"}
        return BroadcastRecord(
            **{
                **stored,
                "stream_mode": StreamMode(row["stream_mode"]),
                "status": BroadcastStatus(row["status"]),
                "layout": msgspec.json.decode(row["layout"]),
                "hls": outputs.hls,
                "rtmp": outputs.rtmp,
            }
        )

    def _wrapped(self, outputs: str, broadcast_id: str) -> str:
        return self._wrapper.wrap(outputs, f"broadcast {broadcast_id}")

    def _unwrapped(self, row: sa.RowMapping) -> str:
        return self._wrapper.unwrap(row["outputs"], f"broadcast {row['id']}")
