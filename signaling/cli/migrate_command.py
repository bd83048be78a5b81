"""`sealroute migrate`: the database's schema."""

import argparse
from typing import TYPE_CHECKING

from signaling.cli.shell import Run, Shell

if TYPE_CHECKING:
    from signaling.storage.base import Store


def add_options(_parser: argparse.ArgumentParser, shell: Shell) -> Run:
    def run(arguments: argparse.Namespace) -> int:
        """Runs the migrations, by opening the store."""

        async def nothing(_store: "Store") -> None:
            return None

        shell.with_store(arguments, nothing)
        shell.show(arguments, {"migrated": True}, "The schema is up to date.")
        return 0

    return run
