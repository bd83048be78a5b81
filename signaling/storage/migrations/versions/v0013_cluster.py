"""Nodes and homes of a cluster, and the oldest schema whose releases can use this one.

PostgreSQL has the numbers of lives and reigns in a sequence. SQLite has one node, which has none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013_cluster"
down_revision = "0012_stops"

_HELD = sa.text("incarnation <> 0")


def upgrade() -> None:
    op.create_table(
        "cluster_nodes",
        sa.Column("incarnation", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("region", sa.String(64), nullable=False),
        sa.Column("release", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("hears", sa.Text, nullable=False),
        sa.Column("load", sa.Text, nullable=False),
        sa.Column("proto_min", sa.Integer, nullable=False),
        sa.Column("proto_max", sa.Integer, nullable=False),
        sa.Column("control_url", sa.Text, nullable=False),
        sa.Column("link_url", sa.Text, nullable=False),
        sa.Column("certificate", sa.Text, nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "cluster_homes",
        sa.Column("session_id", sa.String(255), primary_key=True),
        sa.Column("project_id", sa.String(10), nullable=False),
        sa.Column("incarnation", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False, server_default=sa.func.now()),
    )
    op.create_index("cluster_homes_by_node", "cluster_homes", ["incarnation"])
    op.create_index(
        "cluster_homes_by_project",
        "cluster_homes",
        ["project_id"],
        sqlite_where=_HELD,
        postgresql_where=_HELD,
    )
    floor = op.create_table("cluster_floor", sa.Column("revision", sa.String(32), primary_key=True))
    op.bulk_insert(floor, [{"revision": revision}])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE SEQUENCE cluster_numbers")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP SEQUENCE cluster_numbers")
    for table in ("cluster_floor", "cluster_homes", "cluster_nodes"):
        op.drop_table(table)
