"""Lies in SDP: answers of the uplink, certificates, and the answers to what starts media."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from tests.hostile import forge, sdp
from tests.hostile.call import Call
from tests.hostile.content import ADA, BOB
from tests.hostile.lie import Lie, Message, error
from tests.hostile.lies.acts import pause
from tests.hostile.lies.offers import MIXED_ENDS, PYTHON, STRANGE, WRONG_PRINT, OtherEnd
from tests.hostile.lies.row import Must, Row, by, rows
from tests.hostile.member import Member
from tests.hostile.tracks import Stream


class OtherPrints(Lie):
    """Shows fingerprints that are not its certificate's."""

    def __init__(self, *prints: str) -> None:
        self._prints = prints

    def prints(self, member: Member) -> tuple[str, ...]:
        return self._prints


async def join_and_try(call: Call) -> None:
    """What never connects must be told."""
    await call.join(ADA)
    await call.join(BOB)
    call.mark()
    publishing = asyncio.ensure_future(call.ada.publish())
    await asyncio.wait((publishing,), timeout=22.0)
    if publishing.done():
        call.stream_id = publishing.result() or ""
    else:
        publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)


class Answered(Lie):
    """A change to the answers of `publish`."""

    def __init__(self, change: Callable[[Member, list[sdp.Line]], list[sdp.Line]]) -> None:
        self._change = change

    def answer(self, member: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
        return self._change(member, lines)


def answering(change: Callable[[Member, list[sdp.Line]], list[sdp.Line]]) -> Callable[[], Lie]:
    return lambda: Answered(change)


def _codecs(*names: str) -> Callable[[Member, list[sdp.Line]], list[sdp.Line]]:
    """Codecs that are not encrypted, by the numbers that the client offered or the usual ones."""

    def change(member: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
        offer = member.asked("publish")[-1]["offer"]
        for section, line in zip(sdp.sections(offer), lines, strict=True):
            if section.kind != "audio":
                continue
            wanted = {
                number: mime
                for number, mime in section.codecs.items()
                if mime.partition("/")[0] in names
            }
            usual = {n: m for name in names for n, m in STRANGE.get(name, {}).items()}
            line.formats = wanted or usual
        return lines

    return change


def _beside(*names: str) -> Callable[[Member, list[sdp.Line]], list[sdp.Line]]:
    def change(member: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
        before = {line.mid: dict(line.formats) for line in lines}
        changed = _codecs(*names)(member, lines)
        for line in changed:
            line.formats = line.formats | before[line.mid] if line.kind == "audio" else line.formats
        return changed

    return change


def _other_mids(_: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
    for number, line in enumerate(lines):
        line.mid = f"x{number}"
    return lines


def _swapped_mids(_: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
    if len(lines) > 1:
        lines[0].mid, lines[1].mid = lines[1].mid, lines[0].mid
    return lines


def _rids(_: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
    for line in lines:
        if line.kind == "video":
            line.extra += ["a=rid:a recv", "a=rid:b recv", "a=simulcast:recv a;b"]
    return lines


def _both_ways(_: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
    for number, line in enumerate(lines):
        line.direction, line.ssrc = "sendrecv", 444_000 + number
    return lines


def _no_sdp(_: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
    return []


def _moved(_: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
    for line in lines:
        name = next(iter(line.formats.values()))
        line.formats = {125 if line.kind == "video" else 115: name}
    return lines


def _other_kind(_: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
    for line in lines:
        line.kind = "audio" if line.kind == "video" else "video"
    return lines


def _renamed(_: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
    """Other codecs under the numbers that were offered."""
    for line in lines:
        name = "PCMU/8000" if line.kind == "audio" else "VP9/90000"
        line.formats = dict.fromkeys(line.formats, name)
    return lines


def _sending(_: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
    for line in lines:
        line.direction = "sendonly"
    return lines


def _inactive(_: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
    for line in lines:
        line.direction = "inactive"
    return lines


def _one(**changes: Any) -> Callable[[Member, list[sdp.Line]], list[sdp.Line]]:
    """Of the video's m-line alone."""

    def change(_: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
        for line in lines:
            for name, value in changes.items() if line.kind == "video" else ():
                setattr(line, name, value)
        return lines

    return change


def _more_extensions(_: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
    for line in lines:
        line.extensions = line.extensions | {13: "urn:3gpp:video-orientation"}
    return lines


def _repairing(_: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
    """Calls what was offered as media the retransmissions of something else."""
    for line in lines:
        line.extra += [f"a=fmtp:{number} apt=13" for number in line.formats]
    return lines


def _mixed_ends(_: Member, lines: list[sdp.Line]) -> list[sdp.Line]:
    lines[0].extra.append(MIXED_ENDS)
    return lines


class Published(Lie):
    """Other members in `published`."""

    def __init__(self, **members: Any) -> None:
        self._members = members

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        if message["t"] == "published":
            message |= self._members
        return (message,)


class NamedCodecs(Lie):
    """`published` names codecs whose frames keep more in clear, or none that there are."""

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        if message["t"] == "published":
            for track in message["tracks"]:
                track["codec"] = "vp8" if track["kind"] == "audio" else "opus"
        return (message,)


class Instead(Lie):
    """In place of the answer to a request of one kind."""

    def __init__(self, kind: str, make: Callable[[Member, Message], Iterable[Message]]) -> None:
        self._kind, self._make = kind, make

    def reply(self, member: Member, message: Message) -> Iterable[Message] | None:
        return self._make(member, message) if message["t"] == self._kind else None


def failing(kind: str) -> Callable[[], Lie]:
    return lambda: Instead(kind, lambda _, message: (error(message),))


def silent(kind: str) -> Callable[[], Lie]:
    return lambda: Instead(kind, lambda _member, _message: ())


def wrong(kind: str) -> Callable[[], Lie]:
    """An answer of another kind."""
    return lambda: Instead(kind, lambda _, message: ({"t": "pong", "re": message["id"]},))


class EarlyLive(Lie):
    """The stream is created before its publication is answered."""

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        if message["t"] == "published":
            stream: Stream = member.room.streams[message["streamId"]]
            yield {"t": "streamCreated", "stream": stream.info()}
        yield message


class TwoAnswers(Lie):
    """Two answers to one `publish`, with two stream ids."""

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        yield message
        if message["t"] == "published":
            yield message | {"streamId": "s-second"}
            yield {k: v for k, v in message.items() if k != "re"}


async def just_live(call: Call) -> None:
    await call.live()


class Silent(Lie):
    """A path, and nobody who shakes hands over it."""

    def shakes_hands(self, member: Member) -> bool:
        return False


async def publish_again(call: Call) -> None:
    """A second stream over the uplink of the first, which goes on."""
    await call.live()
    call.room.lie.is_on = True
    if await call.ada.publish() is not None:
        raise AssertionError("a stream was published to another end of the transport")
    call.room.lie.is_on = False


async def inject_both_ways(call: Call) -> None:
    await join_and_try(call)
    ada = call.member(call.ada)
    if not call.stream_id:
        return
    for index, kind in enumerate(("audio", "video")):
        for number, packet in enumerate(forge.clear(kind)):
            payload_type = next(iter(call.track(kind).payload_types))
            ada.inject_up(
                packet.but(number=number, ssrc=444_000 + index, payload_type=payload_type)
            )
    await pause(call)


UP = ("published",)
TIMEOUT_S = 22.0
"""Longer than any client waits for an answer."""
HANDSHAKE_S = 36.0
"""Longer than any client waits for DTLS."""
ROWS = (
    *rows(
        join_and_try,
        Must.STOP,
        (
            "wrong-fingerprint",
            "shows a fingerprint that is not its certificate's",
            lambda: OtherPrints(WRONG_PRINT),
            ("sdp:fingerprint",),
        ),
        ("no-fingerprint", "shows none", OtherPrints, ("sdp:fingerprint",)),
        (
            "up-pcmu",
            "answers with G.711",
            answering(_codecs("PCMU")),
            (*UP, "sdp:uplink.codec"),
        ),
        (
            "up-events",
            "answers with telephone events and comfort noise alone",
            answering(_codecs("telephone-event", "CN")),
            (*UP, "sdp:uplink.codec"),
        ),
        ("up-other-mids", "an answer with other mids", answering(_other_mids), ("sdp:uplink.mid",)),
        (
            "up-swapped-mids",
            "an answer with swapped mids",
            answering(_swapped_mids),
            ("sdp:uplink.mid",),
        ),
        ("up-no-lines", "an answer without m-lines", answering(_no_sdp), ("sdp:uplink.m-lines",)),
        ("up-other-kind", "an answer of other kinds", answering(_other_kind), ("sdp:uplink.kind",)),
        (
            "up-renamed",
            "other codecs under the numbers that were offered",
            answering(_renamed),
            ("sdp:uplink.codec",),
        ),
        ("up-error", "an error to publish", failing("publish"), ("error",)),
        ("up-silence", "no answer to publish", silent("publish"), UP),
        ("up-pong", "another answer to publish", wrong("publish"), ("pong",)),
        ("up-broken", "an answer that is no SDP", lambda: Published(answer="x"), UP),
        ("sub-error", "an error to subscribe", failing("subscribe"), ("subscribed",)),
        ("sub-pong", "another answer to subscribe", wrong("subscribe"), ("pong",)),
    ),
    Row(
        "sub-silence",
        "no answer to subscribe",
        ("subscribed",),
        Must.STOP,
        join_and_try,
        silent("subscribe"),
        patience_s=TIMEOUT_S,
    ),
    # The Python SDK takes of such answers what was offered, and leaves the rest.
    *rows(
        join_and_try,
        by(Must.GO_ON, Must.STOP),
        (
            "up-red",
            "answers with red beside Opus",
            answering(_beside("red", "PCMU", "telephone-event", "CN")),
            ("sdp:uplink.codec",),
        ),
        ("up-rids", "an answer that asks for simulcast", answering(_rids), ("sdp:uplink.rid",)),
        (
            "up-moved-types",
            "an answer with other payload types",
            answering(_moved),
            ("sdp:uplink.payload-type",),
        ),
    ),
    *rows(
        join_and_try,
        by(Must.GO_ON, Must.STOP),
        (
            "up-extensions",
            "an answer with header extensions that were not offered",
            answering(_more_extensions),
            ("sdp:uplink.extension",),
        ),
        (
            "up-repairing",
            "an answer that makes media retransmissions",
            answering(_repairing),
            ("sdp:uplink.lines",),
        ),
        (
            "up-mixed-ends",
            "an answer whose lines end in different ways",
            answering(_mixed_ends),
            ("sdp:uplink.lines",),
        ),
    ),
    Row(
        "up-sendonly",
        "an answer that sends and does not receive",
        ("sdp:uplink.direction",),
        Must.STOP,
        join_and_try,
        answering(_sending),
    ),
    Row(
        "up-inactive",
        "an answer that does not receive",
        ("sdp:uplink.direction",),
        Must.STOP,
        join_and_try,
        answering(_inactive),
    ),
    *rows(
        join_and_try,
        Must.STOP,
        (
            "up-inactive-one",
            "an answer that does not receive the video",
            answering(_one(direction="inactive")),
            ("sdp:uplink.direction",),
        ),
        (
            "up-rejected-one",
            "an answer that rejects the video",
            answering(_one(port=0)),
            ("sdp:uplink.port",),
        ),
    ),
    Row(
        "up-other-print",
        "names another certificate in a later answer",
        ("sdp:fingerprint",),
        Must.GO_ON,
        publish_again,
        lambda: OtherEnd(WRONG_PRINT),
    ),
    Row(
        "no-handshake",
        "answers ICE and no DTLS",
        ("dtls",),
        Must.STOP,
        join_and_try,
        Silent,
        only=PYTHON,
        patience_s=HANDSHAKE_S,
    ),
    *rows(
        join_and_try,
        Must.GO_ON,
        ("up-codec-names", "published names other codecs", NamedCodecs, UP),
        ("up-early", "the stream is created before the answer", EarlyLive, UP),
        ("up-two-answers", "two answers with two ids", TwoAnswers, UP),
        ("up-no-tracks", "published names no tracks", lambda: Published(tracks=[]), UP),
    ),
    *rows(
        inject_both_ways,
        Must.STOP,
        (
            "up-sendrecv",
            "an answer that sends too, and media of its own",
            answering(_both_ways),
            ("sdp:uplink.direction", "sdp:uplink.ssrc"),
        ),
    ),
)
