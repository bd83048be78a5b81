"""The entry point. It installs signal handlers before other imports, which take a second: the
kernel ignores signals without a handler for process 1 of a container."""

import signal
import sys
from types import FrameType

_TERMINATED = 128 + signal.SIGTERM


def _stop(_number: int, _frame: FrameType | None) -> None:
    """Exits at once: the server has no clients yet."""
    raise SystemExit(0 if "serve" in sys.argv else _TERMINATED)


def _leave_out_development() -> None:
    """Where development tools have installed `rich`, structlog would load it (5 MB of an idle
    server) and print tracebacks with the values of variables, which may be secrets."""
    sys.modules["rich"] = None  # type: ignore[assignment]  # its import fails, as if it were missing


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 refused or failed, 2 wrong usage."""
    signal.signal(signal.SIGTERM, _stop)
    if "serve" in sys.argv:
        # Service managers send SIGHUP to every service; it has no effect until the server listens.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _leave_out_development()
    from signaling.cli import command_line  # noqa: PLC0415 - after the signal handlers

    return command_line.main(argv)


if __name__ == "__main__":
    sys.exit(main())
