"""`sealroute serve`: the server."""

import argparse
import resource

import uvloop

from signaling.cli.shell import Run, Shell, add_listening_options, say
from signaling.server import run_server


def add_options(parser: argparse.ArgumentParser, shell: Shell) -> Run:
    add_listening_options(parser)
    parser.add_argument(
        "--development",
        action="store_true",
        default=None,
        help="create a development project if there is none, and let any visitor of the page open"
        " rooms; not for production",
    )
    parser.add_argument("--log-level", help="debug, info, warning or error")
    parser.add_argument("--log-format", help="json or console")

    def run(arguments: argparse.Namespace) -> int:
        settings = shell.settings_of(arguments)
        _allow_many_descriptors()
        return uvloop.run(run_server(settings, say, as_json=arguments.json))

    return run


def _allow_many_descriptors() -> None:
    """Raises the limit of file descriptors to the system's maximum: each client needs one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
