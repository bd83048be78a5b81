"""The tables as SQLAlchemy sees them. `migrations/` makes them; a test compares both."""

import sqlalchemy as sa

metadata = sa.MetaData()

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("api_key", sa.String(10), primary_key=True),
    sa.Column("api_secret", sa.String(40), nullable=False),
    sa.Column("application_id", sa.String(36), nullable=False, unique=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("e2ee_enabled", sa.Boolean, nullable=False),
    sa.Column("public_key_pem", sa.Text, nullable=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)

sessions = sa.Table(
    "sessions",
    metadata,
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
