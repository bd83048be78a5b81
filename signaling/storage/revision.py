"""The schema version of a database, and the version that this release needs."""

import re
from pathlib import Path

import sqlalchemy as sa

MIGRATIONS = Path(__file__).parent / "migrations"
_REVISION = re.compile(r'^revision = "(\w+)"', re.MULTILINE)


def _named(path: Path) -> str:
    found = _REVISION.search(path.read_text())
    if found is None:
        raise ValueError(f"{path.name} names no revision")
    return found.group(1)


def latest_revision() -> str:
    """The revision of the newest migration: files are numbered, so the last is the newest."""
    return _named(max((MIGRATIONS / "versions").glob("v*.py")))


def is_known(revision: str) -> bool:
    """Whether this release contains the migration of that revision."""
    return any(_named(path) == revision for path in (MIGRATIONS / "versions").glob("v*.py"))


def revision_of(connection: sa.Connection) -> str | None:
    """The revision that Alembic stored in the database; None when the database is empty."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    noted = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if noted is None else str(noted)


def is_usable(connection: sa.Connection) -> bool:
    """Whether this release can use the database, whose schema it does not know: the newer release
    that made it says which schema its users have to know."""
    if not sa.inspect(connection).has_table("cluster_floor"):
        return False
    floor = connection.execute(sa.text("SELECT revision FROM cluster_floor")).scalar()
    return floor is not None and is_known(str(floor))
