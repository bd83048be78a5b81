"""Runs the migrations. Loaded only when one is pending."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from signaling.storage.revision import MIGRATIONS
from signaling.storage.wrapping import SecretWrapper


def migrate(connection: sa.Connection, wrapper: SecretWrapper) -> None:
    """Brings the schema to the newest revision within the connection's transaction. `wrapper`: for
    what earlier releases stored in clear."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["wrapper"] = wrapper
    command.upgrade(config, "head")
