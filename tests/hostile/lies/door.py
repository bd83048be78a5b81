"""Lies in the welcome, before anything is sent."""

import asyncio
import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

from tests.hostile.call import Call, until
from tests.hostile.content import ADA
from tests.hostile.lie import Lie, Message
from tests.hostile.lies.acts import pause
from tests.hostile.lies.row import Must, Row
from tests.hostile.member import Member

LOST = ("transportLost", "sessionDisconnected")
GOODBYE = {"t": "disconnected", "reason": "serverShutdown"}
LOOP_S, MAX_RETURNS = 5.0, 8
"""A client waits 0.1, 0.2, 0.4, 0.8 and then 1.5 s at least: six returns in 5 s, and a busy
machine makes them fewer. One that does not wait longer each time has 15 to 25."""
RESTARTS = 1012
"""RFC 6455: the server restarts. No code of the protocol: after it a client resumes."""
ENDED = ("disconnected", "sessionDisconnected")


class OtherWelcome(Lie):
    """The first welcome, or each that resumes, with a change."""

    def __init__(self, change: Callable[[Message], None], *, resumed: bool = False) -> None:
        self._change, self._resumed = change, resumed

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        if message["t"] == "welcome" and message["resumed"] is self._resumed:
            self._change(message)
        return (message,)


def session(**members: Any) -> Callable[[Message], None]:
    def change(welcome: Message) -> None:
        welcome["session"] |= members

    return change


def without(name: str) -> Callable[[Message], None]:
    def change(welcome: Message) -> None:
        del welcome["session"][name]

    return change


def welcoming(change: Callable[[Message], None]) -> Callable[[], Lie]:
    return lambda: OtherWelcome(change)


def resuming(change: Callable[[Message], None]) -> Callable[[], Lie]:
    return lambda: OtherWelcome(change, resumed=True)


async def knock(call: Call) -> None:
    """One client comes to the door, and publishes if it is let in."""
    ada = await call.person(ADA)
    if await ada.connect():
        publishing = asyncio.ensure_future(ada.publish())
        await asyncio.wait((publishing,), timeout=2.5)
        if not publishing.done():
            publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)


async def come_back(call: Call) -> None:
    """A call is up; Bob's and Ada's WebSockets are lost and they resume."""
    await call.live()
    members = list(call.room.members)
    for member in members:
        if member.socket is not None:
            call.room.spawn(member.socket.close())
    back = "the attempts to resume"
    await until(lambda: all(len(member.asked("hello")) > 1 for member in members), back)
    await pause(call)


class FirstMessage(Lie):
    """Answers `hello` with something else."""

    def __init__(self, *messages: Message, honest_after: bool = False) -> None:
        self._messages, self._honest_after = messages, honest_after

    def reply(self, member: Member, message: Message) -> Iterable[Message] | None:
        if message["t"] != "hello":
            return None
        made = [told | ({"re": message["id"]} if "re" in told else {}) for told in self._messages]
        if self._honest_after:
            made.append(member.welcome(message["id"], resumed=False))
        return made


class TwoWelcomes(Lie):
    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        yield message
        if message["t"] == "welcome":
            again = message | {"session": message["session"] | {"e2ee": False}}
            yield again
            yield {k: v for k, v in again.items() if k != "re"}


class ShutsDown(Lie):
    """Says goodbye after each welcome, as a server that is restarted, once `is_on`."""

    is_on = False

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        yield message
        if self.is_on and message["t"] == "welcome":
            yield GOODBYE


async def shut_down_in_a_loop(call: Call) -> None:
    """Who comes back takes its time, more of it each time."""
    await call.live()
    call.room.lie.is_on = True
    bob = call.member(call.bob)
    bob.write(GOODBYE)
    await pause(call, LOOP_S)
    came_back = len(bob.asked("hello")) - 1
    call.room.lie.is_on = False
    if not 2 <= came_back <= MAX_RETURNS:
        raise AssertionError(f"came back {came_back} times in {LOOP_S:.0f} s")


class EndsAgain(Lie):
    """Resumes each connection, and ends its WebSocket at once with a code that says to come back,
    once `is_on`."""

    is_on = False

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        if self.is_on and message["t"] == "welcome":
            member.room.spawn(self.end(member))
        return (message,)

    async def end(self, member: Member) -> None:
        await asyncio.sleep(0.02)  # behind the welcome
        if member.socket is not None:
            member.room.lied("close")
            await member.socket.close(code=RESTARTS)


async def resume_in_a_loop(call: Call) -> None:
    """Who comes back takes its time, more of it each time; media goes on meanwhile."""
    await call.live()
    lie, members = call.room.lie, list(call.room.members)
    lie.is_on = True
    for member in members:
        call.room.spawn(lie.end(member))
    await pause(call, LOOP_S)
    lie.is_on = False
    for member in members:
        came_back = len(member.asked("hello")) - 1
        if not 2 <= came_back <= MAX_RETURNS:
            raise AssertionError(f"came back {came_back} times in {LOOP_S:.0f} s")


class InText(Lie):
    """Speaks the debug encoding to clients that asked for the other."""

    def reply(self, member: Member, message: Message) -> Iterable[Message] | None:
        member.is_json = True
        return None


async def just_live(call: Call) -> None:
    await call.live()


class Speaks(Lie):
    """Chooses a subprotocol that was not offered, or none."""

    def __init__(self, path: str) -> None:
        self.path = path


class OtherFormatForOne(Lie):
    """Tells the second that the session has another format than it told the first."""

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        if message["t"] == "welcome" and member is not member.room.everybody[0]:
            _old_format(message)
        return (message,)


