"""The tables in SQLAlchemy. `migrations/` creates them; a test compares both."""

import sqlalchemy as sa

metadata = sa.MetaData()

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("api_key", sa.String(10), primary_key=True),
    sa.Column("api_secret", sa.Text, nullable=False),
    sa.Column("application_id", sa.String(36), nullable=False, unique=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("e2ee_enabled", sa.Boolean, nullable=False),
    sa.Column("public_key_pem", sa.Text, nullable=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("previous_secret", sa.Text, nullable=True),
    sa.Column("previous_secret_until_ms", sa.BigInteger, nullable=True),
    sa.Column("e2ee_by_default", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("allowed_origins", sa.Text, nullable=False, server_default=""),
    sa.Column("max_sessions", sa.Integer, nullable=True),
    sa.Column("max_connections", sa.Integer, nullable=True),
    sa.Column("max_publish_bps", sa.Integer, nullable=True),
)

buckets = sa.Table(
    "buckets",
    metadata,
    sa.Column("project_id", sa.String(10), sa.ForeignKey("projects.api_key"), primary_key=True),
    sa.Column("settings", sa.Text, nullable=False),
)
"""`settings`: wrapped, for they have the secret of an access key."""

operators = sa.Table(
    "operators",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
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

callbacks = sa.Table(
    "callbacks",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("project_id", sa.String(10), sa.ForeignKey("projects.api_key"), nullable=False),
    sa.Column("event_group", sa.String(16), nullable=False),
    sa.Column("event_name", sa.String(16), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Index("callbacks_by_project", "project_id"),
)
"""`url`: wrapped, for it may hold a token."""

callback_outbox = sa.Table(
    "callback_outbox",
    metadata,
    # SQLite assigns row numbers only if the key is an INTEGER.
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
    sa.Index("callback_outbox_lane", "session_id", "origin", "dead", "id"),
    sa.Index("callback_outbox_due", "dead", "next_ms"),
    sqlite_autoincrement=True,
)
"""`sqlite_autoincrement`: row numbers are never reused, so they order the rows. `body` and `url`:
wrapped."""

_RECORDING = sa.text("status IN ('started', 'paused')")

archives = sa.Table(
    "archives",
    metadata,
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
    sa.Column("composition", sa.Text, nullable=True),
    sa.Index(
        "archives_recording",
        "session_id",
        "tag",
        unique=True,
        sqlite_where=_RECORDING,
        postgresql_where=_RECORDING,
    ),
    sa.Index("archives_by_project", "project_id", "created_ms"),
    sa.Index("archives_by_session", "session_id", "project_id", "created_ms", "id"),
    sa.Index("archives_by_expiry", "status", "expires_ms"),
)
"""`archives_recording`: whichever node is asked, a session has one recording archive of a tag."""

_RUNNING = sa.text("status = 'started'")

broadcasts = sa.Table(
    "broadcasts",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("project_id", sa.String(10), sa.ForeignKey("projects.api_key"), nullable=False),
    sa.Column("session_id", sa.String(255), nullable=False),
    sa.Column("stream_mode", sa.String(16), nullable=False),
    sa.Column("has_audio", sa.Boolean, nullable=False),
    sa.Column("has_video", sa.Boolean, nullable=False),
    sa.Column("tag", sa.Text, nullable=False),
    sa.Column("resolution", sa.String(16), nullable=False),
    sa.Column("max_duration_s", sa.Integer, nullable=False),
    sa.Column("max_bitrate", sa.Integer, nullable=True),
    sa.Column("layout", sa.Text, nullable=False),
    sa.Column("outputs", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Index(
        "broadcasts_running",
        "session_id",
        "tag",
        unique=True,
        sqlite_where=_RUNNING,
        postgresql_where=_RUNNING,
    ),
    sa.Index("broadcasts_by_project", "project_id", "created_ms"),
    sa.Index("broadcasts_by_session", "session_id", "project_id", "created_ms", "id"),
    sa.Index("broadcasts_by_status", "status"),
)
"""`outputs`: wrapped, for the names of streams are secrets."""

renders = sa.Table(
    "renders",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("project_id", sa.String(10), sa.ForeignKey("projects.api_key"), nullable=False),
    sa.Column("session_id", sa.String(255), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Index("renders_by_project", "project_id", "created_ms"),
    sa.Index("renders_by_session", "session_id", "project_id", "created_ms", "id"),
    sa.Index("renders_by_status", "status", "updated_ms"),
)
"""`details`: the rest of a record, wrapped, for the address of a page may hold secrets."""

captions = sa.Table(
    "captions",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("project_id", sa.String(10), sa.ForeignKey("projects.api_key"), nullable=False),
    sa.Column("session_id", sa.String(255), nullable=False),
    sa.Column("language", sa.String(16), nullable=False),
    sa.Column("partials", sa.Boolean, nullable=False),
    sa.Column("max_duration_s", sa.Integer, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Index(
        "captions_running",
        "session_id",
        unique=True,
        sqlite_where=_RUNNING,
        postgresql_where=_RUNNING,
    ),
    sa.Index("captions_by_project", "project_id"),
)
"""When they ran: what was said is stored nowhere."""

asked_stops = sa.Table(
    "asked_stops",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("object_id", sa.String(36), nullable=False),
    sa.Column("project_id", sa.String(10), nullable=False),
    sa.Column("asked_ms", sa.BigInteger, nullable=False),
    sa.Index("asked_stops_by_object", "object_id"),
)
"""The node that ends the object removes its rows; others are forgotten after minutes. A row without
a project is that of a node, which changes it while it lives."""

cluster_nodes = sa.Table(
    "cluster_nodes",
    metadata,
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
"""One row for each life of a node. `hears` and `load` are JSON. `changed_at`: when it began; only
the removal of rows that are a day old reads it."""

_HELD = sa.text("incarnation <> 0")

cluster_homes = sa.Table(
    "cluster_homes",
    metadata,
    sa.Column("session_id", sa.String(255), primary_key=True),
    sa.Column("project_id", sa.String(10), nullable=False),
    sa.Column("incarnation", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("changed_at", sa.DateTime, nullable=False, server_default=sa.func.now()),
    sa.Index("cluster_homes_by_node", "incarnation"),
    sa.Index("cluster_homes_by_project", "project_id", sqlite_where=_HELD, postgresql_where=_HELD),
)
"""Incarnation 0: nobody is home; the row stays for a day. `changed_at`: as in `cluster_nodes`."""

cluster_floor = sa.Table(
    "cluster_floor", metadata, sa.Column("revision", sa.String(32), primary_key=True)
)
"""One row: the oldest schema whose releases can use this one. A migration that takes away what they
need raises it."""
