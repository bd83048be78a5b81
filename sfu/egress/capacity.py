"""How much of the machine jobs take, and whether there is room for another one; pure.

Composing decodes and encodes; a job that is admitted beyond what the machine has is late, and makes
the others late. Shares of a core, measured (docs/performance.md).
"""

import os
from collections.abc import Iterable

from sfu.egress.composition import Composition

AUDIO_ALONE = 0.05
_BY_SIDE = ((1080, 1.25), (720, 0.65), (0, 0.35))
"""By the shorter side of the image."""


def cost(composition: Composition) -> float:
    if not composition.has_video:
        return AUDIO_ALONE
    side = min(composition.width, composition.height)
    return next(share for above, share in _BY_SIDE if side >= above)


def has_room(running: Iterable[float], wanted: float, cores: float) -> bool:
    """A job that would be alone is always admitted: it may be late, and loses nothing."""
    others = sum(running)
    return not others or others + wanted <= cores + 1e-9


def budget(cores: int) -> float:
    """The cores for jobs; 0: half of those that this process may use."""
    return cores or len(os.sched_getaffinity(0)) / 2
