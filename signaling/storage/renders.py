"""The records of renders; implements `base.RenderStore`."""

from dataclasses import asdict
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from signaling.domain.errors import BadRequest, ErrorCode
from signaling.domain.rendering import RenderRecord, RenderStatus
from signaling.storage.database import Database, may_be_name
from signaling.storage.pages import page_of, rewrap
from signaling.storage.schema import renders
from signaling.storage.single_callbacks import forget_callbacks
from signaling.storage.wrapping import SecretWrapper

_COLUMNS = ("id", "project_id", "session_id", "status", "created_ms", "updated_ms")
_RUNNING = (RenderStatus.STARTING.value, RenderStatus.STARTED.value)


class SqlRenders:
    """Uses the store's database. Addresses of pages are wrapped: they may hold secrets."""

    def __init__(self, database: Database, wrapper: SecretWrapper) -> None:
        self._database = database
        self._wrapper = wrapper

    async def add_render(self, record: RenderRecord) -> None:
        row = self._row(record)
        try:
            await self._database.write(lambda c: c.execute(renders.insert().values(row)))
        except IntegrityError as cause:
            raise BadRequest(
                ErrorCode.INVALID_PARAMETER, "The project does not exist, or the render does."
            ) from cause

    async def change_render(self, record: RenderRecord) -> bool:
        running = sa.and_(renders.c.id == record.id, renders.c.status.in_(_RUNNING))
        change = renders.update().where(running).values(self._row(record))
        return await self._database.write(lambda c: c.execute(change).rowcount) == 1

    async def render(self, render_id: str) -> RenderRecord | None:
        if not may_be_name(render_id):
            return None
        query = renders.select().where(renders.c.id == render_id)
        row = await self._database.read(lambda c: c.execute(query).mappings().first())
        return None if row is None else self._record(row)

    async def renders_of(
        self, project_id: str, session_id: str | None, *, offset: int, limit: int
    ) -> tuple[int, tuple[RenderRecord, ...]]:
        total, rows = await page_of(
            self._database, renders, project_id, session_id, offset=offset, limit=limit
        )
        return total, tuple(self._record(row) for row in rows)

    async def running_renders(self) -> tuple[RenderRecord, ...]:
        query = renders.select().where(renders.c.status.in_(_RUNNING))
        rows = await self._database.read(
            lambda c: c.execute(query.order_by(renders.c.created_ms)).mappings().all()
        )
        return tuple(self._record(row) for row in rows)

    async def forget_callbacks(self, ended_before_ms: int) -> int:
        return await forget_callbacks(self._database, renders, _RUNNING, ended_before_ms)

    async def rewrap_details(self) -> None:
        """Wraps all of them with the newest key."""
        await rewrap(
            self._database,
            renders,
            "details",
            lambda row: self._wrapper.wrap(self._unwrapped(row), _label(row["id"])),
        )

    def _row(self, record: RenderRecord) -> dict[str, object]:
        row: dict[str, Any] = asdict(record)
        details = {name: row.pop(name) for name in list(row) if name not in _COLUMNS}
        text = msgspec.json.encode(details).decode()
        wrapped = self._wrapper.wrap(text, _label(record.id))
        return {**row, "status": record.status.value, "details": wrapped}

    def _record(self, row: sa.RowMapping) -> RenderRecord:
        stored: dict[str, Any] = {name: row[name] for name in _COLUMNS}
        details = msgspec.json.decode(self._unwrapped(row), type=dict[str, Any])
        return RenderRecord(**{**stored, **details, "status": RenderStatus(row["status"])})

    def _unwrapped(self, row: sa.RowMapping) -> str:
        return self._wrapper.unwrap(row["details"], _label(row["id"]))


def _label(render_id: str) -> str:
    return f"render {render_id}"
