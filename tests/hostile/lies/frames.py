"""Lies in packets: somebody else's, made up, changed."""

from collections.abc import Callable, Iterable

from tests.hostile import forge
from tests.hostile.call import Call, until
from tests.hostile.content import ADA, BOB, CID
from tests.hostile.lie import Lie, Message
from tests.hostile.lies.acts import KINDS, MISMATCH, hold, inject, pause, recording
from tests.hostile.lies.row import Must, by
from tests.hostile.lies.row import packet_row as row
from tests.hostile.media import Rtp
from tests.hostile.member import Member
from tests.hostile.tracks import AUDIO_TYPE, DownLine

# --- somebody else's -------------------------------------------------------------------------


async def swap_frames(call: Call) -> None:
    """Cid's frames over Bob's m-lines of Ada's stream."""
    await call.live()
    cid = await call.join(CID)
    other = await cid.publish()
    await until(lambda: len(call.room.streams[other].tracks["video"].kept) > 10, "Cid's media")
    tracks = call.room.streams[other].tracks
    await inject(call, lambda kind: forge.recorded(tracks[kind]))


async def reflect(call: Call) -> None:
    """Bob's own frames as Ada's."""
    await call.live()
    other = await call.bob.publish()
    await until(lambda: len(call.room.streams[other].tracks["video"].kept) > 10, "Bob's media")
    tracks = call.room.streams[other].tracks
    await inject(call, lambda kind: forge.recorded(tracks[kind]))


async def told_as_other(call: Call) -> None:
    """Cid's frames, and an offer that gives Ada's Subscriber Cid's stream id."""
    await call.live()
    cid = await call.join(CID)
    other = await cid.publish()
    await until(lambda: len(call.room.streams[other].tracks["video"].kept) > 10, "Cid's media")
    bob, tracks = call.member(call.bob), call.room.streams[other].tracks
    lines = [call.line(kind) for kind in KINDS]
    hold(call, True)
    for line in lines:
        line.subscriber_id, used = "", line.subscriber_id
        line.told_stream_id, line.ssrc = other, line.ssrc + 1
        line.__dict__["used"] = used
    await bob.send_offer()
    await pause(call, 0.3)
    for line in lines:
        line.subscriber_id = line.__dict__["used"]
    await bob.send_offer()
    await pause(call, 0.4)
    for line in lines:
        line.inject(forge.recorded(tracks[line.kind]))
    await pause(call)
    for line in lines:
        line.told_stream_id = ""
    await bob.send_offer()
    hold(call, False)


class OneIdForAll(Lie):
    """Ada's and Cid's streams get one id, and Cid's frames follow Ada's."""

    def stream_id(self, member: Member) -> str:
        return "s-one-for-all"


class OneNameForTwo(OneIdForAll):
    """Cid gets Ada's connection id too: the keys of both are the same."""

    def connection_id(self, member: Member) -> str:
        return "c-of-bob" if len(member.room.everybody) == 1 else "c-of-ada-and-cid"


async def one_id_for_two(call: Call) -> None:
    await call.live()
    ada = call.stream
    cid = await call.join(CID)
    if await cid.publish() is None:
        return  # refused: there is nothing to inject
    theirs = call.room.streams[call.stream_id]
    await until(lambda: len(theirs.tracks["video"].kept) > 10, "Cid's media")
    await inject(call, lambda kind: forge.recorded(theirs.tracks[kind]))
    call.room.streams[call.stream_id] = ada


async def cross_kinds(call: Call) -> None:
    """Video frames over the audio m-line, audio over the video one."""
    await call.live()
    other = {"audio": "video", "video": "audio"}
    kept = recording(call)
    await inject(call, lambda kind: kept(other[kind])[:40])


# --- made up and changed -----------------------------------------------------------------------


async def clear_on_line(call: Call) -> None:
    await call.live()
    await inject(call, forge.clear)


