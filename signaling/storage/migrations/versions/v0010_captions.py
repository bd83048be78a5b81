"""Captions. One index makes sure that a session is captioned once, whichever node was asked."""

import sqlalchemy as sa
from alembic import op

revision = "0010_captions"
down_revision = "0009_buckets"

_RUNNING = sa.text("status = 'started'")


def upgrade() -> None:
    op.create_table(
        "captions",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(10), sa.ForeignKey("projects.api_key"), nullable=False),
        sa.Column("session_id", sa.String(255), nullable=False),
        sa.Column("language", sa.String(16), nullable=False),
        sa.Column("partials", sa.Boolean, nullable=False),
        sa.Column("max_duration_s", sa.Integer, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
    )
    op.create_index(
        "captions_running",
        "captions",
        ["session_id"],
        unique=True,
        sqlite_where=_RUNNING,
        postgresql_where=_RUNNING,
    )
    op.create_index("captions_by_project", "captions", ["project_id"])


def downgrade() -> None:
    op.drop_table("captions")
