"""Projects and sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("api_key", sa.String(10), primary_key=True),
        sa.Column("api_secret", sa.String(40), nullable=False),
        sa.Column("application_id", sa.String(36), nullable=False, unique=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("e2ee_enabled", sa.Boolean, nullable=False),
        sa.Column("public_key_pem", sa.Text, nullable=True),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.String(255), primary_key=True),
        sa.Column("project_id", sa.String(10), sa.ForeignKey("projects.api_key"), nullable=False),
        sa.Column("media_mode", sa.String(16), nullable=False),
        sa.Column("archive_mode", sa.String(16), nullable=False),
        sa.Column("e2ee", sa.Boolean, nullable=False),
        sa.Column("archive_name", sa.String(80), nullable=True),
        sa.Column("archive_resolution", sa.String(16), nullable=True),
        sa.Column("location", sa.String(15), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("sessions")
    op.drop_table("projects")
