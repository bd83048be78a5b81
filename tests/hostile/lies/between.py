"""The server stands between the two clients of a relayed session, which is clear: its own
descriptions, certificate, ICE and DTLS on both sides.

It hears and sees everything, and nothing keeps it from that: both applications were told that
nothing is encrypted. Who holds a secret is never there (`relayed.py`).
"""

from collections.abc import Callable, Iterable

from tests.hostile import sdp
from tests.hostile.call import Call
from tests.hostile.lie import Message
from tests.hostile.lies.peers import Relayed, replacing
from tests.hostile.lies.row import Must, Row
from tests.hostile.media import Transport
from tests.hostile.member import Member
from tests.hostile.tracks import Stream, UpTrack


class Between(Relayed):
    """`change`: of the descriptions that it writes."""

    def __init__(self, change: Callable[[str], str] = str) -> None:
        self._change = change

    def reply(self, member: Member, message: Message) -> Iterable[Message] | None:
        if message["t"] not in ("peerDescription", "peerCandidate"):
            return None
        if message["t"] == "peerDescription":
            take = self._take_offer if message["type"] == "offer" else self._take_answer
            member.room.spawn(take(member, message))
        return ({"t": "ok", "re": message["id"]},)

    async def _take_offer(self, ada: Member, message: Message) -> None:
        name, offer = message["subscriberId"], message["sdp"]
        (stream,) = ada.room.streams.values()
        ada.uplink = await Transport(ada._take_rtp).open()
        ada.uplink.start(sdp.fingerprint(offer))
        lines = sdp.answer_lines(offer, ada.room.mimes)
        for section, line in zip(sdp.sections(offer), lines, strict=True):
            track = stream.tracks[section.kind] = UpTrack(stream, section, line)
            ada._tracks.append(track)
        self._describe(ada, name, "answer", sdp.describe(lines, ada.uplink.ice, "passive"))
        await self._offer(ada.room.peers[name].subscriber, stream, name)

    async def _offer(self, bob: Member, stream: Stream, name: str) -> None:
        bob.downlink = await Transport(bob._take_stray).open()
        bob.downlink.on_rtcp = bob._take_rtcp
        for kind, track in stream.tracks.items():
            line = bob.add_line(kind)
            line.subscriber_id, line.stream_id, line.source = name, stream.stream_id, track
        lines = [line.offered() for line in bob.lines]
        self._describe(bob, name, "offer", sdp.describe(lines, bob.downlink.ice, "actpass"))

    async def _take_answer(self, bob: Member, message: Message) -> None:
        role = "client" if "a=setup:passive" in message["sdp"] else "server"
        bob.downlink.start(sdp.fingerprint(message["sdp"]), role)
        await bob.downlink.is_connected.wait()
        for line in bob.lines:
            line.ask_for_key_frame()

    def _describe(self, member: Member, name: str, type_: str, text: str) -> None:
        told = {"subscriberId": name, "type": type_, "sdp": self._change(text)}
        member.write({"t": "peerDescriptionReceived", **told})


async def hear_all(call: Call) -> None:
    """Errors: AssertionError where the server saw no frame, or where somebody was told of
    encryption: then the row would show nothing, or too much."""
    await call.live()
    if not call.member(call.ada).judge.verdict():
        raise AssertionError("no clear frame passed the server")
    for client in call.clients:
        if await client.is_encrypted():
            raise AssertionError("a relayed session is shown as an encrypted one")


COVERS = ("peerDescriptionReceived",)
ROWS = (
    Row("peers-between", "stands between two clients", COVERS, Must.GO_ON, hear_all, Between),
    Row(
        "peers-between-profile",
        "stands between two clients, and describes a clear RTP profile to both",
        COVERS,
        # RFC 8829 section 5.1.2: the keys are those of DTLS. Clear RTP would be none to this end.
        Must.GO_ON,
        hear_all,
        lambda: Between(replacing("UDP/TLS/RTP/SAVPF", "RTP/AVP")),
    ),
)
