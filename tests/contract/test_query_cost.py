"""What lists, starts and house-keeping read of a project with many archives and broadcasts: rows
that they answer with, and no others."""

import re
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from signaling.domain.archiving import ArchiveStatus
from signaling.domain.errors import DomainError
from tests.stored import archive, broadcast, project

ROWS, OF_A_SESSION, EXPIRED = 10_000, 50, 7
FILL = """
INSERT INTO {table} ({names})
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows})
SELECT {values} FROM numbers, {table} AS one
"""
CHANGED = {
    "id": "'x' || n",
    "session_id": f"'2_' || (n / {OF_A_SESSION})",
    "created_ms": "n",
}


def fill(store, table, **changed):
    """Many rows like the one that is there."""
    changed = CHANGED | changed
    engine = store._database._engine
    with engine.begin() as connection:
        names = [column["name"] for column in sa.inspect(connection).get_columns(table)]
        values = [changed.get(name, f"one.{name}") for name in names]
        filled = FILL.format(
            table=table, names=", ".join(names), values=", ".join(values), rows=ROWS
        )
        connection.execute(sa.text(filled))
        if engine.dialect.name != "sqlite":  # which nobody asks to; PostgreSQL does it by itself
            connection.execute(sa.text("ANALYZE"))


@contextmanager
def plans(store):
    """How the database carries out each query that is made meanwhile."""
    engine, queries, found = store._database._engine, [], []

    def note(_connection, _cursor, statement, parameters, *_):
        if statement.startswith("SELECT"):
            queries.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", note)
    yield found
    sa.event.remove(engine, "before_cursor_execute", note)
    is_sqlite = engine.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN ANALYZE"
    with engine.connect() as connection:
        for statement, parameters in queries:
            rows = connection.exec_driver_sql(f"{explain} {statement}", parameters)
            found.append("\n".join(str(row[-1]) for row in rows))


def read_in_vain(plan: str) -> int:
    """SQLite counts no rows: it reads all of a table or an index, or what was searched for."""
    if re.search(r"^SCAN (archives|broadcasts)", plan, re.MULTILINE):
        return ROWS
    return sum(int(count) for count in re.findall(r"Rows Removed by F\w+: (\d+)", plan))


@pytest.fixture
async def archives(store):
    owner = project(1)
    await store.add_project(owner)
    first = archive(owner, status=ArchiveStatus.AVAILABLE, expires_ms=1)
    await store.archives.add_archive(first)
    fill(store, "archives", expires_ms=f"CASE WHEN n < {EXPIRED} THEN 1 ELSE 1000 END")
    return owner


class Unwrapped:
    """Wrapped outputs belong to one broadcast, and cannot be copied to another one."""

    def wrap(self, text, _context):
        return text

    unwrap = wrap


@pytest.fixture
async def broadcasts(store):
    store.broadcasts._wrapper = Unwrapped()
    owner = project(1)
    await store.add_project(owner)
    await store.broadcasts.add_broadcast(broadcast(owner))
    fill(store, "broadcasts", status="'stopped'")
    return owner


async def lists_of_archives_read_what_they_show(store, owner):
    with plans(store) as found:
        total, shown = await store.archives.archives_of(owner.api_key, "2_7", offset=10, limit=10)
    assert (total, len(shown), len(found)) == (OF_A_SESSION, 10, 2)
    assert [read_in_vain(plan) for plan in found] == [0, 0]
    assert all("archives_by_session" in plan for plan in found)
    with plans(store) as found:
        total, shown = await store.archives.archives_of(owner.api_key, None, offset=0, limit=10)
    assert (total, len(shown)) == (ROWS + 1, 10)
    assert "archives_by_project" in found[0]  # the total counts all of them, in an index or not


async def house_keeping_reads_the_archives_that_are_due(store):
    with plans(store) as found:
        due = await store.archives.archives_kept_until(10)
        unfinished = await store.archives.unfinished_archives()
    assert (len(due), len(unfinished)) == (EXPIRED, 0)
    assert [read_in_vain(plan) for plan in found] == [0, 0]
    assert all("archives_by_expiry" in plan for plan in found)


async def test_lists_house_keeping_and_starts_of_archives_read_what_they_answer_with(
    store, archives
):
    await lists_of_archives_read_what_they_show(store, archives)
    await house_keeping_reads_the_archives_that_are_due(store)
    await store.archives.add_archive(archive(archives, "running", session_id="2_7"))
    with plans(store) as found, pytest.raises(DomainError, match="archive"):
        await store.archives.add_archive(archive(archives, "second", session_id="2_7"))
    assert len(found) == 1
    assert read_in_vain(found[0]) <= OF_A_SESSION


async def test_lists_and_starts_of_broadcasts_read_what_they_show(store, broadcasts):
    owner = broadcasts
    with plans(store) as found:
        total, shown = await store.broadcasts.broadcasts_of(
            owner.api_key, "2_7", offset=0, limit=10
        )
        running = await store.broadcasts.running_broadcasts()
    assert (total, len(shown), len(running)) == (OF_A_SESSION, 10, 1)
    assert [read_in_vain(plan) for plan in found] == [0, 0, 0]
    await store.broadcasts.add_broadcast(broadcast(owner, "running", session_id="2_7"))
    with plans(store) as found, pytest.raises(DomainError, match="broadcast"):
        await store.broadcasts.add_broadcast(broadcast(owner, "second", session_id="2_7"))
    assert read_in_vain(found[0]) <= OF_A_SESSION
