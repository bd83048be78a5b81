"""Stops that one node asks of the others."""

import sqlalchemy as sa
from alembic import op

revision = "0012_stops"
down_revision = "0011_sealed_urls"


def upgrade() -> None:
    op.create_table(
        "asked_stops",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("object_id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(10), nullable=False),
        sa.Column("asked_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("asked_stops_by_object", "asked_stops", ["object_id"])


def downgrade() -> None:
    op.drop_table("asked_stops")
