"""Lies around a change of the secret, and in signals."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tests.hostile.call import NEW_SECRET, Call, until
from tests.hostile.lie import Lie, Message, error
from tests.hostile.lies.row import Must, Row
from tests.hostile.member import Member

SWITCH_S = 5.0
PROMISE_S = 10.0
"""Keys are derived meanwhile, on a busy machine."""


class Answers(Lie):
    """Answers requests of these kinds with an error, or (`silent`) not at all, once `is_on`."""

    def __init__(self, *kinds: str, silent: bool = False, is_on: bool = False) -> None:
        self._kinds, self._silent, self.is_on = kinds, silent, is_on

    def reply(self, member: Member, message: Message) -> Iterable[Message] | None:
        if not self.is_on or message["t"] not in self._kinds:
            return None
        return () if self._silent else (error(message),)


def old_hint(call: Call) -> int:
    return call.member(call.ada).judge.hints[-1]


async def change_at_once(call: Call) -> None:
    """A promise that a server can keep open is one that it can block."""
    changes = [c.set_secret(NEW_SECRET, immediate=True) for c in (call.bob, call.ada)]
    try:
        await asyncio.wait_for(asyncio.gather(*changes), PROMISE_S)
    except TimeoutError:
        raise AssertionError("the promise of the new secret does not resolve") from None


async def evict(call: Call) -> None:
    """Both change at once; from when Ada's promise has resolved nothing leaves under the old."""
    await call.live()
    old = old_hint(call)
    call.room.lie.is_on = True
    await change_at_once(call)
    call.gives_up(call.ada, old)
    await asyncio.sleep(0.8)


async def change(call: Call) -> None:
    """Without `immediate`: at the latest after the deadline."""
    await call.live()
    old = old_hint(call)
    call.room.lie.is_on = True
    setting = [asyncio.ensure_future(c.set_secret(NEW_SECRET)) for c in (call.bob, call.ada)]
    judge = call.member(call.ada).judge
    tracks = {track for _, track in judge.ids}

    def have_switched() -> bool:
        return all(any(hint != old for hint, t in judge.ids if t == track) for track in tracks)

    await until(have_switched, "the switch", SWITCH_S + 4.0)
    call.gives_up(call.ada, old, at_switch=True)
    await asyncio.sleep(0.5)
    await asyncio.gather(*setting)


async def change_while_publishing(call: Call) -> None:
    """The answer to `publish` comes only after the secret has changed."""
    await call.live()
    old = old_hint(call)
    call.room.lie.is_on = True
    await call.ada.unpublish()
    publishing = asyncio.ensure_future(call.ada.publish())
    ada = call.member(call.ada)
    asked = len(ada.asked("publish"))
    await until(lambda: len(ada.asked("publish")) > asked - 1, "publish")
    await asyncio.sleep(0.3)
    await change_at_once(call)
    call.gives_up(call.ada, old)
    call.stream_id = await publishing or ""
    await asyncio.sleep(0.8)


class SlowPublish(Lie):
    """Handles `publish` a second late."""

    is_on = False

    def reply(self, member: Member, message: Message) -> Iterable[Message] | None:
        if not self.is_on or message["t"] != "publish":
            return None
        member.room.spawn(self._later(member, message))
        return ()

    async def _later(self, member: Member, message: Message) -> None:
        await asyncio.sleep(1.5)
        await member.publish(message)


class FalseHints(Lie):
    """Announces for everybody the hint that a client has just told."""

    is_on = False

    def reply(self, member: Member, message: Message) -> Iterable[Message] | None:
        if self.is_on and message["t"] == "e2eeReady":
            others = [m for m in member.room.members if m is not member]
            told = [
                {"t": "hintAnnounced", "connectionId": m.connection_id, "hint": message["hint"]}
                for m in others
            ]
            return [{"t": "ok", "re": message["id"]}, *told]
        return None


class StrangeHints(Lie):
    """Announces old hints and hints of strangers, again and again."""

    is_on = False

    def reply(self, member: Member, message: Message) -> Iterable[Message] | None:
        hints = member.judge.hints
        if self.is_on and hints and message["t"] in ("e2eeReady", "declareKids"):
            told = {"connectionId": "c-nobody", "hint": 1}
            member.write({"t": "hintAnnounced", **told})
            for other in member.room.members:
                said = {"connectionId": other.connection_id, "hint": hints[0]}
                member.write({"t": "hintAnnounced", **said})
        return None


class BadHintShape(Lie):
    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        if message["t"] == "hintAnnounced":
            yield message | {"hint": "x"}
            yield message | {"hint": -1}
            yield {"t": "hintAnnounced"}
        yield message


# --- signals ---------------------------------------------------------------------------------


async def encrypted_signal(call: Call, to: str | None = None) -> Message:
    """What Ada sent, as the server has it."""
    ada = call.member(call.ada)
    before = len(ada.asked("signal"))
    await call.ada.signal("hello", to)
    await until(lambda: len(ada.asked("signal")) > before, "the signal")
    return ada.asked("signal")[-1]


def signals(call: Call) -> list[str]:
    return [str(signal.get("data")) for signal in call.bob.signals]


async def expect_signals(call: Call, count: int) -> None:
    await asyncio.sleep(0.4)
    got = signals(call)
    if len(got) != count:
        raise AssertionError(f"{count} signals should have come, and {got} came")


