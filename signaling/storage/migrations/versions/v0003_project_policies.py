"""Rotation of secrets, policies and quotas of projects; operators. From this version on secrets are
wrapped: the column is wide enough, and the store wraps secrets that are not."""

import sqlalchemy as sa
from alembic import op

revision = "0003_project_policies"
down_revision = "0002_callbacks"


def upgrade() -> None:
    with op.batch_alter_table("projects") as table:
        table.alter_column("api_secret", type_=sa.Text, existing_type=sa.String(40))
        table.add_column(sa.Column("previous_secret", sa.Text, nullable=True))
        table.add_column(sa.Column("previous_secret_until_ms", sa.BigInteger, nullable=True))
        table.add_column(
            sa.Column("e2ee_by_default", sa.Boolean, nullable=False, server_default=sa.false())
        )
        table.add_column(sa.Column("allowed_origins", sa.Text, nullable=False, server_default=""))
        table.add_column(sa.Column("max_sessions", sa.Integer, nullable=True))
        table.add_column(sa.Column("max_connections", sa.Integer, nullable=True))
        table.add_column(sa.Column("max_publish_bps", sa.Integer, nullable=True))
    op.create_table(
        "operators",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before: wrapped secrets cannot be undone")
