"""Archives. One index makes sure that a session has one recording archive of each tag, whichever
node was asked."""

import sqlalchemy as sa
from alembic import op

revision = "0004_archives"
down_revision = "0003_project_policies"

_RECORDING = sa.text("status IN ('started', 'paused')")


def upgrade() -> None:
    op.create_table(
        "archives",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(10), sa.ForeignKey("projects.api_key"), nullable=False),
        sa.Column("session_id", sa.String(255), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("stream_mode", sa.String(16), nullable=False),
        sa.Column("has_audio", sa.Boolean, nullable=False),
        sa.Column("has_video", sa.Boolean, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("recorded_ms", sa.BigInteger, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(44), nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=True),
    )
    op.create_index(
        "archives_recording",
        "archives",
        ["session_id", "tag"],
        unique=True,
        sqlite_where=_RECORDING,
        postgresql_where=_RECORDING,
    )
    op.create_index("archives_by_project", "archives", ["project_id", "created_ms"])
    op.create_index("archives_by_status", "archives", ["status"])


def downgrade() -> None:
    op.drop_table("archives")
