"""`sealroute storage …`: backup and restore of the embedded database, and change of its key."""

import argparse
from pathlib import Path

from config.load import ConfigurationError
from signaling.cli.shell import Adder, Shell
from signaling.storage.backup import back_up, restore


class StorageCommands:
    """Each method is one command and returns its exit code."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def backup(self, arguments: argparse.Namespace) -> int:
        target = Path(arguments.file)
        back_up(self._data_dir(arguments), target)
        self._shell.show(
            arguments,
            {"backup": str(target)},
            f"{target} contains the database and its sealing key.",
        )
        return 0

    def restore(self, arguments: argparse.Namespace) -> int:
        data_dir = self._data_dir(arguments)
        restore(Path(arguments.file), data_dir)
        self._shell.show(arguments, {"restored": str(data_dir)}, f"Restored {data_dir}.")
        return 0

    def reseal(self, arguments: argparse.Namespace) -> int:
        count = self._shell.with_store(arguments, lambda store: store.rewrap_secrets())
        text = f"The secrets of {count} projects are wrapped with the newest key."
        self._shell.show(arguments, {"sealed": count}, text)
        return 0

    def _data_dir(self, arguments: argparse.Namespace) -> Path:
        storage = self._shell.settings_of(arguments).storage
        if storage.url.reveal():
            raise ConfigurationError(
                "the database is PostgreSQL: use pg_dump and pg_restore, and keep the sealing key"
            )
        return Path(storage.data_dir)


def add_commands(add: Adder, shell: Shell) -> None:
    commands = StorageCommands(shell)
    for name, run, text in (
        ("backup", commands.backup, "copy the database to a file, also while the server runs"),
        ("restore", commands.restore, "replace the database with a backup; stop the server first"),
    ):
        add(name, run, text).add_argument("file")
    add("reseal", commands.reseal, "wrap all secrets with the newest sealing key")
