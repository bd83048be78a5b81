"""`sealroute token`: a client token."""

import argparse
import time

from signaling import administration
from signaling.cli.shell import Run, Shell
from signaling.domain.roles import Role
from signaling.domain.tokens import TokenClaims

MIN_TOKEN_S = 1
DAY_S = 86_400


def add_options(parser: argparse.ArgumentParser, shell: Shell) -> Run:
    parser.add_argument("--session", required=True)
    parser.add_argument("--role", choices=[role.value for role in Role], default="publisher")
    parser.add_argument("--data", help="connection data")
    parser.add_argument(
        "--expires-in", type=_lifetime, default=DAY_S, help="seconds (default a day)"
    )

    def run(arguments: argparse.Namespace) -> int:
        claims = TokenClaims(
            session_id=arguments.session,
            role=Role(arguments.role),
            expires_s=int(time.time()) + arguments.expires_in,
            connection_data=arguments.data or "",
        )
        made = shell.with_store(
            arguments, lambda store: administration.create_token(store, shell.clock, claims)
        )
        shell.show(arguments, {"token": made}, str(made))
        return 0

    return run


def _lifetime(text: str) -> int:
    seconds = int(text)
    if not MIN_TOKEN_S <= seconds <= 30 * DAY_S:
        raise argparse.ArgumentTypeError("from 1 second to 30 days")
    return seconds
