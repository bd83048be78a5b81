"""`sealroute session`: sessions are created and listed."""

import argparse

from signaling import administration
from signaling.cli import session_list
from signaling.cli.session_list import SessionList
from signaling.cli.shell import Adder, Run, Shell
from signaling.domain.session_options import SessionRecord


def add_commands(add: Adder, shell: Shell) -> None:
    create = add("create", _create(shell), "create a session and print its id")
    create.add_argument("--api-key", required=True)
    create.add_argument("--e2ee", action="store_true", help="end-to-end encrypted")
    create.add_argument("--media-mode", choices=("routed", "relayed"))
    create.add_argument("--archive-mode", choices=("manual", "always"))
    create.add_argument("--location", help="IPv4 address near the clients")
    listing = add("list", SessionList(shell).run, "list the sessions with clients")
    session_list.add_options(listing)


def _create(shell: Shell) -> Run:
    def run(arguments: argparse.Namespace) -> int:
        fields: dict[str, object] = {
            "e2ee": arguments.e2ee,
            "p2p.preference": arguments.media_mode,
            "archiveMode": arguments.archive_mode,
            "location": arguments.location,
        }
        record = shell.with_store(
            arguments,
            lambda store: administration.create_session(
                store, shell.clock, arguments.api_key, fields
            ),
        )
        if not isinstance(record, SessionRecord):
            raise TypeError("the store gave no session")
        document = {"sessionId": record.session_id, "e2ee": record.options.e2ee}
        shell.show(arguments, document, record.session_id)
        return 0

    return run
