"""Renders. `details` are wrapped like the secrets of projects: addresses of pages may hold some."""

import sqlalchemy as sa
from alembic import op

revision = "0008_renders"
down_revision = "0007_listings"


def upgrade() -> None:
    op.create_table(
        "renders",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(10), sa.ForeignKey("projects.api_key"), nullable=False),
        sa.Column("session_id", sa.String(255), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
    )
    op.create_index("renders_by_project", "renders", ["project_id", "created_ms"])
    op.create_index(
        "renders_by_session", "renders", ["session_id", "project_id", "created_ms", "id"]
    )
    op.create_index("renders_by_status", "renders", ["status", "updated_ms"])


def downgrade() -> None:
    op.drop_table("renders")
