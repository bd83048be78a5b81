"""Lies in SDP: offers of the downlink."""

from collections.abc import Callable
from typing import Any

from tests.hostile import forge, sdp
from tests.hostile.call import Call, until
from tests.hostile.content import ADA, BOB
from tests.hostile.lie import Lie
from tests.hostile.lies.acts import hold, pause
from tests.hostile.lies.row import Must, Row, rows
from tests.hostile.media import Rtp
from tests.hostile.member import Member
from tests.hostile.tracks import DownLine

STRANGE = {
    "PCMU": {0: "PCMU/8000"},
    "G722": {9: "G722/8000"},
    "telephone-event": {101: "telephone-event/8000"},
    "CN": {13: "CN/8000"},
    "red": {63: "red/48000/2"},
}


class Offers(Lie):
    """A change to each offer once `is_on`."""

    def __init__(
        self, change: Callable[[list[sdp.Line]], list[sdp.Line]], *, is_on: bool = False
    ) -> None:
        self._change, self.is_on = change, is_on

    def offer(self, member: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
        return self._change(lines) if self.is_on else lines


def offering(change: Callable[[list[sdp.Line]], list[sdp.Line]]) -> Callable[[], Lie]:
    return lambda: Offers(change)


def from_the_start(change: Callable[[list[sdp.Line]], list[sdp.Line]]) -> Callable[[], Lie]:
    return lambda: Offers(change, is_on=True)


async def offer_again(call: Call) -> None:
    """An honest call; then the lie in another offer; then an honest offer once more."""
    await call.live()
    call.room.lie.is_on = True
    bob = call.member(call.bob)
    await bob.send_offer()
    await pause(call, 0.4)
    call.room.lie.is_on = False
    await honest_again(call)


async def honest_again(call: Call) -> None:
    """The next honest offer is answered, or somebody has heard why it is not."""
    bob = call.member(call.bob)
    await bob.send_offer()
    hold(call, False)
    number = bob.offer_id
    await until(
        lambda: any(a["offerId"] == number for a in bob.asked("downlinkAnswer")) or call.told_all(),
        "an answer to the next honest offer, or a word,",
    )


class OtherEnd(Lie):
    """Another certificate, or another role in the handshake, once `is_on`."""

    is_on = False

    def __init__(self, *prints: str, setup: str = "actpass") -> None:
        self._prints, self._setup = prints or sdp.HONEST_PRINTS, setup

    def prints(self, member: Member) -> tuple[str, ...]:
        return self._prints if self.is_on else sdp.HONEST_PRINTS

    def setup(self, member: Member) -> str:
        return self._setup if self.is_on else "actpass"


def other_codec(lines: list[sdp.Line]) -> list[sdp.Line]:
    """A codec whose frames cannot be decoded, on the video's m-line alone."""
    for line in lines:
        if line.kind == "video":
            line.formats = dict.fromkeys(line.formats, "AV2/90000")
    return lines


def add(line: sdp.Line) -> Callable[[list[sdp.Line]], list[sdp.Line]]:
    return lambda lines: [*lines, line]


def each(**changes: Any) -> Callable[[list[sdp.Line]], list[sdp.Line]]:
    def change(lines: list[sdp.Line]) -> list[sdp.Line]:
        for line in lines:
            for name, value in changes.items():
                setattr(line, name, value)
        return lines

    return change


def strange_codecs(lines: list[sdp.Line]) -> list[sdp.Line]:
    for line in lines:
        if line.kind == "audio":
            line.formats = {}
            for formats in STRANGE.values():
                line.formats |= formats
    return lines


def more_codecs(lines: list[sdp.Line]) -> list[sdp.Line]:
    """Beside the real ones; the clients may take what they like."""
    for line in lines:
        if line.kind == "audio":
            for formats in STRANGE.values():
                line.formats = line.formats | formats
        else:
            repair = {116: "red/90000", 117: "ulpfec/90000", 118: "flexfec-03/90000"}
            line.formats = line.formats | repair
    return lines


def moved_types(lines: list[sdp.Line]) -> list[sdp.Line]:
    for line in lines:
        line.formats = {number - 3: name for number, name in line.formats.items()}
    return lines


def moved_extensions(lines: list[sdp.Line]) -> list[sdp.Line]:
    for line in lines:
        line.extensions = {
            3: sdp.MID_URI,
            4: "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            5: "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        }
    return lines


async def clear_codec(call: Call) -> None:
    """The offer has codecs that are not encrypted, and the server sends them in clear."""
    await call.join(ADA)
    await call.join(BOB)
    call.mark()
    call.stream_id = await call.ada.publish() or ""
    await pause(call, 1.2)
    for line in call.member(call.bob).lines:
        if line.kind == "audio":
            for number in range(60):
                packet = Rtp(0, 0, 160 * number, 0, bytes([0x55 + number % 9]) * 160)
                line.send(line.dress(packet).but(payload_type=0))
    await pause(call, 0.3)


async def extra_line(call: Call, name: str = "known") -> None:
    """One more m-line with the server's own clear media."""
    await call.live()
    bob = call.member(call.bob)
    lines = []
    for kind in ("audio", "video"):
        line = DownLine(bob, kind, str(len(bob.lines)))
        bob.lines.append(line)
        line.subscriber_id, line.stream_id = "sub-unknown", "s-unknown"
        lines.append(line)
    await bob.send_offer()
    await pause(call, 0.4)
    for line in lines:
        line.inject(forge.clear(line.kind))
    await pause(call, 0.4)


async def unlisted_line(call: Call) -> None:
    """The same, but the message does not speak of the m-lines."""
    await call.live()
    bob = call.member(call.bob)
    honest = [line.track() for line in bob.lines if line.subscriber_id]
    lines = []
    for kind in ("audio", "video"):
        line = DownLine(bob, kind, str(len(bob.lines)))
        bob.lines.append(line)
        line.subscriber_id, line.stream_id = "sub-none", "s-none"
        lines.append(line)
    await bob.send_offer(honest)
    await pause(call, 0.4)
    for line in lines:
        line.inject(forge.clear(line.kind))
    await pause(call, 0.4)


async def wrong_codec_names(call: Call) -> None:
    """The message names other codecs than the SDP."""
    await call.live()
    bob = call.member(call.bob)
    for audio, video in (("vp8", "opus"), ("opus", "h264"), ("av1", "vp9"), ("x", "")):
        told = [line.track() for line in bob.lines if line.subscriber_id]
        for track in told:
            track["codec"] = audio if track["kind"] == "audio" else video
        await bob.send_offer(told)
        await pause(call, 0.2)
    await honest_again(call)


async def mid_to_other(call: Call) -> None:
    """Ada's m-lines are told to carry Bob's own Subscriber of a stream he never asked for."""
    await call.live()
    bob = call.member(call.bob)
    told = [line.track() | {"subscriberId": "sub-x"} for line in bob.lines if line.subscriber_id]
    await bob.send_offer(told)
    await pause(call, 0.4)
    await honest_again(call)


async def mids_swapped(call: Call) -> None:
    """The message says audio of the video m-line and the reverse."""
    await call.live()
    bob = call.member(call.bob)
    told = [line.track() for line in bob.lines if line.subscriber_id]
    told[0]["mid"], told[1]["mid"] = told[1]["mid"], told[0]["mid"]
    await bob.send_offer(told)
    await pause(call, 0.4)
    await honest_again(call)


async def two_offers(call: Call) -> None:
    """The second one before the first is answered; numbers out of order."""
    await call.live()
    bob = call.member(call.bob)
    await bob.send_offer()
    await bob.send_offer()
    await honest_again(call)


async def broken_offer(call: Call) -> None:
    await call.live()
    bob = call.member(call.bob)
    for text in ("", "v=0", "v=0\r\nm=audio\r\n", "\x00" * 100):
        bob.write({"t": "downlinkOffer", "offerId": 50, "sdp": text, "tracks": []})
        await pause(call, 0.1)
    await honest_again(call)


def one_mid(lines: list[sdp.Line]) -> list[sdp.Line]:
    for line in lines:
        line.mid = lines[0].mid
    return lines


def saying(*text: str) -> Callable[[list[sdp.Line]], list[sdp.Line]]:
    """More lines in the first m-line."""

    def change(lines: list[sdp.Line]) -> list[sdp.Line]:
        lines[0].extra += text
        return lines

    return change


MANY = ["m=audio 9 UDP/TLS/RTP/SAVPF 111"] * 1_100
HEAVY = [f"a=rtpmap:{100 + number % 20} x/90000" for number in range(400)]
HEAVY += ["a=rtcp-fb:96 nack"] * 800
"""A parser that looks through all codecs for each line of feedback takes seconds."""
WRONG_PRINT = "sha-256 " + ":".join(["AB"] * 32)
PYTHON = ("python",)
MIXED_ENDS = "a=x:1\ra=y:1"
DATA = sdp.Line("application", "d9", {}, "sendrecv")
DOWN = ("downlinkOffer",)
ROWS = (
    *rows(
        offer_again,
        Must.GO_ON,
        (
            "down-sendrecv",
            "asks for media on the downlink",
            offering(each(direction="sendrecv")),
            (*DOWN, "sdp:downlink.direction"),
        ),
        (
            "down-datachannel",
            "offers a data channel",
            offering(add(DATA)),
            (*DOWN, "sdp:downlink.kind"),
        ),
        (
            "down-strange-codecs",
            "offers codecs that are not encrypted",
            offering(strange_codecs),
            (*DOWN, "sdp:downlink.codec"),
        ),
        (
            "down-more-codecs",
            "offers those beside Opus and VP8, with red and FEC",
            offering(more_codecs),
            (*DOWN, "sdp:downlink.codec"),
        ),
        (
            "down-moved-types",
            "other payload types for the same codecs",
            offering(moved_types),
            (*DOWN, "sdp:downlink.payload-type"),
        ),
        (
            "down-moved-extensions",
            "other numbers for header extensions",
            offering(moved_extensions),
            (*DOWN, "sdp:downlink.extension"),
        ),
        (
            "down-recvonly",
            "offers to receive on the downlink",
            offering(each(direction="recvonly")),
            (*DOWN, "sdp:downlink.direction"),
        ),
        (
            "down-no-lines",
            "an offer without the m-lines that were there",
            offering(lambda lines: lines[:1]),
            (*DOWN, "sdp:downlink.m-lines"),
        ),
    ),
    *rows(
        offer_again,
        Must.GO_ON,
        (
            "down-mixed-ends",
            "ends a line in another way than the others",
            offering(saying(MIXED_ENDS)),
            (*DOWN, "sdp:downlink.lines"),
        ),
        (
            "down-rid",
            "offers layers",
            offering(saying("a=rid:a send")),
            (*DOWN, "sdp:downlink.rid"),
        ),
    ),
    *rows(
        offer_again,
        Must.GO_ON,
        (
            "down-two-mids",
            "gives an m-line two mids",
            offering(saying("a=mid:other")),
            (*DOWN, "sdp:downlink.lines"),
        ),
        (
            "down-one-mid",
            "gives all m-lines one mid",
            offering(one_mid),
            (*DOWN, "sdp:downlink.mid"),
        ),
        (
            "down-many-lines",
            "offers more m-lines than any call has",
            offering(saying(*MANY)),
            (*DOWN, "sdp:downlink.lines"),
        ),
    ),
    *rows(
        offer_again,
        Must.GO_ON,
        (
            "down-other-print",
            "names another certificate in a later offer",
            lambda: OtherEnd(WRONG_PRINT),
            ("sdp:fingerprint",),
        ),
        (
            "down-two-prints",
            "names another certificate for one m-line",
            offering(saying(f"a=fingerprint:{WRONG_PRINT}")),
            (*DOWN, "sdp:downlink.lines"),
        ),
        (
            "down-other-role",
            "changes its role in the handshake",
            lambda: OtherEnd(setup="active"),
            ("sdp:setup",),
        ),
    ),
    Row(
        "down-inactive",
        "offers nothing where a stream is said to come",
        (*DOWN, "sdp:downlink.direction"),
        Must.GO_ON,
        offer_again,
        offering(each(direction="inactive")),
    ),
    Row(
        "down-rejected",
        "rejects the m-lines that a stream is said to come over",
        (*DOWN, "sdp:downlink.port"),
        Must.GO_ON,
        offer_again,
        offering(each(port=0)),
    ),
    Row(
        "down-heavy",
        "offers more codecs and feedback than a parser can look through",
        (*DOWN, "sdp:downlink.lines"),
        Must.GO_ON,
        offer_again,
        offering(saying(*HEAVY)),
        only=PYTHON,
    ),
    Row(
        "down-other-codec",
        "offers a codec that nobody has",
        (*DOWN, "sdp:downlink.codec"),
        Must.GO_ON,
        offer_again,
        offering(other_codec),
    ),
    *rows(
        clear_codec,
        Must.SEE,
        (
            "down-clear-codec",
            "offers G.711 alone and sends it in clear",
            from_the_start(strange_codecs),
            (*DOWN, "sdp:downlink.codec"),
        ),
    ),
    *rows(extra_line, Must.GO_ON, ("down-extra-line", "m-lines of no Subscriber", Lie, DOWN)),
    *rows(
        unlisted_line,
        Must.GO_ON,
        ("down-unlisted-line", "m-lines that the message leaves out", Lie, DOWN),
    ),
    *rows(
        wrong_codec_names,
        Must.GO_ON,
        ("down-codec-names", "the message names other codecs than the SDP", Lie, DOWN),
    ),
    *rows(
        mid_to_other,
        Must.GO_ON,
        ("down-mid-given-away", "gives m-lines in use to somebody else and back", Lie, DOWN),
    ),
    *rows(
        mids_swapped,
        Must.GO_ON,
        ("down-mids-swapped", "says audio of the video m-line", Lie, (*DOWN, "sdp:downlink.mid")),
    ),
    *rows(two_offers, Must.GO_ON, ("down-two-offers", "two offers at once", Lie, DOWN)),
    *rows(
        broken_offer,
        Must.GO_ON,
        ("down-broken", "offers that are no SDP", Lie, DOWN),
    ),
)
