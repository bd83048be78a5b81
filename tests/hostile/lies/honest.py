"""An honest call, in which all that looks must see something: the others would find no fault."""

from tests.hostile import seeing
from tests.hostile.call import Call, until
from tests.hostile.lies.row import Must, Row


def _unseen(call: Call) -> list[str]:
    wire = seeing.by_kind(call.member(call.ada).judge.ids)
    sides = [(call.ada, "send"), (call.bob, "receive")]
    return seeing.unseen(wire, *(seeing.noted(c.passed, role) for c, role in sides))


async def look(call: Call) -> None:
    """Errors: AssertionError, with who did not see what."""
    await call.live()
    try:
        await until(lambda: not _unseen(call), "")
    except AssertionError:
        raise AssertionError("; ".join(_unseen(call))) from None


ROWS = (Row("seen", "honest: the judges and the taps see it", (), Must.GO_ON, look),)
