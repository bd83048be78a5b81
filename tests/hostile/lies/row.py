"""One row of the table of lies."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum

from tests.hostile.call import AFTER_S, Call
from tests.hostile.lie import Lie

Act = Callable[[Call], Awaitable[None]]


class Must(Enum):
    """What a client does. In every case: no leak, nothing played that is not its sender's."""

    REFUSE = "does not join, and says why"
    GO_ON = "goes on as if nothing had been"
    TELL = "tells its user; the call need not go on"
    EITHER = "goes on, or tells its user"


@dataclass(frozen=True, slots=True)
class Row:
    """`covers`: messages of the server and rules of SDP that the lie is told in; of none: an honest
    row. `told`: any of these names is told, the Python SDK's or the browser's."""

    name: str
    does: str
    covers: tuple[str, ...]
    must: Must
    act: Act
    lie: Callable[[], Lie] = Lie
    told: tuple[str, ...] = ()
    only: tuple[str, ...] = field(default=("python", "chromium", "firefox"))

    async def play(self, call: Call) -> list[str]:
        """Tells the lie to a call, and says what the client or its user did not do then."""
        await self.act(call)
        return [*await VERDICTS[self.must](self, call), *self._untold(call)]

    def _untold(self, call: Call) -> list[str]:
        """A lie that was never told shows nothing."""
        lies = call.room.told_lies
        if not self.covers:
            return [f"an honest row told a lie in {about}" for about in sorted(lies)]
        return [f"no lie was told in {about}" for about in self.covers if about not in lies]


async def _refused(row: Row, call: Call) -> list[str]:
    faults = [f"{c.person.name} is in the session" for c in call.clients if await is_in(c, call)]
    return faults + _missing(row, call)


async def is_in(client: object, call: Call) -> bool:
    """Still joined, as far as it can be seen from here: it has not said goodbye."""
    member = next(iter(call.room.everybody), None)
    return member is not None and member in call.room.members and member.socket is not None


async def _goes_on(row: Row, call: Call) -> list[str]:
    if not await call.goes_on():
        return [f"the call does not go on; told: {call.told_all()}"]
    return _missing(row, call)


async def _told(row: Row, call: Call) -> list[str]:
    await _wait_for_words(row, call)
    return _missing(row, call)


async def _either(row: Row, call: Call) -> list[str]:
    if await call.goes_on(AFTER_S):
        return []
    return [] if call.told_all() else ["a silent failure: nothing is shown, and nobody is told"]


async def _wait_for_words(row: Row, call: Call) -> None:
    from tests.hostile.call import until

    try:
        await until(lambda: not _missing(row, call), "", AFTER_S)
    except AssertionError:
        return


def _missing(row: Row, call: Call) -> list[str]:
    told = call.told_all()
    if not row.told:
        return [] if told or row.must is not Must.TELL else ["a silent failure: nobody is told"]
    if any(name in told for name in row.told):
        return []
    return [f"nobody was told {' or '.join(row.told)}, but: {told}"]


VERDICTS = {
    Must.REFUSE: _refused,
    Must.GO_ON: _goes_on,
    Must.TELL: _told,
    Must.EITHER: _either,
}


def rows(
    act: Callable[[Call], Awaitable[None]],
    must: Must,
    *entries: tuple[str, str, Callable[[], Lie], tuple[str, ...]],
) -> tuple[Row, ...]:
    return tuple(Row(name, does, covers, must, act, lie) for name, does, lie, covers in entries)


def packet_row(
    name: str,
    does: str,
    act: Callable[[Call], Awaitable[None]],
    lie: Callable[[], Lie] = Lie,
    must: Must = Must.GO_ON,
    **more: tuple[str, ...],
) -> Row:
    covers = more.pop("covers", ("rtp",))
    return Row(name, does, covers, must, act, lie, **more)
