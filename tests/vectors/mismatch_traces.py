"""Mismatch and match of secrets (docs/e2ee.md, section 8), worked out by hand."""

from typing import Any

from tests.vectors.steps import Step


def results(track: str, result: str, first_ms: int, times: int, every_ms: int = 100) -> list[Step]:
    return [
        {"at_ms": first_ms + index * every_ms, "track": track, "result": result}
        for index in range(times)
    ]


def local_set(at_ms: int) -> Step:
    return {"at_ms": at_ms, "do": "set"}


def mismatch(
    name: str,
    steps: list[Step],
    events: tuple[tuple[int, str], ...] = (),
    reports: tuple[tuple[int, str], ...] = (),
) -> Any:
    return {
        "name": name,
        "steps": sorted(steps, key=lambda step: int(step["at_ms"])),
        "events": [{"at_ms": at_ms, "event": event} for at_ms, event in events],
        "reports": [{"at_ms": at_ms, "state": state} for at_ms, state in reports],
    }


MISMATCH = [
    mismatch(
        "five failures that span 400 ms, once",
        results("video", "auth", 0, 20),
        ((400, "mismatch"),),
        ((400, "mismatch"),),
    ),
    *(
        mismatch(
            f"a failure is a failure: {result}",
            results("audio", result, 0, 5),
            ((400, "mismatch"),),
            ((400, "mismatch"),),
        )
        for result in ("secret", "auth", "sender", "format")
    ),
    mismatch("four failures are none, however long", results("video", "auth", 0, 4, 1_000)),
    mismatch("many failures within 400 ms are none", results("video", "auth", 0, 40, 10)[:40]),
    mismatch(
        "one success starts the count again",
        [
            *results("video", "auth", 0, 4),
            *results("video", "ok", 400, 1),
            *results("video", "auth", 500, 4),
        ],
    ),
    mismatch(
        "replays are neither",
        [
            *results("video", "auth", 0, 4),
            *results("video", "replay", 310, 50, 1),
            *results("video", "auth", 400, 1),
        ],
        ((400, "mismatch"),),
        ((400, "mismatch"),),
    ),
    mismatch("replays alone are no mismatch", results("video", "replay", 0, 100)),
    mismatch(
        "the server gets the counts again every five seconds while frames fail",
        results("video", "auth", 0, 121),
        ((400, "mismatch"),),
        ((400, "mismatch"), (5_400, "mismatch"), (10_400, "mismatch")),
    ),
    mismatch(
        "for 5 s after a local change it takes 2 s",
        [local_set(0), *results("video", "auth", 100, 25)],
        ((2_100, "mismatch"),),
        ((2_100, "mismatch"),),
    ),
    mismatch(
        "afterwards 400 ms again",
        [local_set(0), *results("video", "auth", 5_000, 6)],
        ((5_400, "mismatch"),),
        ((5_400, "mismatch"),),
    ),
    mismatch(
        "a local change starts the count again",
        [*results("video", "auth", 0, 4), local_set(350), *results("video", "auth", 400, 20)],
    ),
    mismatch(
        "match with the first frame that opens",
        [*results("video", "auth", 0, 6), *results("video", "ok", 600, 3)],
        ((400, "mismatch"), (600, "match")),
        ((400, "mismatch"), (600, "ok")),
    ),
    mismatch(
        "match waits for every track that failed; the server hears at once",
        [
            *results("audio", "auth", 0, 6),
            *results("video", "auth", 50, 3),
            *results("video", "auth", 350, 3),
            *results("audio", "ok", 700, 1),
            *results("video", "ok", 800, 1),
        ],
        ((400, "mismatch"), (800, "match")),
        ((400, "mismatch"), (700, "ok")),
    ),
    mismatch(
        "after one track opened the other is counted from the start",
        [
            *results("audio", "auth", 0, 6),
            *results("video", "auth", 50, 3),
            *results("video", "auth", 350, 3),
            *results("audio", "ok", 700, 1),
            *results("video", "auth", 800, 5),
        ],
        ((400, "mismatch"),),
        ((400, "mismatch"), (700, "ok"), (1_200, "mismatch")),
    ),
    mismatch(
        "a track that never failed is not waited for",
        [
            *results("audio", "ok", 0, 5),
            *results("video", "auth", 0, 5),
            *results("video", "ok", 600, 1),
        ],
        ((400, "mismatch"), (600, "match")),
        ((400, "mismatch"), (600, "ok")),
    ),
    mismatch("no match without a mismatch", results("video", "ok", 0, 5)),
    mismatch(
        "a local change asks the server for what it holds back; the event comes once",
        [*results("video", "auth", 0, 6), local_set(10_000), *results("video", "auth", 10_000, 30)],
        ((400, "mismatch"),),
        ((400, "mismatch"), (10_000, "ok"), (12_000, "mismatch")),
    ),
    mismatch(
        "a second mismatch after a match is told again",
        [
            *results("video", "auth", 0, 5),
            *results("video", "ok", 500, 1),
            *results("video", "auth", 600, 5),
        ],
        ((400, "mismatch"), (500, "match"), (1_000, "mismatch")),
        ((400, "mismatch"), (500, "ok"), (1_000, "mismatch")),
    ),
]
