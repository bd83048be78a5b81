"""Lies of a server that was honest at first: after a while, after a resume, after a change of the
secret. What must never be does not depend on when it is tried."""

from tests.hostile import forge, sdp
from tests.hostile.call import NEW_SECRET, Call, until
from tests.hostile.lie import Lie
from tests.hostile.lies.acts import hold, inject, pause, recording
from tests.hostile.lies.answers import UP
from tests.hostile.lies.row import Act, Must, Row
from tests.hostile.member import Member

HONEST_S = 12.0
"""Longer than anything that a client does or allows at the beginning of a call alone."""
CLEAR = {"e2ee": False, "mediaMode": "routed"}


class Turncoat(Lie):
    """Asks for media, and answers with a codec that is not encrypted, once `is_on`."""

    is_on = False

    def offer(self, member: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
        for line in lines if self.is_on else ():
            line.direction = "sendrecv"
        return lines

    def answer(self, member: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
        for line in lines if self.is_on else ():
            line.formats = {0: "PCMU/8000"} if line.kind == "audio" else line.formats
        return lines


async def turn(call: Call) -> None:
    """One lie after the other; each is refused, and the call goes on as before."""
    lie, ada, bob = call.room.lie, call.member(call.ada), call.member(call.bob)
    kept = recording(call)
    lie.is_on = True
    for member in (ada, bob):
        welcome = member.welcome(0, resumed=False)
        del welcome["re"]
        member.write(welcome | {"session": welcome["session"] | CLEAR})
    await inject(call, forge.clear)
    await inject(call, kept)
    await bob.send_offer()
    if await call.ada.publish() is not None:
        raise AssertionError("a second stream was published, in clear")
    lie.is_on = False
    await bob.send_offer()
    hold(call, False)
    await pause(call)


async def after_a_while(call: Call) -> None:
    await call.live()
    await pause(call, HONEST_S)
    await turn(call)


async def after_a_resume(call: Call) -> None:
    await call.live()
    members = list(call.room.members)
    for member in members:
        call.room.spawn(member.socket.close())
    back = "the attempts to resume"
    await until(lambda: all(len(member.asked("hello")) > 1 for member in members), back)
    await pause(call)
    await turn(call)


async def after_a_secret(call: Call) -> None:
    await call.live()
    await call.bob.set_secret(NEW_SECRET, immediate=True)
    await call.ada.set_secret(NEW_SECRET, immediate=True)
    await pause(call)
    await turn(call)


COVERS = ("welcome", "rtp", "downlinkOffer", "sdp:downlink.direction", *UP, "sdp:uplink.codec")
ACTS: dict[str, tuple[str, Act]] = {
    "later": ("after a while", after_a_while),
    "resumed": ("after a resume", after_a_resume),
    "rekeyed": ("after a change of the secret", after_a_secret),
}
ROWS = tuple(
    Row(
        f"turns-{name}",
        f"lies about everything, {when}",
        COVERS,
        Must.GO_ON,
        act,
        Turncoat,
        patience_s=HONEST_S,
    )
    for name, (when, act) in ACTS.items()
)