async def clear_on_strange_ssrc(call: Call) -> None:
    """In clear, under SSRCs that no offer named, with the m-line's MID and without."""
    await call.live()
    hold(call, True)
    for kind in KINDS:
        line = call.line(kind)
        for packet in forge.clear(kind):
            line.send(line.dress(packet).but(ssrc=line.ssrc ^ 1))
            line.send(line.dress(packet).but(ssrc=line.ssrc ^ 2, extensions={}))
    await pause(call)
    hold(call, False)


async def clear_on_strange_type(call: Call) -> None:
    """G.711 and comfort noise on the audio m-line."""
    await call.live()
    line = call.line("audio")
    for payload_type in (0, 8, 13, 101):
        for number in range(30):
            packet = Rtp(0, 0, line.last + 160 * number, 0, bytes([0x55 + number % 9]) * 160)
            line.send(line.dress(packet).but(payload_type=payload_type))
    await pause(call)


class AsOthers(Lie):
    """Ada's stream is told to others as one of Cid's."""

    def tell(self, member: Member, message: Message) -> Iterable[Message]:
        everybody = member.room.everybody
        if message["t"] == "streamCreated" and member is not everybody[0]:
            stream = message["stream"] | {"connectionId": everybody[2].connection_id}
            message = message | {"stream": stream}
        return (message,)


async def stream_of_other(call: Call) -> None:
    """Bob must not take Ada for Cid: not one frame is shown."""
    for who in (ADA, BOB, CID):
        await call.join(who)
    call.mark()
    call.stream_id = await call.ada.publish() or ""
    await pause(call, 1.5)
    if call.sees(call.bob, call.stream_id, 1):
        raise AssertionError("a stream is shown as that of another member")


class NeverReal(Lie):
    """From the first packet on: what the server made, in place of what was sent."""

    def down(self, line: DownLine, packet: Rtp) -> Iterable[Rtp]:
        made = forge.clear(line.kind)
        chosen = made[packet.number % len(made)] if line.kind == "audio" else made[0]
        return (packet.but(payload=chosen.payload, marker=True),)


async def join_and_wait(call: Call) -> None:
    """Nothing honest is ever shown."""
    await call.join(ADA)
    await call.join(BOB)
    call.mark()
    call.stream_id = await call.ada.publish() or ""
    await pause(call, 1.0)


class Changed(Lie):
    """Each packet after the first two seconds is changed, until `is_over`."""

    def __init__(self, change: Callable[[Rtp, Rtp], Rtp | None]) -> None:
        self._change = change
        self._before: dict[int, Rtp] = {}
        self.is_on = False

    def down(self, line: DownLine, packet: Rtp) -> Iterable[Rtp]:
        before = self._before.get(packet.ssrc, packet)
        self._before[packet.ssrc] = packet
        if not self.is_on:
            return (packet,)
        changed = self._change(packet, before)
        return () if changed is None else (changed,)


def changing(change: Callable[[Rtp, Rtp], Rtp | None]) -> Callable[[], Lie]:
    return lambda: Changed(change)


async def change_for_a_while(call: Call) -> None:
    await call.live()
    call.room.lie.is_on = True
    await pause(call, 1.5)
    hold(call, True)
    call.room.lie.is_on = False
    hold(call, False)


def _cut_tag(packet: Rtp, _: Rtp) -> Rtp:
    return packet.but(payload=packet.payload[:-1])


def _flip(packet: Rtp, _: Rtp) -> Rtp:
    payload = bytearray(packet.payload)
    payload[-12] ^= 1
    return packet.but(payload=bytes(payload))


def _splice(packet: Rtp, before: Rtp) -> Rtp:
    """The head of one frame, the tail of the one before."""
    half = len(packet.payload) // 2
    return packet.but(payload=packet.payload[:half] + before.payload[half:])


def _garbage(packet: Rtp, _: Rtp) -> Rtp:
    return forge.garbage(packet)


def _empty(packet: Rtp, _: Rtp) -> Rtp:
    """Audio only: packets without a VP8 descriptor count as lost, which nobody repairs here."""
    is_audio = packet.payload_type == AUDIO_TYPE
    return packet.but(payload=packet.payload[:1]) if is_audio else packet


