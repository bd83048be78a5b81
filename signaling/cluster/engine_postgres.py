"""The engine of a cluster in PostgreSQL, which its nodes use anyhow.

Every method is one statement (a claim with a limit: a lock before it), so that connections can go
through a pooler of transactions. Nothing is decided by a wall clock; only the removal of rows that
are a day old, and what operators are shown, reads the database's.
"""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from config.secret import Secret
from signaling.cluster.engine import (
    NOBODY,
    NUMBER_BITS,
    Beat,
    Home,
    NodeRow,
    NodeState,
    Surveyed,
    View,
)
from signaling.domain.errors import ErrorCode, error
from signaling.storage.database import Database, may_be_name
from signaling.storage.postgres import engine_of

_WRITERS = 4
_SILENT_MS = 4_000
"""How long a dead database may keep a thread: as long as it takes to be judged silent."""
_LOCK = 0x5EA2
"""Advisory locks of projects are of this class."""

_TIMELINE = "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint"
_NO_TIMELINE = "0::bigint"
"""Where the database does not offer the functions of its log. A fail-over must not lose writes
there: it takes a synchronous standby."""

_COLUMNS = (
    "incarnation, name, region, release, state, hears, load, proto_min, proto_max, control_url,"
    " link_url, certificate, started_ms"
)
_PARTS = {
    "@columns": _COLUMNS,
    "@living": "('joining', 'ready', 'draining')",
    "@serving": "('ready', 'draining')",
}
_STATEMENTS = {
    "join": """
        INSERT INTO cluster_nodes (@columns, beat)
        VALUES (@number, :name, :region, :release, :state, :hears, :load, :proto_min,
                :proto_max, :control_url, :link_url, :certificate, :started_ms, 0)
        RETURNING incarnation""",
    # What the statement sees is older than what it writes: the new row is that of `mine`.
    "beat": """
        WITH mine AS (
            UPDATE cluster_nodes
            SET beat = beat + 1, state = :state, hears = :hears, load = :load, changed_at = now()
            WHERE incarnation = :me AND state IN @living
            RETURNING @columns, beat)
        SELECT @timeline AS timeline,
               mine_homes.count AS homes, mine_homes.sum::text AS epochs, n.*
        FROM (SELECT count(*), coalesce(sum(epoch), 0) AS sum
              FROM cluster_homes WHERE incarnation = :me) AS mine_homes LEFT JOIN (
            SELECT @columns, beat FROM mine
            UNION ALL
            SELECT @columns, beat FROM cluster_nodes
            WHERE state IN @living AND incarnation <> :me) AS n ON true
        ORDER BY n.incarnation""",
    "certify": """
        UPDATE cluster_nodes SET state = 'dead', changed_at = now()
        WHERE incarnation = :other AND beat = :seen AND state IN @living
        RETURNING incarnation""",
    "is_living": "SELECT 1 FROM cluster_nodes WHERE incarnation = :other AND state IN @living",
    "lock": "SELECT pg_advisory_xact_lock(:class, hashtext(:project))",
    # The lock on one's own row keeps a certificate out until the claim is done. The higher
    # epoch wins against a node that came after this statement began, which it cannot see.
    "claim": """
        WITH me AS (
            SELECT incarnation FROM cluster_nodes
            WHERE incarnation = :me AND state IN @serving FOR SHARE)
        INSERT INTO cluster_homes AS h (session_id, project_id, incarnation, epoch, facts)
        SELECT CAST(:session AS text), CAST(:project AS text), me.incarnation, @number, '{}' FROM me
        WHERE CAST(:limit AS bigint) IS NULL
           OR EXISTS (SELECT FROM cluster_homes
                      WHERE session_id = CAST(:session AS text) AND incarnation <> 0)
           OR CAST(:limit AS bigint) > (
               SELECT count(*) FROM cluster_homes
               WHERE project_id = CAST(:project AS text) AND incarnation <> 0)
        ON CONFLICT (session_id) DO UPDATE
        SET incarnation = excluded.incarnation, epoch = excluded.epoch, changed_at = now()
        WHERE excluded.epoch > h.epoch
          AND (h.incarnation IN (0, excluded.incarnation)
               OR NOT EXISTS (SELECT FROM cluster_nodes AS n
                              WHERE n.incarnation = h.incarnation AND n.state IN @serving))
        RETURNING session_id, project_id, incarnation, epoch, facts""",
    "is_serving": "SELECT 1 FROM cluster_nodes WHERE incarnation = :me AND state IN @serving",
    "give": """
        WITH serving AS (
            SELECT incarnation FROM cluster_nodes
            WHERE incarnation IN (:me, :to) AND state IN @serving FOR SHARE)
        UPDATE cluster_homes
        SET incarnation = :to, epoch = @number, changed_at = now()
        WHERE session_id = :session AND incarnation = :me AND epoch = :epoch
          AND (SELECT count(*) FROM serving) = 2
        RETURNING session_id, project_id, incarnation, epoch, facts""",
    "release": """
        UPDATE cluster_homes SET incarnation = 0, changed_at = now()
        WHERE session_id = :session AND incarnation = :me AND epoch = :epoch
        RETURNING session_id""",
    "home_of": """
        SELECT session_id, project_id, incarnation, epoch, facts FROM cluster_homes
        WHERE session_id = :session AND incarnation <> 0""",
    "homes_of": """
        SELECT session_id, project_id, incarnation, epoch, facts FROM cluster_homes
        WHERE incarnation = :me AND incarnation <> 0 ORDER BY session_id""",
    "nodes": "SELECT @columns, beat FROM cluster_nodes ORDER BY incarnation",
    "survey": """
        SELECT @columns, beat, extract(epoch FROM localtimestamp - n.changed_at) AS age_s,
               (SELECT count(*) FROM cluster_homes AS h
                WHERE h.incarnation = n.incarnation) AS homes
        FROM cluster_nodes AS n ORDER BY name, incarnation""",
    "orphans": """
        SELECT DISTINCT h.incarnation FROM cluster_homes AS h
        WHERE h.incarnation <> 0 AND NOT EXISTS (
            SELECT FROM cluster_nodes AS n
            WHERE n.incarnation = h.incarnation AND n.state IN @living)""",
    "sweep": """
        WITH old_nodes AS (
            DELETE FROM cluster_nodes
            WHERE NOT (state IN @living) AND changed_at < now() - interval '1 day'),
        old_homes AS (
            DELETE FROM cluster_homes
            WHERE incarnation = 0 AND changed_at < now() - interval '1 day')
        UPDATE cluster_homes AS h SET incarnation = 0, changed_at = now()
        WHERE h.incarnation = ANY(:gone) AND h.incarnation <> 0 AND NOT EXISTS (
            SELECT FROM cluster_nodes AS n
            WHERE n.incarnation = h.incarnation AND n.state IN @living)""",
    "leave": """
        WITH me AS (
            UPDATE cluster_nodes SET state = 'left', changed_at = now()
            WHERE incarnation = :me AND state IN @living RETURNING incarnation)
        UPDATE cluster_homes SET incarnation = 0, changed_at = now()
        WHERE incarnation IN (SELECT incarnation FROM me) AND incarnation <> 0""",
}


