"""One row of the table of lies."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from tests.hostile.call import AFTER_S, Call, until
from tests.hostile.lie import Lie
from tests.hostile.lies.words import errors_of, sometimes_of

Act = Callable[[Call], Awaitable[None]]
KINDS = ("python", "chromium", "firefox")
BROWSERS = ("chromium", "firefox")
STOPPED_S = 1.5
"""A client that sees no new frame this long has no call."""


class Must(Enum):
    """What a client does. In every case: no leak, nothing played that is not its sender's, and
    the errors of `words.py`, all of them and no others."""

    REFUSE = "does not join, and says why"
    GO_ON = "goes on as if nothing had been"
    SEE = "goes on, but without audio"
    STOP = "ends the call, and tells its user"
    EITHER = "goes on, or tells its user: timing decides"


@dataclass(frozen=True, slots=True)
class Row:
    """`covers`: messages of the server and rules of SDP that the lie is told in; of none: an honest
    row. `must`: by kind of client where they differ. `told`: any of these events comes to one of
    the people, under the Python SDK's or the browser's name. `patience_s`: how long they may wait
    for words."""

    name: str
    does: str
    covers: tuple[str, ...]
    must: Must | Mapping[str, Must]
    act: Act
    lie: Callable[[], Lie] = Lie
    told: tuple[str, ...] = ()
    only: tuple[str, ...] = KINDS
    patience_s: float = AFTER_S
    codec: str = "vp8"

    def must_of(self, kind: str) -> Must:
        return self.must if isinstance(self.must, Must) else self.must[kind]

    async def play(self, call: Call) -> list[str]:
        """Tells the lie to a call, and says what the client or its user did not do then."""
        await self.act(call)
        with contextlib.suppress(AssertionError):  # said below
            await until(lambda: not self._unheard(call), "", self.patience_s)
        faults = await VERDICTS[self.must_of(call.kind)](call)
        return [*faults, *self._unheard(call), *self._wrong_words(call), *self._untold(call)]

    def _unheard(self, call: Call) -> list[str]:
        said = problems(call)
        missing = [
            f"nobody was told {words!r}, but: {sorted(said)}"
            for words in errors_of(self.name, call.kind)
            if not any(one.startswith(words) for one in said)
        ]
        told = call.told_all()
        if self.told and not any(name in told for name in self.told):
            missing.append(f"nobody was told {' or '.join(self.told)}, but: {told}")
        return missing

    def _wrong_words(self, call: Call) -> list[str]:
        known = (*errors_of(self.name, call.kind), *sometimes_of(self.name, call.kind))
        return [
            f"somebody was told {one!r}"
            for one in sorted(problems(call))
            if not one.startswith(known)
        ]

    def _untold(self, call: Call) -> list[str]:
        """A lie that was never told shows nothing."""
        lies = call.room.told_lies
        if not self.covers:
            return [f"an honest row told a lie in {about}" for about in sorted(lies)]
        return [f"no lie was told in {about}" for about in self.covers if about not in lies]


def by(python: Must, browsers: Must, **others: Must) -> dict[str, Must]:
    """`must` where kinds of clients differ."""
    return {"python": python, "chromium": browsers, "firefox": browsers} | others


def problems(call: Call) -> set[str]:
    """The errors that people were told, each with its code and words."""
    return {f"{one.code}: {one.words}" for client in call.clients for one in client.problems}


async def _refused(call: Call) -> list[str]:
    return [f"{c.person.name} is in the session" for c in call.clients if await is_in(c, call)]


async def is_in(client: object, call: Call) -> bool:
    """Still joined, as far as it can be seen from here: it has not said goodbye."""
    member = next(iter(call.room.everybody), None)
    return member is not None and member in call.room.members and member.socket is not None


async def _goes_on(call: Call) -> list[str]:
    if await call.goes_on():
        return []
    return [f"the call does not go on; told: {call.told_all()}"]


async def _seen(call: Call) -> list[str]:
    if await call.goes_on(has_audio=False):
        return []
    return [f"the video does not go on; told: {call.told_all()}"]


async def _stopped(call: Call) -> list[str]:
    return ["the call goes on"] if await call.goes_on(STOPPED_S, has_audio=False) else []


async def _either(call: Call) -> list[str]:
    if problems(call) or await call.goes_on():
        return []
    with contextlib.suppress(AssertionError):
        await until(lambda: problems(call), "")
        return []
    return ["a silent failure: nothing is shown, and nobody is told"]


VERDICTS = {
    Must.REFUSE: _refused,
    Must.GO_ON: _goes_on,
    Must.SEE: _seen,
    Must.STOP: _stopped,
    Must.EITHER: _either,
}


def rows(
    act: Callable[[Call], Awaitable[None]],
    must: Must | Mapping[str, Must],
    *entries: tuple[str, str, Callable[[], Lie], tuple[str, ...]],
) -> tuple[Row, ...]:
    return tuple(Row(name, does, covers, must, act, lie) for name, does, lie, covers in entries)


def packet_row(
    name: str,
    does: str,
    act: Callable[[Call], Awaitable[None]],
    lie: Callable[[], Lie] = Lie,
    must: Must | Mapping[str, Must] = Must.GO_ON,
    **more: tuple[str, ...],
) -> Row:
    covers = more.pop("covers", ("rtp",))
    return Row(name, does, covers, must, act, lie, **more)