async def replay_signal(call: Call) -> None:
    await call.live()
    sent = await encrypted_signal(call)
    bob, ada = call.member(call.bob), call.member(call.ada)
    await until(lambda: signals(call), "the signal")
    told = {"t": "signalReceived", "from": ada.connection_id, "encrypted": sent["encrypted"]}
    bob.write(told)
    bob.write({"t": "connectionDestroyed", **_gone(ada)})
    bob.write({"t": "connectionCreated", "connection": ada.info()})
    bob.write(told)
    await expect_signals(call, 1)


def _gone(member: Member) -> Message:
    return {"connectionId": member.connection_id, "reason": "clientDisconnected"}


async def signal_of_other(call: Call) -> None:
    """Bob gets Ada's signal as one of his own, and as one of nobody."""
    await call.live()
    sent = await encrypted_signal(call)
    await until(lambda: signals(call), "the signal")
    bob = call.member(call.bob)
    for sender in (bob.connection_id, "c-nobody", None):
        bob.write({"t": "signalReceived", "from": sender, "encrypted": sent["encrypted"]})
    await expect_signals(call, 1)


async def signal_to_other(call: Call) -> None:
    """A signal to Ada herself is shown to Bob."""
    await call.live()
    ada = call.member(call.ada)
    sent = await encrypted_signal(call, ada.connection_id)
    told = {"t": "signalReceived", "from": ada.connection_id, "encrypted": sent["encrypted"]}
    call.member(call.bob).write(told)
    await expect_signals(call, 0)


async def clear_signal(call: Call) -> None:
    """In clear, with a member as its sender."""
    await call.live()
    told = {"t": "signalReceived", "type": "chat", "data": "from the server"}
    for sender in (call.member(call.ada).connection_id, call.member(call.bob).connection_id):
        call.member(call.bob).write(told | {"from": sender})
    await expect_signals(call, 0)


async def clear_signal_of_api(call: Call) -> None:
    """Honest: the REST API's signals come in clear and say so."""
    await call.live()
    call.member(call.bob).tell({"t": "signalReceived", "type": "chat", "data": "of the API"})
    await expect_signals(call, 1)
    if call.bob.signals[0].get("encrypted", call.bob.signals[0].get("isEncrypted")):
        raise AssertionError("a clear signal counts as encrypted")


async def changed_signal(call: Call) -> None:
    await call.live()
    sent = await encrypted_signal(call)
    await until(lambda: signals(call), "the signal")
    ada, bob = call.member(call.ada), call.member(call.bob)
    encrypted = bytearray(sent["encrypted"])
    encrypted[-1] ^= 1
    for data in (
        bytes(encrypted),
        bytes(encrypted[:-1]),
        sent["encrypted"] + b"\0",
        b"",
        b"\xff" * 40,
    ):
        bob.write({"t": "signalReceived", "from": ada.connection_id, "encrypted": data})
    await expect_signals(call, 1)


class ClearSignal(Lie):
    """Sends clear data in place of the encrypted bytes of a signal, or beside them."""

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        if message["t"] == "signalReceived":
            yield message | {"type": "chat", "data": "instead"}
        else:
            yield message


async def signal_with_both(call: Call) -> None:
    await call.live()
    await call.ada.signal("hello")
    await asyncio.sleep(0.4)
    if "instead" in signals(call):
        raise AssertionError("what the server wrote beside the encrypted bytes was shown")


def on(name: str, does: str, lie: Callable[[], Lie], act: Any, *covers: str) -> Row:
    return Row(name, does, covers, Must.GO_ON, act, lie)


def blocked(kind: str, act: Callable[[Call], Awaitable[None]], suffix: str) -> list[Row]:
    does = f"to {kind} during a change of secret ({suffix})"
    return [
        on(f"{suffix}-{kind}-error", f"an error {does}", lambda: Answers(kind), act, "error"),
        on(
            f"{suffix}-{kind}-silence",
            f"no answer {does}",
            lambda: Answers(kind, silent=True),
            act,
            "ok",
        ),
    ]


ROWS = (
    *(
        row
        for kind in ("e2eeReady", "declareKids")
        for act, suffix in ((evict, "evict"), (change, "change"))
        for row in blocked(kind, act, suffix)
    ),
    on("change", "honest: both change the secret", Answers, change),
    on("evict", "honest: both change it at once", Answers, evict),
    Row(
        "change-while-publishing",
        "answers publish only after the secret has changed",
        ("published",),
        Must.GO_ON,
        change_while_publishing,
        SlowPublish,
    ),
    on("hints-false", "announces hints of others falsely", FalseHints, change, "hintAnnounced"),
    on("hints-old", "announces old hints and strangers'", StrangeHints, change, "hintAnnounced"),
    on("hints-misshaped", "hints of another type", BadHintShape, change, "hintAnnounced"),
    on(
        "signal-replay",
        "a recorded signal again, also after its sender went and came",
        Lie,
        replay_signal,
        "signalReceived",
        "connectionDestroyed",
        "connectionCreated",
    ),
    on("signal-of-other", "a signal as another member's", Lie, signal_of_other, "signalReceived"),
    on("signal-to-other", "a signal to another member", Lie, signal_to_other, "signalReceived"),
    on("signal-clear", "a clear signal as a member's", Lie, clear_signal, "signalReceived"),
    on("signal-api", "honest: a signal of the API", Lie, clear_signal_of_api),
    on("signal-changed", "a signal that was changed", Lie, changed_signal, "signalReceived"),
    on(
        "signal-both",
        "clear words beside the encrypted ones",
        ClearSignal,
        signal_with_both,
        "signalReceived",
    ),
)