async def compare_codes(call: Call) -> None:
    """What people read to each other does not depend on what the server says."""
    await call.live()
    codes = {await client.code() for client in call.clients}
    if len(codes) != 1 or not re.fullmatch(r"(\d{5} ){5}\d{5}", codes.pop()):
        raise AssertionError("two who hold the same secret read different codes")


def _rename(welcome: Message) -> None:
    welcome["connection"] = welcome["connection"] | {"connectionId": "c-of-somebody-else"}


def _twice_myself(welcome: Message) -> None:
    welcome["connections"] = [*welcome["connections"], welcome["connection"]]


def _no_session(welcome: Message) -> None:
    del welcome["session"]


def _ice_elsewhere(welcome: Message) -> None:
    welcome["iceServers"] = [
        {"urls": ["turn:127.0.0.1:3479?transport=udp"], "username": "u", "credential": "c"},
        {"urls": ["stun:127.0.0.1:3479"]},
    ]


def _other_session(welcome: Message) -> None:
    welcome["session"] |= {"sessionId": "2_other"}


def _old_format(welcome: Message) -> None:
    welcome["session"] |= {"e2eeFormat": "e2ee/1", "formats": ["e2ee/0"]}
    welcome["e2eeFormat"] = "e2ee/1"


WELCOME = ("welcome",)
ROWS = (
    *(
        Row(f"session-{name}", does, WELCOME, Must.REFUSE, knock, welcoming(change))
        for name, does, change in (
            ("e2ee-false", "says that the session is clear", session(e2ee=False)),
            ("e2ee-missing", "does not say whether it is encrypted", without("e2ee")),
            ("e2ee-null", "e2ee is null", session(e2ee=None)),
            ("e2ee-zero", "e2ee is 0", session(e2ee=0)),
            ("mode-unknown", "another media mode", session(mediaMode="mesh")),
            ("mode-missing", "names no media mode", without("mediaMode")),
        )
    ),
    Row(
        "session-missing",
        "a welcome without a session",
        WELCOME,
        Must.REFUSE,
        knock,
        welcoming(_no_session),
    ),
    Row(
        "hello-error",
        "answers hello with an error",
        ("error",),
        Must.REFUSE,
        knock,
        lambda: FirstMessage({"t": "error", "re": 0, "code": "internal", "name": "OT_X"}),
    ),
    Row(
        "offer-before-welcome",
        "offers media before it has said anything of encryption",
        ("downlinkOffer",),
        Must.REFUSE,
        knock,
        lambda: FirstMessage({"t": "downlinkOffer", "offerId": 1, "sdp": "", "tracks": []}),
    ),
    Row(
        "ok-for-welcome",
        "answers hello with ok",
        ("ok",),
        Must.REFUSE,
        knock,
        lambda: FirstMessage({"t": "ok", "re": 0}),
    ),
    Row(
        "text-frames",
        "answers in the encoding that was not asked for",
        WELCOME,
        Must.REFUSE,
        knock,
        InText,
    ),
    *(
        Row(
            f"speaks-{name}",
            f"chooses {does} as the protocol",
            WELCOME,
            Must.REFUSE,
            knock,
            functools.partial(Speaks, f"/{name}"),
        )
        for name, does in (
            ("none", "nothing"),
            ("json", "the debug encoding"),
            ("old", "an older version"),
        )
    ),
    Row(
        "code",
        "tells two members of a session that it has different formats",
        WELCOME,
        Must.GO_ON,
        compare_codes,
        OtherFormatForOne,
    ),
    Row(
        "other-session",
        "welcomes into another session than the one that was asked for",
        WELCOME,
        Must.REFUSE,
        knock,
        welcoming(_other_session),
    ),
    Row(
        "two-welcomes",
        "a second welcome, which says that the session is clear",
        WELCOME,
        Must.GO_ON,
        just_live,
        TwoWelcomes,
    ),
    Row(
        "other-format",
        "says that the session has an older format",
        WELCOME,
        Must.GO_ON,
        just_live,
        welcoming(_old_format),
    ),
    Row(
        "ice-elsewhere",
        "names ICE servers that are somewhere else",
        WELCOME,
        Must.GO_ON,
        just_live,
        welcoming(_ice_elsewhere),
    ),
    Row(
        "myself-twice",
        "the own connection stands twice in the welcome",
        WELCOME,
        Must.GO_ON,
        just_live,
        welcoming(_twice_myself),
    ),
    Row(
        "resume-e2ee-false",
        "after a resume the session is clear",
        WELCOME,
        Must.STOP,
        come_back,
        resuming(session(e2ee=False)),
        ENDED,
    ),
    *(
        Row(f"resume-{name}", does, WELCOME, Must.STOP, come_back, resuming(change), told)
        for name, does, change, told in (
            ("other-session", "a resume into another session", session(sessionId="2_other"), ENDED),
            ("other-connection", "a resume as another connection", _rename, LOST),
        )
    ),
    Row(
        "shutdown-loop",
        "says that it shuts down, each time that a client comes back",
        ("disconnected",),
        Must.GO_ON,
        shut_down_in_a_loop,
        ShutsDown,
        ("sessionReconnecting",),
        ("python",),
    ),
    Row(
        "resume-loop",
        "takes clients up again and again, and ends each connection at once",
        ("close",),
        Must.GO_ON,
        resume_in_a_loop,
        EndsAgain,
        ("sessionReconnecting",),
    ),
    Row(
        "resume",
        "honest: sockets are lost and taken up again",
        (),
        Must.GO_ON,
        come_back,
        told=("sessionReconnected",),
    ),
)
