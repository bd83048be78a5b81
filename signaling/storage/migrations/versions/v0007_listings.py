"""Indexes for the lists of a session, for starts, and for what expires: a project may have hundreds
of thousands of archives, and each start and each turn of house-keeping read all of them."""

from alembic import op

revision = "0007_listings"
down_revision = "0006_broadcasts"

_OF_A_SESSION = ["session_id", "project_id", "created_ms", "id"]


def upgrade() -> None:
    for table in ("archives", "broadcasts"):
        op.create_index(f"{table}_by_session", table, _OF_A_SESSION)
    op.create_index("archives_by_expiry", "archives", ["status", "expires_ms"])
    op.drop_index("archives_by_status", "archives")


def downgrade() -> None:
    op.create_index("archives_by_status", "archives", ["status"])
    op.drop_index("archives_by_expiry", "archives")
    for table in ("broadcasts", "archives"):
        op.drop_index(f"{table}_by_session", table)
