"""How slow this machine is, for tests that bound the CPU of one input.

The bounds are those of a machine on which `spin` takes `REFERENCE_S`. Another one is allowed as
many times more as it takes for the same work. A cost that grows with the square of its input is
above that too.
"""

import time

REFERENCE_S = 0.0015
_ROUNDS = 9


def spin() -> float:
    """CPU time, in seconds, of fixed work such as a reader of text does."""
    text = "a=ssrc:%d cname:x\n" * 4_000
    begin = time.thread_time()
    found = {}
    for number, line in enumerate(text.splitlines()):
        name, _, value = line[2:].partition(":")
        found[f"{name}{number}"] = value.split()
    return time.thread_time() - begin


def within(cost_s: float, bound_s: float) -> bool:
    """Whether a cost keeps a bound, as this machine is now."""
    return cost_s < bound_s or cost_s < bound_s * min(spin() for _ in range(_ROUNDS)) / REFERENCE_S
