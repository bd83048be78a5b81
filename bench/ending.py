"""How a program of the bench ends: SIGTERM, too, lets it stop its servers and browsers and remove
its network namespaces."""

import signal
from collections.abc import Callable
from typing import NoReturn

_SIGNALED = 128


def run_program(main: Callable[[], int | None]) -> NoReturn:
    """Runs a program to its exit code; SIGTERM interrupts it as Ctrl-C does."""
    received = [signal.SIGINT]

    def interrupt(number: int, _frame: object) -> None:
        received.append(signal.Signals(number))
        signal.raise_signal(signal.SIGINT)

    # A shell lets what it starts in the background ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        code = main()
    except KeyboardInterrupt:
        code = _SIGNALED + received[-1]
    raise SystemExit(code)
