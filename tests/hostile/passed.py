"""Frames between the encryption and what is around it: what was sent, what was given to a decoder.

Each by what it is on the wire: an encrypted frame ends with its tag, which no other has.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

ID_BYTES = 16
CLOCKS_S = 0.003
"""Firefox rounds the clocks of a page and of its worker to a millisecond each."""


@dataclass(frozen=True, slots=True)
class Passed:
    """`role`: `send`, just encrypted; or `receive`, just decrypted and given to the decoder.
    `id`: of the encrypted frame."""

    at_s: float
    role: str
    kind: str
    id: str


def frame_id(encrypted: bytes) -> str:
    return f"{len(encrypted)}:{encrypted[-ID_BYTES:].hex()}"


def given_twice(passed: Iterable[Passed]) -> list[str]:
    """What a decoder got more than once. A frame that it shows again by itself is none."""
    times = Counter((one.kind, one.id) for one in passed if one.role == "receive")
    return [f"a decoder got a frame {n} times: {one}" for one, n in times.items() if n > 1]


def first_sent(passed: Iterable[Passed], frames: Iterable[list[str]]) -> float:
    """When the first of these frames was encrypted."""
    ids = {id_ for some in frames for id_ in some}
    return min(one.at_s for one in passed if one.role == "send" and one.id in ids)


def sent_after(passed: Iterable[Passed], ids: Iterable[str], at_s: float) -> list[str]:
    """Which of these frames, seen on the wire, were encrypted after a moment, or past the tap."""
    times = {one.id: one.at_s for one in passed if one.role == "send"}
    late = []
    for id_ in ids:
        sent_s = times.get(id_)
        if sent_s is None:
            late.append(f"a frame went past the tap: {id_}")
        elif sent_s > at_s + CLOCKS_S:
            late.append(f"a frame was encrypted {sent_s - at_s:.3f} s late: {id_}")
    return late