def _lose(packet: Rtp, _: Rtp) -> Rtp | None:
    """For good: no repair of it ever comes."""
    return None if packet.number % 3 == 0 else packet


async def duplicates(call: Call) -> None:
    await call.live()
    call.room.lie.is_on = True
    await pause(call, 1.0)
    call.room.lie.is_on = False


class Twice(Lie):
    is_on = False

    def down(self, line: DownLine, packet: Rtp) -> Iterable[Rtp]:
        if not self.is_on:
            return (packet,)
        again = line.dress(packet)
        return (packet, again.but(timestamp=packet.timestamp))


class Late(Lie):
    """Packets come in turned pairs."""

    is_on = False

    def __init__(self) -> None:
        self._kept: dict[int, Rtp] = {}

    def down(self, line: DownLine, packet: Rtp) -> Iterable[Rtp]:
        kept = self._kept.pop(packet.ssrc, None)
        if kept is not None:
            return (packet, kept)
        if self.is_on:
            self._kept[packet.ssrc] = packet
            return ()
        return (packet,)


async def inject_uplink(call: Call) -> None:
    await call.live()
    ada = call.member(call.ada)
    for kind in KINDS:
        for number, packet in enumerate(forge.clear(kind)):
            payload_type = next(iter(call.track(kind).payload_types))
            ada.inject_up(packet.but(number=number, ssrc=333_333, payload_type=payload_type))
    await pause(call)


ROWS = (
    row("swap", "sends one member's frames as another's", swap_frames),
    row("reflect", "sends a member its own frames as another's", reflect),
    row(
        "told-as-other",
        "an offer that gives a Subscriber the stream id of another",
        told_as_other,
        must=by(Must.STOP, Must.GO_ON, chromium=Must.STOP),
        covers=("downlinkOffer",),
    ),
    row(
        "stream-of-other",
        "tells of a stream as another member's",
        stream_of_other,
        AsOthers,
        Must.STOP,
        told=MISMATCH,
        covers=("streamCreated",),
    ),
    row(
        "one-id-for-two",
        "gives two publishers one stream id and joins their frames",
        one_id_for_two,
        OneIdForAll,
        covers=("published",),
    ),
    row(
        "one-name-for-two",
        "gives two publishers one connection id too",
        one_id_for_two,
        OneNameForTwo,
        covers=("welcome", "published"),
    ),
    row("cross-kinds", "sends video over the audio m-line and the reverse", cross_kinds),
    row("clear-injected", "sends clear media of its own between encrypted frames", clear_on_line),
    row(
        "clear-strange-ssrc",
        "sends clear media under SSRCs that no offer named",
        clear_on_strange_ssrc,
        # Chromium may open a track for such an SSRC, between two descriptions; it is stopped.
        must=by(Must.GO_ON, Must.GO_ON, chromium=Must.EITHER),
    ),
    row(
        "clear-strange-type",
        "sends G.711 and comfort noise that was not negotiated",
        clear_on_strange_type,
    ),
    row(
        "clear-from-the-start",
        "never forwards: clear media of its own from the first packet on",
        join_and_wait,
        NeverReal,
        Must.STOP,
        told=MISMATCH,
    ),
    row("uplink-injected", "sends media over the uplink", inject_uplink),
    row("duplicates", "sends every packet twice", duplicates, Twice),
    row(
        "lost",
        "loses every third packet for a while, and repairs none",
        change_for_a_while,
        changing(_lose),
        only=("python",),
    ),
    row("reordered", "sends packets in turned pairs", duplicates, Late),
    *(
        row(name, does, change_for_a_while, changing(change), **more)
        for name, does, change, more in (
            ("cut-tags", "cuts the last byte of each frame", _cut_tag, {"told": MISMATCH}),
            ("flipped", "flips one bit of each packet", _flip, {"told": MISMATCH}),
            ("spliced", "joins the head of one frame and the tail of another", _splice, {}),
            ("garbage", "replaces frames by garbage", _garbage, {}),
            ("emptied", "cuts packets to one byte", _empty, {}),
        )
    ),
)