def _statements(timeline: str) -> dict[str, sa.TextClause]:
    number = f"(({timeline} << {NUMBER_BITS}) | nextval('cluster_numbers'))"
    parts = _PARTS | {"@number": number, "@timeline": timeline}
    made = {}
    for name, text in _STATEMENTS.items():
        for part, meaning in parts.items():
            text = text.replace(part, meaning)  # noqa: PLW2901 - filled in part by part
        made[name] = sa.text(text)
    return made


class EnginePostgres:
    """Implements `Engine`. Beats have a connection of their own, so that claims cannot delay them.
    `has_timeline`: see `_NO_TIMELINE`."""

    def __init__(self, engine: sa.Engine, *, has_timeline: bool) -> None:
        self.has_timeline = has_timeline
        self._beats = Database(engine, readers=1, writers=1)
        self._others = Database(engine, readers=2, writers=_WRITERS)
        self._say = _statements(_TIMELINE if has_timeline else _NO_TIMELINE)

    async def join(self, row: NodeRow) -> int:
        given = _node_values(row)
        return int(
            await self._beats.write(lambda c: c.execute(self._say["join"], given).scalar_one())
        )

    async def beat(self, beat: Beat) -> View:
        given = {"me": beat.incarnation, "state": beat.state.value, **_told(beat.hears, beat.load)}
        rows = await self._beats.write(
            lambda c: c.execute(self._say["beat"], given).mappings().all()
        )
        living = tuple(_node(row) for row in rows if row["incarnation"] is not None)
        return View(rows[0]["timeline"], rows[0]["homes"], living, int(rows[0]["epochs"]))

    async def certify(self, incarnation: int, seen_beat: int) -> bool:
        given = {"other": incarnation, "seen": seen_beat}

        def work(connection: sa.Connection) -> bool:
            if connection.execute(self._say["certify"], given).first() is not None:
                return True
            return connection.execute(self._say["is_living"], given).first() is None

        return await self._beats.write(work)

    async def claim(
        self, session_id: str, project_id: str, limit: int | None, me: int
    ) -> Home | None:
        given = {"session": session_id, "project": project_id, "limit": limit, "me": me}

        def work(connection: sa.Connection) -> Home | None:
            if limit is not None:
                connection.execute(self._say["lock"], {"class": _LOCK, "project": project_id})
            claimed = connection.execute(self._say["claim"], given).mappings().first()
            if claimed is not None or limit is None:
                return _home(claimed)
            taken = connection.execute(self._say["home_of"], given).first()
            serving = connection.execute(self._say["is_serving"], given).first()
            if taken is None and serving is not None:
                raise error(ErrorCode.SESSION_LIMIT)
            return None

        return await self._others.write(work)

    async def give(self, home: Home, to: int) -> Home | None:
        given = {**_named(home), "to": to}
        return await self._others.write(
            lambda c: _home(c.execute(self._say["give"], given).mappings().first())
        )

    async def release(self, home: Home) -> bool:
        given = _named(home)
        return await self._others.write(
            lambda c: c.execute(self._say["release"], given).first() is not None
        )

    async def home_of(self, session_id: str) -> Home | None:
        if not may_be_name(session_id):
            return None
        given = {"session": session_id}
        return await self._others.read(
            lambda c: _home(c.execute(self._say["home_of"], given).mappings().first())
        )

    async def homes_of(self, incarnation: int) -> tuple[Home, ...]:
        given = {"me": incarnation}
        rows = await self._others.read(
            lambda c: c.execute(self._say["homes_of"], given).mappings().all()
        )
        return tuple(_home_in(row) for row in rows)

    async def nodes(self) -> tuple[NodeRow, ...]:
        rows = await self._others.read(lambda c: c.execute(self._say["nodes"]).mappings().all())
        return tuple(_node(row) for row in rows)

    async def survey(self) -> tuple[Surveyed, ...]:
        """All lives of the last day, by their names, for operators."""
        rows = await self._others.read(lambda c: c.execute(self._say["survey"]).mappings().all())
        return tuple(Surveyed(_node(row), row["homes"], float(row["age_s"])) for row in rows)

    async def orphans(self) -> frozenset[int]:
        return await self._others.read(
            lambda c: frozenset(c.execute(self._say["orphans"]).scalars())
        )

    async def sweep(self, incarnations: frozenset[int]) -> int:
        given = {"gone": sorted(incarnations)}
        return await self._others.write(lambda c: c.execute(self._say["sweep"], given).rowcount)

    async def leave(self, incarnation: int) -> None:
        given = {"me": incarnation}
        await self._others.write(lambda c: c.execute(self._say["leave"], given).rowcount)

    async def close(self) -> None:
        await self._beats.close()
        await self._others.close()


