"""Pages of the records of a project, newest first: the same for every table of such records."""

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from signaling.storage.database import Database, may_be_name

Rows = Sequence[sa.RowMapping]


async def page_of(
    database: Database,
    table: sa.Table,
    project_id: str,
    session_id: str | None,
    *,
    offset: int,
    limit: int,
) -> tuple[int, Rows]:
    """How many there are, and a page of them; with `session_id` only those of that session. The
    table has columns `id`, `project_id`, `session_id` and `created_ms`."""
    wanted = [table.c.project_id == project_id]
    if session_id is not None:
        if not may_be_name(session_id):
            return 0, ()
        wanted.append(table.c.session_id == session_id)
    count = sa.select(sa.func.count()).select_from(table).where(*wanted)
    newest = (table.c.created_ms.desc(), table.c.id.desc())
    page = table.select().where(*wanted).order_by(*newest).offset(offset).limit(limit)

    def read(connection: sa.Connection) -> tuple[int, Rows]:
        rows = connection.execute(page).mappings().all()
        return connection.execute(count).scalar_one(), rows

    return await database.read(read)


async def rewrap(
    database: Database, table: sa.Table, column: str, again: Callable[[sa.RowMapping], str]
) -> None:
    """Writes a column of every row again. `again`: its new value."""

    def work(connection: sa.Connection) -> None:
        for row in connection.execute(table.select()).mappings().all():
            change = table.update().where(table.c.id == row["id"])
            connection.execute(change.values({column: again(row)}))

    await database.write(work)
