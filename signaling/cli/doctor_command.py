"""`sealroute doctor`: this machine, its server, and one session."""

import argparse
import signal

from signaling.cli import call_doctor, session_doctor
from signaling.cli.call_doctor import CallDoctor, TerminatedError
from signaling.cli.doctor import examine
from signaling.cli.findings import exit_code, table
from signaling.cli.session_doctor import SessionDoctor
from signaling.cli.shell import Run, Shell, add_command, add_listening_options

SIGNALED = 128


def add_options(parser: argparse.ArgumentParser, shell: Shell) -> Run:
    parser.add_argument("--url", help="also check the server running there")
    call_doctor.add_options(parser)
    add_listening_options(parser)
    subjects = parser.add_subparsers(metavar="subject")
    text = "show what each subscriber of a session receives, and why not more"
    session_doctor.add_command(add_command(subjects, "session", SessionDoctor(shell).run, text))

    def run(arguments: argparse.Namespace) -> int:
        return _examine(arguments, shell)

    return run


def _examine(arguments: argparse.Namespace, shell: Shell) -> int:
    settings = shell.settings_of(arguments)
    url = call_doctor.url_of(arguments, settings)
    # Without --url it looks for the server itself, and does not take a silent one for a fault.
    findings = examine(settings, url if arguments.url else None)
    if arguments.call and url is not None:
        try:
            findings += CallDoctor(shell).findings(arguments, url)
        except KeyboardInterrupt:
            return SIGNALED + signal.SIGINT
        except TerminatedError:
            return SIGNALED + signal.SIGTERM
    shell.show(arguments, [finding.as_dict() for finding in findings], table(findings))
    return exit_code(findings)
