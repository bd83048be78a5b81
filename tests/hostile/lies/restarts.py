"""Lies in the answers to a restart of ICE, which browsers ask for when their network may be another
one: what an answer to `publish` may not say, this one may not either."""

from collections.abc import Callable, Iterable

from tests.hostile import sdp
from tests.hostile.call import Call, until
from tests.hostile.lie import Lie, Message, error
from tests.hostile.lies.acts import pause
from tests.hostile.lies.offers import WRONG_PRINT
from tests.hostile.lies.row import BROWSERS, Must, Row
from tests.hostile.member import Member

Change = Callable[[sdp.Line], None]


class Restarted(Lie):
    """An honest call, until a restart is asked for."""

    is_on = False

    def __init__(self, change: Change = lambda line: None, *prints: str) -> None:
        self._change, self._prints = change, prints

    def answer(self, member: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
        for line in lines if self.is_on else ():
            self._change(line)
        return lines

    def prints(self, member: Member) -> tuple[str, ...]:
        return self._prints if self.is_on and self._prints else sdp.HONEST_PRINTS


class Unanswered(Lie):
    def __init__(self, *, silent: bool) -> None:
        self._silent = silent

    def reply(self, member: Member, message: Message) -> Iterable[Message] | None:
        if message["t"] != "restartIce":
            return None
        return () if self._silent else (error(message),)


def _clear(line: sdp.Line) -> None:
    line.formats = {0: "PCMU/8000"} if line.kind == "audio" else line.formats


def _layers(line: sdp.Line) -> None:
    line.extra += ["a=rid:a recv", "a=simulcast:recv a"] if line.kind == "video" else []


def _other_mid(line: sdp.Line) -> None:
    line.mid = f"x{line.mid}"


def _other_role(line: sdp.Line) -> None:
    line.extra.append("a=setup:active")


async def restart(call: Call) -> None:
    await call.live()
    call.room.lie.is_on = True
    ada = call.member(call.ada)
    await call.ada.doubt()
    await until(lambda: ada.asked("restartIce"), "a restart")
    await pause(call)


def _row(name: str, does: str, lie: Callable[[], Lie]) -> Row:
    covers = () if name == "honest" else ("iceRestarted",)
    return Row(f"restart-{name}", does, covers, Must.GO_ON, restart, lie, only=BROWSERS)


ROWS = (
    _row("honest", "honest: ICE is restarted", Restarted),
    _row("pcmu", "restarts with G.711", lambda: Restarted(_clear)),
    _row("rids", "restarts with layers", lambda: Restarted(_layers)),
    _row("mids", "restarts with other mids", lambda: Restarted(_other_mid)),
    _row(
        "fingerprint",
        "restarts with another certificate",
        lambda: Restarted(lambda line: None, WRONG_PRINT),
    ),
    _row("role", "restarts with another DTLS role", lambda: Restarted(_other_role)),
    _row("error", "an error to a restart", lambda: Unanswered(silent=False)),
    _row("silence", "no answer to a restart", lambda: Unanswered(silent=True)),
)
