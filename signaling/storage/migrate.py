"""Runs the migrations. Loaded only when one is pending."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from signaling.storage.revision import MIGRATIONS


def migrate(connection: sa.Connection) -> None:
    """Brings the schema to the newest revision within the connection's transaction."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
