"""Stops that one node asks of the others; implements `base.StopStore`.

A row without a project is a node's own: it says that the node lives.
"""

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from signaling.domain.stops import AskedStop
from signaling.storage.database import Database
from signaling.storage.schema import asked_stops

_OF_NODE = ""


class SqlStops:
    """Uses the store's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_stop(self, stop: AskedStop) -> None:
        row = {
            "id": stop.id,
            "object_id": stop.object_id,
            "project_id": stop.project_id,
            "asked_ms": stop.asked_ms,
        }
        await self._database.write(lambda c: c.execute(asked_stops.insert().values(row)))

    async def has_stop(self, stop_id: str) -> bool:
        query = sa.select(sa.exists().where(asked_stops.c.id == stop_id))
        return bool(await self._database.read(lambda c: c.execute(query).scalar_one()))

    async def stops_of(self, object_ids: Collection[str]) -> tuple[AskedStop, ...]:
        query = asked_stops.select().where(asked_stops.c.object_id.in_(object_ids))
        rows = await self._database.read(lambda c: c.execute(query).mappings().all())
        return tuple(AskedStop(**row) for row in rows)

    async def remove_stop(self, stop_id: str) -> bool:
        gone = asked_stops.delete().where(asked_stops.c.id == stop_id)
        return await self._database.write(lambda c: c.execute(gone).rowcount) == 1

    async def forget_stops(self, asked_before_ms: int) -> int:
        old = asked_stops.delete().where(asked_stops.c.asked_ms < asked_before_ms)
        return await self._database.write(lambda c: c.execute(old).rowcount)

    async def beat(self, node: str, now_ms: int) -> None:
        own = asked_stops.update().where(asked_stops.c.id == node).values(asked_ms=now_ms)
        row = {"id": node, "object_id": node, "project_id": _OF_NODE, "asked_ms": now_ms}

        def write(connection: sa.Connection) -> None:
            if not connection.execute(own).rowcount:
                connection.execute(asked_stops.insert().values(row))

        await self._database.write(write)

    async def beats(self) -> Mapping[str, int]:
        of_nodes = asked_stops.select().where(asked_stops.c.project_id == _OF_NODE)
        rows = await self._database.read(lambda c: c.execute(of_nodes).mappings().all())
        return {row["id"]: row["asked_ms"] for row in rows}
