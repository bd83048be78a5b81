"""Lies about the peers of a relayed session, which is clear: descriptions and candidates that the
server passes on, and can write itself.

Nothing that such a session sends is a secret from the server. What must hold: a description that
does more than one end sends and the other receives is refused, and nobody is a peer unasked.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from tests.hostile.call import Call, until
from tests.hostile.content import ADA, BOB, CID
from tests.hostile.lie import Lie, Message
from tests.hostile.lies.acts import pause
from tests.hostile.lies.door import ENDED, OtherWelcome, come_back, session
from tests.hostile.lies.row import Must, Row, by
from tests.hostile.member import Member

INVENTED = 12
CROSSED_S = 36.0
"""Longer than any client looks for a path."""
CANDIDATES = 1_000
RELAYED = {"e2ee": False, "mediaMode": "relayed"}
ROUTED = {"e2ee": False, "mediaMode": "routed"}


class Relayed(Lie):
    """An honest server of a clear, relayed session."""

    session = RELAYED


class PassedOn(Relayed):
    """Changes what it passes on of the descriptions of one type."""

    def __init__(self, type_: str, change: Callable[[str], str]) -> None:
        self._type, self._change = type_, change

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        if message["t"] == "peerDescriptionReceived" and message["type"] == self._type:
            message["sdp"] = self._change(message["sdp"])
        return (message,)


class Resumes(OtherWelcome):
    """A clear session that is another one after a resume."""

    def __init__(self, in_truth: Message, **members: Any) -> None:
        super().__init__(session(**members), resumed=True)
        self.session = in_truth


async def join_and_publish(call: Call) -> None:
    """Both are there; their descriptions are changed from the first on."""
    await call.join(ADA)
    await call.join(BOB)
    call.mark()
    call.stream_id = await call.ada.publish() or ""
    await pause(call, 1.0)


def replacing(old: str, new: str) -> Callable[[str], str]:
    return lambda sdp: sdp.replace(old, new)


def without(start: str) -> Callable[[str], str]:
    return lambda sdp: "".join(
        line for line in sdp.splitlines(keepends=True) if not line.startswith(start)
    )


def with_line(sdp: str) -> str:
    """Its last m-line once more, under a mid of its own."""
    *_, last = sdp.split("\r\nm=")
    mid = next(line[6:] for line in last.split("\r\n") if line.startswith("a=mid:"))
    more = last.replace(f"a=mid:{mid}", "a=mid:x")
    return sdp.replace("a=group:BUNDLE", "a=group:BUNDLE x", 1) + f"m={more}"


def with_data_channel(sdp: str) -> str:
    """An m-line that no client offers."""
    wanted = ("a=ice-", "a=fingerprint:", "a=setup:")
    of_transport = dict.fromkeys(line for line in sdp.split("\r\n") if line.startswith(wanted))
    head = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
    lines = "".join(f"{line}\r\n" for line in (*of_transport, "a=mid:x", "a=sctp-port:5000"))
    return sdp.replace("a=group:BUNDLE", "a=group:BUNDLE x", 1) + head + lines


def one_mid(sdp: str) -> str:
    """The second m-line gets the mid of the first."""
    first, second = (line for line in sdp.split("\r\n") if line.startswith("a=mid:"))
    return sdp.replace(second, first)


def other_mids(sdp: str) -> str:
    return sdp.replace("a=mid:", "a=mid:x")


def other_codecs(sdp: str) -> str:
    return sdp.replace("opus/48000", "PCMU/8000").replace("VP8/90000", "VP9/90000")


def undecodable(sdp: str) -> str:
    return re.sub(r"a=rtpmap:(\d+) [\w-]+/", r"a=rtpmap:\1 AV2/", sdp)


def one_undecodable(sdp: str) -> str:
    """Of the video, whatever it is offered in."""
    head, m_line, video = sdp.partition("m=video")
    return head + m_line + re.sub(r"a=rtpmap:(\d+) [\w-]+/", r"a=rtpmap:\1 AV2/", video)


def one_inactive(sdp: str) -> str:
    return sdp.replace("a=recvonly", "a=inactive", 1)


def rejected(sdp: str) -> str:
    return re.sub(r"m=video \d+ ", "m=video 0 ", sdp)


def half(sdp: str) -> str:
    """Without its last m-line."""
    return sdp.rpartition("m=")[0]


class Crossed(Relayed):
    """Gives two Subscribers of one stream each the description of the other, of one type."""

    def __init__(self, type_: str) -> None:
        self._type = type_
        self._kept: dict[str, Message] = {}

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        if message["t"] != "peerDescriptionReceived" or message["type"] != self._type:
            yield message
            return
        self._kept.setdefault(message["subscriberId"], message)
        if len(self._kept) < 2:
            return
        one, other = self._kept.values()
        for name, told in ((one, other), (other, one)):
            crossed = name | {"sdp": told["sdp"]}
            peer = member.room.peers.get(name["subscriberId"])
            if peer is None:
                continue
            to = peer.publisher if self._type == "answer" else peer.subscriber
            if to is member:
                yield crossed
            else:
                to.write(crossed)
        self._kept.clear()


async def three_and_publish(call: Call) -> None:
    """Bob and Cid both subscribe to Ada."""
    await call.join(ADA)
    await call.join(BOB)
    await call.join(CID)
    call.mark()
    call.stream_id = await call.ada.publish() or ""
    await pause(call, 1.0)


async def strangers(call: Call) -> None:
    """Offers, answers and candidates for ids that there are not, and for those of the other end."""
    await call.live()
    ada, bob = (call.member(client) for client in call.clients)
    (known,) = call.room.peers
    offer = ada.asked("peerDescription")[-1]["sdp"]
    answer = bob.asked("peerDescription")[-1]["sdp"]
    before = {member: len(member.asked("peerDescription")) for member in (ada, bob)}
    invented = [f"sub-of-nobody-{number}" for number in range(INVENTED)]
    for member, mine in ((ada, "answer"), (bob, "offer")):
        for name in invented:
            for type_, sdp in (("offer", offer), ("answer", answer)):
                told = {"subscriberId": name, "type": type_, "sdp": sdp}
                member.write({"t": "peerDescriptionReceived", **told})
            candidate = {"candidate": CANDIDATE.format(9), "mid": "0"}
            member.write({"t": "peerCandidateReceived", "subscriberId": name, **candidate})
        wrong = ("offer", offer) if mine == "answer" else ("answer", answer)
        told = {"subscriberId": known, "type": wrong[0], "sdp": wrong[1]}
        member.write({"t": "peerDescriptionReceived", **told})
    for name in ("s-of-nobody", ada.connection_id):
        wanted = {"subscriberId": "sub-x", "streamId": name, "connectionId": "c-x"}
        bob.write({"t": "peerSubscribed", **wanted, "audio": True, "video": True})
    for name in invented:
        bob.write({"t": "peerUnsubscribed", "subscriberId": name})
    await pause(call, 1.0)
    for member, count in before.items():
        if len(member.asked("peerDescription")) != count:
            raise AssertionError("a peer that nobody asked for was described to")


async def candidates(call: Call) -> None:
    """Far more of them than a peer has, for a call that goes on."""
    await call.live()
    (known,) = call.room.peers
    for number in range(CANDIDATES):
        told = {"candidate": CANDIDATE.format(number % 60_000 + 1), "mid": "0"}
        for client in call.clients:
            member = call.member(client)
            member.write({"t": "peerCandidateReceived", "subscriberId": known, **told})
    await pause(call)


async def comes_again(call: Call) -> None:
    """Ada is told that Bob's Subscriber is gone and there again, under its id; Bob is told nothing
    but her new offer, which has another certificate."""
    await call.live()
    ada = call.member(call.ada)
    (known,) = call.room.peers
    described = len(ada.asked("peerDescription"))
    ada.write({"t": "peerUnsubscribed", "subscriberId": known})
    wanted = {"subscriberId": known, "streamId": call.stream_id}
    wanted["connectionId"] = call.member(call.bob).connection_id
    ada.write({"t": "peerSubscribed", **wanted, "audio": True, "video": True})
    await until(lambda: len(ada.asked("peerDescription")) > described, "the new offer")
    await pause(call)


async def clear_is_said(call: Call) -> None:
    """Both applications see that nothing is encrypted, and no secret makes it so."""
    await call.live()
    for client in call.clients:
        if await client.is_encrypted():
            raise AssertionError("a relayed session is shown as an encrypted one")
    call.mark()
    await call.ada.set_secret("a secret for a clear session")


CANDIDATE = "candidate:1 1 udp 2130706431 127.0.0.1 {} typ host"
PASSED = ("peerDescriptionReceived",)


def _changed(type_: str, name: str, does: str, change: Callable[[str], str]) -> Row:
    return Row(
        f"peer-{type_}-{name}",
        f"passes on {'an offer' if type_ == 'offer' else 'an answer'} {does}",
        PASSED,
        Must.STOP,
        join_and_publish,
        lambda: PassedOn(type_, change),
    )


BOTH_WAYS = "that sends and receives"
ROWS = (
    Row("peers", "honest: a relayed session", (), Must.GO_ON, clear_is_said, Relayed),
    _changed("offer", "sendrecv", BOTH_WAYS, replacing("a=sendonly", "a=sendrecv")),
    _changed("offer", "recvonly", "that receives", replacing("a=sendonly", "a=recvonly")),
    _changed("offer", "one-mid", "with one mid for two m-lines", one_mid),
    _changed("offer", "extra-line", "with another m-line of video", with_line),
    _changed("offer", "datachannel", "with a data channel", with_data_channel),
    _changed("offer", "no-print", "without a fingerprint", without("a=fingerprint")),
    Row(
        "peer-offer-profile",
        "passes on an offer of a clear RTP profile",
        PASSED,
        # RFC 8829 section 5.1.2: whatever the profile says, the keys are those of DTLS.
        Must.GO_ON,
        join_and_publish,
        lambda: PassedOn("offer", replacing("UDP/TLS/RTP/SAVPF", "RTP/AVP")),
    ),
    _changed("answer", "sendrecv", BOTH_WAYS, replacing("a=recvonly", "a=sendrecv")),
    _changed("answer", "sendonly", "that sends", replacing("a=recvonly", "a=sendonly")),
    _changed("answer", "mids", "with other mids", other_mids),
    _changed("answer", "half", "without its last m-line", half),
    _changed("answer", "codecs", "with codecs that were not offered", other_codecs),
    _changed("offer", "no-codec", "with codecs that nobody decodes", undecodable),
    _changed("offer", "no-video", "with such codecs of the video alone", one_undecodable),
    _changed("answer", "inactive", "that takes nothing", replacing("a=recvonly", "a=inactive")),
    _changed("answer", "inactive-one", "that takes no audio", one_inactive),
    _changed("answer", "rejected-one", "that rejects the video", rejected),
    *(
        Row(
            f"peer-{type_}-crossed",
            f"passes on {type_}s under the name of another peer",
            PASSED,
            Must.STOP,
            three_and_publish,
            lambda type_=type_: Crossed(type_),
            patience_s=CROSSED_S,
        )
        for type_ in ("offer", "answer")
    ),
    _changed("answer", "no-print", "without a fingerprint", without("a=fingerprint")),
    Row(
        "peer-strangers",
        "descriptions and candidates for ids that there are not, and for those of the other end",
        ("peerDescriptionReceived", "peerCandidateReceived", "peerSubscribed", "peerUnsubscribed"),
        Must.GO_ON,
        strangers,
        Relayed,
    ),
    Row(
        "peer-candidates",
        "candidates without end",
        ("peerCandidateReceived",),
        Must.GO_ON,
        candidates,
        Relayed,
    ),
    Row(
        "peer-again",
        "says that a peer is gone and comes again under its id, and tells the other end nothing",
        ("peerUnsubscribed", "peerSubscribed"),
        # The Python SDK leaves it to the application to subscribe again.
        by(Must.STOP, Must.GO_ON),
        comes_again,
        Relayed,
        ("subscriber destroyed", "subscriber disconnected"),
    ),
    *(
        Row(name, does, ("welcome",), Must.STOP, come_back, lie, ENDED)
        for name, does, lie in (
            (
                "peers-resume-routed",
                "after a resume of a relayed session it is routed",
                lambda: Resumes(RELAYED, mediaMode="routed"),
            ),
            (
                "peers-resume-encrypted",
                "after a resume of a relayed session it is encrypted and routed",
                lambda: Resumes(RELAYED, mediaMode="routed", e2ee=True),
            ),
            (
                "routed-resume-relayed",
                "after a resume of a clear, routed session it is relayed",
                lambda: Resumes(ROUTED, mediaMode="relayed"),
            ),
        )
    ),
)
