"""Lies in the answers to what people ask for in a call, one kind of request at a time."""

import asyncio
from collections.abc import Callable, Iterable

from tests.hostile.call import NEW_SECRET, Call, until
from tests.hostile.lie import Lie, Message, error
from tests.hostile.lies.acts import pause
from tests.hostile.lies.row import Act, Must, Row
from tests.hostile.member import ANSWERS, Member

KEEP_ALIVE_MS = 600


class Unanswered(Lie):
    """Does what one kind of request asks, and answers with an error or not at all."""

    def __init__(self, kind: str, *, silent: bool) -> None:
        self._kind, self._silent = kind, silent

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        if message["t"] == "welcome" and self._kind == "ping":
            message["keepAliveMs"] = KEEP_ALIVE_MS
        asked = next((r for r in member.received if r["id"] == message.get("re")), None)
        if message["t"] not in ("ok", "pong") or asked is None or asked["t"] != self._kind:
            yield message
        elif not self._silent:
            yield error(asked)


class ForeignAnswers(Lie):
    """Each answer carries the number of another request too, once `is_on`: of one that waits for
    nothing. An answer that ends another request that waits is told to who asked (`up-pong`)."""

    is_on = False

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        if message["t"] == "welcome":
            message["keepAliveMs"] = KEEP_ALIVE_MS
        yield message
        if self.is_on and message["t"] in ("ok", "pong"):
            yield message | {"re": message["re"] + 1}
            yield message | {"re": message["re"] - 1}


async def ask_signal(call: Call) -> None:
    await call.ada.signal("hello")


async def ask_unpublish(call: Call) -> None:
    await call.bob.publish()
    await call.bob.unpublish()


async def ask_mute(call: Call) -> None:
    await call.ada.mute(True)
    await call.ada.mute(False)


async def ask_unsubscribe(call: Call) -> None:
    """Of a second stream, so that the call goes on beside it."""
    stream_id = await call.bob.publish() or ""
    await until(lambda: call.sees(call.ada, stream_id, 1), "Bob's stream")
    await call.ada.unsubscribe(stream_id)


async def ask_smaller(call: Call) -> None:
    """Not awaited: the promise is kept when the answer is there."""
    call.room.spawn(call.bob.prefer_size(call.stream_id, 128, 32))


async def ask_state(call: Call) -> None:
    """Bob can open nothing for a while, and says so; then Ada has his secret."""
    bob = call.member(call.bob)
    await call.bob.set_secret(NEW_SECRET, immediate=True)
    await until(lambda: bob.asked("e2eeState"), "a state of the encryption")
    await call.ada.set_secret(NEW_SECRET, immediate=True)


async def ask_nothing(call: Call) -> None:
    """Clients answer offers and ping by themselves."""
    await asyncio.sleep(4 * KEEP_ALIVE_MS / 1_000)


async def ask_with_lies(call: Call) -> None:
    call.room.lie.is_on = True
    await ask_signal(call)
    await ask_nothing(call)


ASKING: dict[str, Act] = {
    "downlinkAnswer": ask_nothing,
    "e2eeState": ask_state,
    "ping": ask_nothing,
    "signal": ask_signal,
    "unpublish": ask_unpublish,
    "unsubscribe": ask_unsubscribe,
    "updateStream": ask_mute,
    "updateSubscriber": ask_smaller,
}
SILENT = ("downlinkAnswer", "e2eeState", "ping", "updateSubscriber")
"""The others are promises to the application, which end after half a minute."""


def asking(ask: Act) -> Act:
    async def act(call: Call) -> None:
        await call.live()
        await ask(call)
        await pause(call)

    return act


def unanswered(kind: str, *, silent: bool) -> Callable[[], Lie]:
    return lambda: Unanswered(kind, silent=silent)


def _row(kind: str, *, silent: bool) -> Row:
    return Row(
        f"{kind}-{'silence' if silent else 'error'}",
        f"{'no answer' if silent else 'an error'} to {kind}",
        (ANSWERS.get(kind, "ok"),) if silent else ("error",),
        Must.GO_ON,
        asking(ASKING[kind]),
        unanswered(kind, silent=silent),
    )


ROWS = (
    Row(
        "foreign-answers",
        "answers requests that were not asked",
        ("ok", "pong"),
        Must.GO_ON,
        asking(ask_with_lies),
        ForeignAnswers,
    ),
    *(_row(kind, silent=False) for kind in ASKING),
    *(_row(kind, silent=True) for kind in SILENT),
)
