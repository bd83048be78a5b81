"""Which version of the schema a database has, and which one this release wants."""

import re
from pathlib import Path

import sqlalchemy as sa

MIGRATIONS = Path(__file__).parent / "migrations"
_REVISION = re.compile(r'^revision = "(\w+)"', re.MULTILINE)


def latest_revision() -> str:
    """The newest migration's name for itself: files are numbered, so the last is the newest."""
    newest = max((MIGRATIONS / "versions").glob("v*.py"))
    found = _REVISION.search(newest.read_text())
    if found is None:
        raise ValueError(f"{newest.name} names no revision")
    return found.group(1)


def revision_of(connection: sa.Connection) -> str | None:
    """What Alembic noted in the database; None when it is empty."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    noted = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if noted is None else str(noted)
