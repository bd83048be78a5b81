"""`sealroute health`: whether the server with these settings is alive."""

import argparse

from signaling.cli.health import ALIVE, READY, health_of
from signaling.cli.shell import Run, Shell


def add_options(parser: argparse.ArgumentParser, shell: Shell) -> Run:
    parser.add_argument("--ready", action="store_true", help="whether it accepts new clients")
    parser.add_argument("--host", help="HTTP address (default 0.0.0.0)")
    parser.add_argument("--port", type=int, help="HTTP port (default 8080)")

    def run(arguments: argparse.Namespace) -> int:
        http = shell.settings_of(arguments).http
        found = health_of(http, READY if arguments.ready else ALIVE)
        shell.show(arguments, {"good": found.good, "detail": found.detail}, found.detail)
        return 0 if found.good else 1

    return run
