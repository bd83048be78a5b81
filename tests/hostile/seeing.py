"""Whether the bed sees a call at all: a blind one finds no fault.

The judge of the wire, the taps in the clients, and the readers of what is played look at the same
frames from three sides. What one of them saw in plenty and another not once went past that one: a
name inside an SDK or a browser may have changed.
"""

from collections.abc import Collection, Iterable, Mapping

from tests.hostile.passed import Passed

KINDS = ("audio", "video")
PLENTY = 20
"""A tap that works has noted one of so many frames."""
ENOUGH = 10
"""Frames that each must have seen of an honest call."""

Frames = Mapping[str, Collection[str]]
"""Kind → ids of its frames."""


def by_kind(ids: Mapping[tuple[int, str], Iterable[str]]) -> dict[str, set[str]]:
    """Of what a judge of the wire has by the hint of the secret and the track, `stream/kind`."""
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for (_, track), some in ids.items():
        kind = track.rpartition("/")[2]
        if kind in found:
            found[kind].update(some)
    return found


def noted(passed: Iterable[Passed], role: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for one in passed:
        if one.role == role:
            found[one.kind].add(one.id)
    return found


def past_the_tap(wire: Frames, sent: Frames) -> list[str]:
    """What left a client encrypted, and its tap saw none of."""
    return [
        f"{kind} left that the tap did not see"
        for kind, ids in wire.items()
        if len(ids) >= PLENTY and not set(ids) & set(sent[kind])
    ]


def past_the_judge(wire: Frames, played: Mapping[str, int]) -> list[str]:
    """What others played, and the judge of its sender's wire saw none of. `played`: how much."""
    return [
        f"{kind} was played that the judge of the wire did not see"
        for kind, count in played.items()
        if count and not wire[kind]
    ]


def unseen(wire: Frames, sent: Frames, received: Frames) -> list[str]:
    """Of an honest call: what has not seen enough yet. `sent`: by the tap of the sender;
    `received`: by that of the viewer. Each frame counts that the wire had too."""
    sides = {"the judge of the wire": wire, "the tap of the sender": sent}
    sides["the tap of the viewer"] = received
    return [
        f"{side} saw too little {kind}"
        for side, frames in sides.items()
        for kind in KINDS
        if len(set(frames[kind]) & set(wire[kind])) < ENOUGH
    ]
