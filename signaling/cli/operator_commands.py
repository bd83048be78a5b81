"""`sealroute operator …`: operators of the admin API."""

import argparse
import secrets

from signaling.cli.shell import Adder, Shell
from signaling.domain.errors import ErrorCode, NotFound
from signaling.domain.operators import TOKEN_BYTES, Operator, new_operator
from signaling.storage.base import Store


class OperatorCommands:
    """Each method is one command and returns its exit code."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def add(self, arguments: argparse.Namespace) -> int:
        operator, token = new_operator(
            arguments.name,
            random_bytes=secrets.token_bytes(TOKEN_BYTES),
            now_ms=self._shell.now_ms(),
        )
        self._shell.with_store(arguments, lambda store: store.operators.add_operator(operator))
        self._shell.show(arguments, {"name": operator.name, "token": token}, token)
        return 0

    def list(self, arguments: argparse.Namespace) -> int:
        found = self._shell.with_store(arguments, lambda store: store.operators.operators())
        operators: tuple[Operator, ...] = found  # type: ignore[assignment]
        documents = [{"name": one.name, "createdAt": one.created_ms} for one in operators]
        self._shell.show(arguments, documents, "\n".join(one.name for one in operators))
        return 0

    def remove(self, arguments: argparse.Namespace) -> int:
        async def work(store: Store) -> None:
            if not await store.operators.remove_operator(arguments.name):
                raise NotFound(ErrorCode.NOT_FOUND, "There is no operator with that name.")

        self._shell.with_store(arguments, work)
        self._shell.show(arguments, {"removed": arguments.name}, f"Removed {arguments.name}.")
        return 0


def add_commands(add: Adder, shell: Shell) -> None:
    commands = OperatorCommands(shell)
    new = add("add", commands.add, "create an operator and print its token, once")
    add("list", commands.list, "list operators, without tokens")
    gone = add("remove", commands.remove, "remove an operator; its token stops working")
    for parser in (new, gone):
        parser.add_argument("name")