async def open_engine(url: Secret[str]) -> EnginePostgres:
    """The engine in the database at `url`, whose schema the store has brought up to date.

    Errors: `storage_unavailable`.
    """
    engine = engine_of(url, connections=_WRITERS + 2, tcp_user_timeout=_SILENT_MS)
    asking = Database(engine, readers=1, writers=1)
    try:
        has_timeline = await asking.read(_has_timeline)
    except BaseException:
        await asking.close()
        raise
    return EnginePostgres(engine, has_timeline=has_timeline)


def _has_timeline(connection: sa.Connection) -> bool:
    try:
        with connection.begin_nested():
            connection.execute(sa.text(f"SELECT {_TIMELINE}"))
    except SQLAlchemyError:
        connection.rollback()
        connection.execute(sa.text("SELECT 1"))  # errors of the database itself are the caller's
        return False
    return True


def _node_values(row: NodeRow) -> dict[str, object]:
    names = "name region release proto_min proto_max control_url link_url certificate started_ms"
    given: dict[str, object] = {name: getattr(row, name) for name in names.split()}
    return given | {"state": row.state.value, **_told(row.hears, row.load)}


def _told(hears: frozenset[int], load: Mapping[str, float]) -> dict[str, str]:
    return {"hears": json.dumps(sorted(hears)), "load": json.dumps(dict(load))}


def _node(row: sa.RowMapping) -> NodeRow:
    found: dict[str, Any] = {name: row[name] for name in _COLUMNS.replace(" ", "").split(",")}
    return NodeRow(
        **found
        | {
            "beat": row["beat"],
            "state": NodeState(row["state"]),
            "hears": frozenset(json.loads(row["hears"])),
            "load": json.loads(row["load"]),
        }
    )


def _named(home: Home) -> dict[str, object]:
    return {"session": home.session_id, "me": home.incarnation, "epoch": home.epoch}


def _home(row: sa.RowMapping | None) -> Home | None:
    return None if row is None or row["incarnation"] == NOBODY else _home_in(row)


def _home_in(row: sa.RowMapping) -> Home:
    facts = json.loads(row["facts"])
    return Home(row["session_id"], row["project_id"], row["incarnation"], row["epoch"], facts)
