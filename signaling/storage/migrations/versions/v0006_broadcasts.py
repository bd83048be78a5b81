"""Broadcasts. One index makes sure that a session has one running broadcast of each tag, whichever
node was asked. `outputs` are wrapped like the secrets of projects: they hold those of other
servers."""

import sqlalchemy as sa
from alembic import op

revision = "0006_broadcasts"
down_revision = "0005_composed_archives"

_RUNNING = sa.text("status = 'started'")


def upgrade() -> None:
    op.create_table(
        "broadcasts",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(10), sa.ForeignKey("projects.api_key"), nullable=False),
        sa.Column("session_id", sa.String(255), nullable=False),
        sa.Column("stream_mode", sa.String(16), nullable=False),
        sa.Column("has_audio", sa.Boolean, nullable=False),
        sa.Column("has_video", sa.Boolean, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("resolution", sa.String(16), nullable=False),
        sa.Column("max_duration_s", sa.Integer, nullable=False),
        sa.Column("max_bitrate", sa.Integer, nullable=True),
        sa.Column("layout", sa.Text, nullable=False),
        sa.Column("outputs", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
    )
    op.create_index(
        "broadcasts_running",
        "broadcasts",
        ["session_id", "tag"],
        unique=True,
        sqlite_where=_RUNNING,
        postgresql_where=_RUNNING,
    )
    op.create_index("broadcasts_by_project", "broadcasts", ["project_id", "created_ms"])
    op.create_index("broadcasts_by_status", "broadcasts", ["status"])


def downgrade() -> None:
    op.drop_table("broadcasts")
