"""Lies about relayed sessions to clients that hold a secret.

Media between clients has no end-to-end encryption of this format: such a client makes no peer
connection, whatever the server says and whenever it says so.
"""

from collections.abc import Iterable
from typing import Any

from tests.hostile import sdp
from tests.hostile.call import Call, until
from tests.hostile.content import ADA
from tests.hostile.lie import Lie, Message
from tests.hostile.lies.acts import MISMATCH, hold, inject, pause, recording
from tests.hostile.lies.door import ENDED, OtherWelcome, come_back, knock, resuming, session
from tests.hostile.lies.messages import play_peer
from tests.hostile.lies.row import Must, Row, packet_row
from tests.hostile.media import Transport
from tests.hostile.member import Member

PEERS = (
    "peerSubscribed",
    "peerUnsubscribed",
    "peerDescriptionReceived",
    "peerCandidateReceived",
)


class RelayedPeer(OtherWelcome):
    """Says that media goes from client to client, and plays the other client itself."""

    def __init__(self, **more: Any) -> None:
        super().__init__(session(mediaMode="relayed", **more))

    def reply(self, member: Member, message: Message) -> Iterable[Message] | None:
        if message["t"] == "publish":
            wanted = {"subscriberId": "sub-1", "streamId": "s-1", "connectionId": "c-1"}
            return (
                {
                    "t": "published",
                    "re": message["id"],
                    "streamId": "s-1",
                    "answer": "",
                    "tracks": [],
                },
                {"t": "peerSubscribed", **wanted, "audio": True, "video": True},
            )
        if message["t"] == "peerDescription":
            member.room.spawn(self._answer(member, message))
        return None

    async def _answer(self, member: Member, message: Message) -> None:
        offer = message["sdp"]
        member.uplink = await Transport(lambda p: member.judge.take("relayed", None, p)).open()
        member.uplink.start(sdp.fingerprint(offer))
        answer = sdp.describe(sdp.answer_lines(offer), member.uplink.ice, "passive")
        told = {"subscriberId": "sub-1", "type": "answer", "sdp": answer}
        member.write({"t": "peerDescriptionReceived", **told})


async def between_after_welcome(call: Call) -> None:
    """In a call: the session is said to be relayed now, by a welcome that nobody asked for."""
    await call.live()
    for client in (call.ada, call.bob):
        member = call.member(client)
        welcome = member.welcome(0, resumed=False)
        del welcome["re"]
        member.write(welcome | {"session": welcome["session"] | RELAYED})
    await play_peer(call)


# --- a peer that is gone and comes again ---------------------------------------------------------


async def replay_on_peer_again(call: Call) -> None:
    """Bob is told that Ada has left, and that she is there again under her own id."""
    await call.live()
    kept = recording(call)
    stream, bob, ada = call.stream, call.member(call.bob), call.member(call.ada)
    for line in bob.lines:
        line.subscriber_id, line.source = "", None
    bob.write({"t": "streamDestroyed", "streamId": call.stream_id, "reason": GONE})
    gone = {"connectionId": ada.connection_id, "reason": GONE}
    bob.write({"t": "connectionDestroyed", **gone})
    await pause(call, 0.3)
    asked = len(bob.asked("downlinkAnswer"))
    bob.write({"t": "connectionCreated", "connection": ada.info()})
    bob.write({"t": "hintAnnounced", "connectionId": ada.connection_id, "hint": ada.hint})
    bob.write({"t": "streamCreated", "stream": stream.info()})
    await until(lambda: len(bob.asked("downlinkAnswer")) > asked, "the new subscription")
    hold(call, True)
    await pause(call, 0.3)
    await inject(call, kept)


async def replay_on_other_credentials(call: Call) -> None:
    """Ada leaves for good; who comes in her place holds the secret, has keys of its own, and gets
    her connection id and the id of her stream. Bob is played what the first Ada sent."""
    await call.live()
    kept = recording(call)
    bob = call.member(call.bob)
    asked = len(bob.asked("subscribe"))
    call.room.leave(call.member(call.ada))
    again = await call.person(ADA)
    if not await again.connect() or await again.publish() is None:
        raise AssertionError(f"the second could not publish: {again.told}")
    await until(lambda: len(bob.asked("subscribe")) > asked, "the new subscription")
    await pause(call, 0.5)
    await inject(call, kept)


class SameAgain(Lie):
    """Who joins third gets the ids of who joined first."""

    def connection_id(self, member: Member) -> str:
        return "c-of-bob" if len(member.room.everybody) == 1 else "c-of-ada"

    def stream_id(self, member: Member) -> str:
        return "s-of-ada"


GONE = "clientDisconnected"
RELAYED = {"e2ee": False, "mediaMode": "relayed"}
WELCOME = ("welcome",)
AGAIN = (
    "streamDestroyed",
    "connectionDestroyed",
    "connectionCreated",
    "hintAnnounced",
    "streamCreated",
    "rtp",
)
ROWS = (
    Row(
        "relayed",
        "e2ee and relayed; wants the stream and plays the other client itself",
        WELCOME,
        Must.REFUSE,
        knock,
        RelayedPeer,
    ),
    Row(
        "relayed-clear",
        "clear and relayed; wants the stream and plays the other client itself",
        WELCOME,
        Must.REFUSE,
        knock,
        lambda: RelayedPeer(e2ee=False),
    ),
    Row(
        "relayed-after-welcome",
        "says in a call that the session is relayed and clear now, and stands between two clients",
        (*WELCOME, *PEERS),
        Must.GO_ON,
        between_after_welcome,
    ),
    Row(
        "resume-relayed",
        "after a resume it is relayed",
        WELCOME,
        Must.STOP,
        come_back,
        resuming(session(mediaMode="relayed")),
        ENDED,
    ),
    Row(
        "resume-relayed-clear",
        "after a resume it is relayed and clear",
        WELCOME,
        Must.STOP,
        come_back,
        resuming(session(**RELAYED)),
        ENDED,
    ),
    packet_row(
        "replay-peer-again",
        "says that a client has left and is there again under its id, and plays a recording",
        replay_on_peer_again,
        covers=AGAIN,
    ),
    packet_row(
        "replay-other-credentials",
        "gives who comes the ids of who left, and plays what that one sent",
        replay_on_other_credentials,
        SameAgain,
        Must.STOP,
        covers=("welcome", "published", "rtp"),
        told=MISMATCH,
    ),
)
