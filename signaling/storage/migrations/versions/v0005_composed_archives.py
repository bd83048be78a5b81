"""How the streams of an archive become one file, as JSON; without it each has its own."""

import sqlalchemy as sa
from alembic import op

revision = "0005_composed_archives"
down_revision = "0004_archives"


def upgrade() -> None:
    op.add_column("archives", sa.Column("composition", sa.Text, nullable=True))


def downgrade() -> None:
    op.drop_column("archives", "composition")
