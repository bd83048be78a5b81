"""Where the process begins. Signals have their meaning before anything else is imported: the kernel
gives process 1 of a container none that it has not asked for, and imports take a second."""

import signal
import sys
from types import FrameType

_TERMINATED = 128 + signal.SIGTERM


def _stop(_number: int, _frame: FrameType | None) -> None:
    """A server that serves nobody yet has nothing to end."""
    raise SystemExit(0 if "serve" in sys.argv else _TERMINATED)


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 refused or failed, 2 wrong usage."""
    signal.signal(signal.SIGTERM, _stop)
    if "serve" in sys.argv:
        # Service managers send it to every service; until the server listens it means nothing.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from signaling.cli import command_line  # noqa: PLC0415 - after the signals

    return command_line.main(argv)


if __name__ == "__main__":
    sys.exit(main())
