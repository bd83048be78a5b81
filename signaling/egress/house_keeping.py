"""What nobody asks for, and is done every minute or so."""

from collections.abc import Awaitable, Callable, Mapping

import structlog

from signaling.domain.errors import Unavailable

log = structlog.get_logger(__name__)

KEEP_HOUSE_S = 60.0


async def keep_house(
    chores: Mapping[str, Callable[[], Awaitable[None]]],
    sleep: Callable[[float], Awaitable[None]],
    every_s: float = KEEP_HOUSE_S,
) -> None:
    """Runs until it is cancelled. The failure of one chore, by its name, holds up no other one."""
    while True:
        for what, work in chores.items():
            try:
                await work()
            except Unavailable:
                log.warning("the storage does not answer", while_=what)
            except Exception:
                log.exception("house-keeping: a fault", while_=what)
        await sleep(every_s)
