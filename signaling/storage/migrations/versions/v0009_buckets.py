"""Where the finished archives of a project go."""

import sqlalchemy as sa
from alembic import op

revision = "0009_buckets"
down_revision = "0008_renders"


def upgrade() -> None:
    op.create_table(
        "buckets",
        sa.Column("project_id", sa.String(10), sa.ForeignKey("projects.api_key"), primary_key=True),
        sa.Column("settings", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("buckets")
