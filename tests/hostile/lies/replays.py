"""Lies in packets that were sent once: recordings, over every way there is to a decoder."""

import asyncio
import time
from collections.abc import Callable

from tests.hostile.call import NEW_SECRET, SECRET, Call, until
from tests.hostile.lies.acts import KINDS, hold, inject, pause, recording
from tests.hostile.lies.row import packet_row as row
from tests.hostile.media import Rtp
from tests.hostile.tracks import DownLine

SWITCH_S = 12.0
"""With two keys to derive, on a busy machine."""
RETIRED_S = 11.0
"""After the next context, the one before is taken for ten seconds more."""


async def replay(call: Call) -> None:
    await call.live()
    await inject(call, recording(call))


async def replay_beside_live(call: Call) -> None:
    await call.live()
    kept = recording(call)
    for kind in KINDS:
        call.line(kind).inject(kept(kind))
    await pause(call)
    hold(call, False)


async def replay_on_reoffered_line(call: Call) -> None:
    """The m-lines go away and come back with other SSRCs; then the recording."""
    await call.live()
    kept = recording(call)
    hold(call, True)
    bob = call.member(call.bob)
    lines = [line for line in bob.lines if line.subscriber_id]
    uses = [(line.subscriber_id, line.stream_id) for line in lines]
    for line in lines:
        line.subscriber_id = ""
    await bob.send_offer()
    await pause(call, 0.4)
    for line, (line.subscriber_id, line.stream_id) in zip(lines, uses, strict=True):
        line.ssrc += 1
    await bob.send_offer()
    await pause(call, 0.4)
    for line in lines:
        line.inject(kept(line.kind))
    await pause(call)
    hold(call, False)


async def second_line(call: Call, made: Callable[[str], list[Rtp]] | None = None) -> None:
    """A second m-line for the same Subscriber, beside the live one; then the recording there."""
    await call.live()
    kept = made or recording(call)
    bob = call.member(call.bob)
    added = []
    for kind in KINDS:
        first = call.line(kind)
        line = DownLine(bob, kind, str(len(bob.lines)))
        bob.lines.append(line)
        line.subscriber_id, line.stream_id = first.subscriber_id, first.stream_id
        added.append(line)
    await bob.send_offer()
    await pause(call)
    for line in added:
        line.inject(kept(line.kind))
    await pause(call)
    for line in added:
        line.subscriber_id = ""
    await bob.send_offer()


async def replay_on_stream_again(call: Call) -> None:
    """The stream ends and comes again under its id; the new Subscriber gets the recording."""
    await call.live()
    kept = recording(call)
    stream, bob = call.stream, call.member(call.bob)
    for line in bob.lines:
        line.subscriber_id, line.source = "", None
    gone = {"streamId": call.stream_id, "reason": "clientDisconnected"}
    bob.write({"t": "streamDestroyed", **gone})
    await pause(call, 0.3)
    asked = len(bob.asked("downlinkAnswer"))
    bob.write({"t": "streamCreated", "stream": stream.info()})
    await until(lambda: len(bob.asked("downlinkAnswer")) > asked, "the new subscription")
    hold(call, True)
    await pause(call, 0.3)
    await inject(call, kept)


async def replay_after_resume(call: Call) -> None:
    await call.live()
    kept = recording(call)
    bob = call.member(call.bob)
    hold(call, True)
    await bob.socket.close()
    await until(lambda: len(bob.asked("hello")) > 1, "the resume")
    await pause(call, 0.3)
    await inject(call, kept)


async def replay_after_transport_lost(call: Call) -> None:
    await call.live()
    kept = recording(call)
    bob = call.member(call.bob)
    asked = len(bob.asked("downlinkAnswer"))
    for line in bob.lines:
        line.subscriber_id, line.source = "", None
    bob.lines = []
    old, bob.downlink = bob.downlink, None
    bob.write({"t": "transportLost", "direction": "downlink"})
    await old.close()
    await until(lambda: len(bob.asked("downlinkAnswer")) > asked, "the new downlink")
    await until(bob.downlink.is_connected.is_set, "the new downlink's media")
    await inject(call, kept)


async def replay_after_rekey(call: Call) -> None:
    """What was recorded under the old secret, after all have changed it at once."""
    await call.live()
    kept = recording(call)
    await call.bob.set_secret(NEW_SECRET, immediate=True)
    await call.ada.set_secret(NEW_SECRET, immediate=True)
    await pause(call, 0.3)
    await inject(call, kept)


async def late_under_retired(call: Call) -> None:
    """Frames that Bob was never sent, under a key id that was left more than ten seconds ago, and
    whose secret is in use again: no replay, and too late all the same."""
    await call.live()
    hold(call, True)
    judge = call.member(call.ada).judge
    hint = judge.hints[-1]
    kept = {kind: len(call.track(kind).kept) for kind in KINDS}
    known = {id_ for ids in judge.ids.values() for id_ in ids}
    await pause(call, 0.8)
    late = {kind: call.track(kind).kept[kept[kind] :] for kind in KINDS}
    held_back = {i for (of, _), ids in judge.ids.items() if of == hint for i in ids} - known
    for secret in (NEW_SECRET, SECRET):
        # Nothing later of the first key id has come: it is not the window that refuses these.
        hint = judge.hints[-1]
        await asyncio.gather(*(c.set_secret(secret) for c in (call.bob, call.ada)))
        await until(lambda hint=hint: judge.hints[-1] != hint, "the switch", SWITCH_S)
    hold(call, False)
    await pause(call, RETIRED_S)
    since_s = time.monotonic()
    await inject(call, late.__getitem__)
    played = [one for one in call.bob.passed if one.id in held_back and one.at_s > since_s]
    if played:
        raise AssertionError(f"{len(played)} frames were played that were sent long before")


OFFER = ("rtp", "downlinkOffer", "sdp:downlink.mid", "sdp:downlink.ssrc")
ROWS = (
    row("replay", "plays a recording on the same m-line", replay),
    row("replay-beside-live", "plays a recording while live media goes on", replay_beside_live),
    row(
        "replay-reoffered",
        "takes m-lines away, offers them again with other SSRCs, and plays a recording",
        replay_on_reoffered_line,
        covers=OFFER,
    ),
    row(
        "replay-second-line",
        "a second m-line for the same Subscriber, and a recording on it",
        second_line,
        covers=("rtp", "sdp:downlink.second-line"),
    ),
    row(
        "replay-stream-again",
        "destroys a stream, creates it again under its id, and plays a recording",
        replay_on_stream_again,
        covers=("streamDestroyed", "streamCreated", "rtp"),
    ),
    row("replay-after-resume", "plays a recording after a resume", replay_after_resume),
    row(
        "replay-after-transport-lost",
        "says that the downlink is lost, and plays a recording over the next",
        replay_after_transport_lost,
        covers=("transportLost", "rtp"),
    ),
    row(
        "late-retired",
        "plays what it held back, under a key id that was left long ago",
        late_under_retired,
    ),
    row(
        "replay-after-rekey",
        "plays what was recorded under a secret that was given up",
        replay_after_rekey,
    ),
)
