"""Registrations of callbacks, and the outbox of their deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0002_callbacks"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "callbacks",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(10), sa.ForeignKey("projects.api_key"), nullable=False),
        sa.Column("event_group", sa.String(16), nullable=False),
        sa.Column("event_name", sa.String(16), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("callbacks_by_project", "callbacks", ["project_id"])
    op.create_table(
        "callback_outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("callback_id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(10), nullable=False),
        sa.Column("session_id", sa.String(255), nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("give_up_ms", sa.BigInteger, nullable=False),
        sa.Column("next_ms", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("dead", sa.Boolean, nullable=False),
        sa.Column("result", sa.String(40), nullable=False),
        sa.UniqueConstraint("event_id", "callback_id", name="callback_outbox_once"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "callback_outbox_lane", "callback_outbox", ["session_id", "origin", "dead", "id"]
    )
    op.create_index("callback_outbox_due", "callback_outbox", ["dead", "next_ms"])


def downgrade() -> None:
    op.drop_table("callback_outbox")
    op.drop_table("callbacks")
