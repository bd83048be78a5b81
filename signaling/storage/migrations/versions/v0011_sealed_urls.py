"""URLs of callbacks are wrapped. A release before this one would take what is wrapped for an URL,
so it has to refuse this database."""

import sqlalchemy as sa
from alembic import context, op

from signaling.storage.wrapping import SecretWrapper

revision = "0011_sealed_urls"
down_revision = "0010_captions"

_REGISTRATIONS = sa.table("callbacks", sa.column("id"), sa.column("url"))
_OUTBOX = sa.table(
    "callback_outbox",
    sa.column("id"),
    sa.column("event_id"),
    sa.column("callback_id"),
    sa.column("url"),
)


def upgrade() -> None:
    connection, wrapper = op.get_bind(), context.config.attributes["wrapper"]
    if connection.dialect.name == "sqlite":
        # Else what was written over could still be read in the file.
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
    for row in connection.execute(_REGISTRATIONS.select()).all():
        _wrap(connection, wrapper, _REGISTRATIONS, row, f"registration {row.id}")
    for row in connection.execute(_OUTBOX.select()).all():
        _wrap(connection, wrapper, _OUTBOX, row, f"delivery {row.event_id} {row.callback_id}")


def _wrap(
    connection: sa.Connection,
    wrapper: SecretWrapper,
    table: sa.TableClause,
    row: sa.Row[tuple[object, ...]],
    owner: str,
) -> None:
    change = table.update().where(table.c.id == row.id)
    connection.execute(change.values(url=wrapper.wrap(row.url, owner)))


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before: wrapped URLs cannot be undone")
