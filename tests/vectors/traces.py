"""Traces of the three pure machines of docs/e2ee.md, sections 7 to 9, worked out by hand."""

from typing import Any

Step = dict[str, Any]
A, B, C = 0xA1, 0xB2, 0xC3
"""Hints of three secrets."""


# --- section 9: when the senders switch ----------------------------------------------------


def announced(at_ms: int, connection: str, hint: int) -> Step:
    return {"at_ms": at_ms, "do": "announced", "connection": connection, "hint": hint}


def left(at_ms: int, connection: str) -> Step:
    return {"at_ms": at_ms, "do": "left", "connection": connection}


def set_secret(at_ms: int, hint: int, *, immediate: bool = False) -> Step:
    return {"at_ms": at_ms, "do": "set", "hint": hint, "immediate": immediate}


def switch(name: str, steps: list[Step], *switches: tuple[int, int], end_ms: int = 20_000) -> Any:
    return {
        "name": name,
        "hint": A,
        "steps": steps,
        "end_ms": end_ms,
        "switches": [{"at_ms": at_ms, "hint": hint} for at_ms, hint in switches],
    }


SWITCH = [
    switch("alone: at once", [set_secret(1_000, B)], (1_000, B)),
    switch(
        "others are present but never announced anything: at once",
        [left(500, "x"), set_secret(1_000, B)],
        (1_000, B),
    ),
    switch(
        "when the last of those who announced has announced the new one",
        [
            announced(0, "x", A),
            announced(0, "y", A),
            set_secret(1_000, B),
            announced(2_000, "x", B),
            announced(3_500, "y", B),
        ],
        (3_500, B),
    ),
    switch(
        "at the latest after five seconds",
        [announced(0, "x", A), set_secret(1_000, B), announced(9_000, "x", B)],
        (6_000, B),
    ),
    switch(
        "who announced the new one before counts",
        [announced(0, "x", B), set_secret(1_000, B)],
        (1_000, B),
    ),
    switch(
        "who leaves is not waited for",
        [announced(0, "x", A), announced(0, "y", B), set_secret(1_000, B), left(2_500, "x")],
        (2_500, B),
    ),
    switch(
        "who announced, left and came back without a word is not waited for",
        [announced(0, "x", A), left(100, "x"), set_secret(1_000, B)],
        (1_000, B),
    ),
    switch(
        "who joins meanwhile with the old secret is waited for",
        [
            announced(0, "x", A),
            set_secret(1_000, B),
            announced(1_500, "y", A),
            announced(2_000, "x", B),
            announced(2_500, "y", B),
        ],
        (2_500, B),
    ),
    switch(
        "an announcement of a third secret is no announcement of the new one",
        [announced(0, "x", A), set_secret(1_000, B), announced(2_000, "x", C)],
        (6_000, B),
    ),
    switch(
        "immediate: at once, whoever is not ready",
        [announced(0, "x", A), set_secret(1_000, B, immediate=True)],
        (1_000, B),
    ),
    switch(
        "immediate while a change is pending: at once",
        [announced(0, "x", A), set_secret(1_000, B), set_secret(2_000, C, immediate=True)],
        (2_000, C),
    ),
    switch(
        "a second change does not prolong the use of the old key",
        [announced(0, "x", A), set_secret(1_000, B), set_secret(4_000, C)],
        (6_000, C),
    ),
    switch(
        "a second change waits for its own announcements",
        [
            announced(0, "x", A),
            set_secret(1_000, B),
            set_secret(2_000, C),
            announced(3_000, "x", B),
            announced(4_000, "x", C),
        ],
        (4_000, C),
    ),
    switch(
        "back to the secret in use while a change is pending: no switch",
        [announced(0, "x", A), set_secret(1_000, B), set_secret(2_000, A)],
    ),
    switch(
        "setting the secret in use changes nothing",
        [announced(0, "x", B), set_secret(1_000, A), announced(2_000, "x", A)],
    ),
    switch(
        "setting the newest secret again does not start the five seconds again",
        [announced(0, "x", A), set_secret(1_000, B), set_secret(4_000, B)],
        (6_000, B),
    ),
    switch(
        "two changes one after the other",
        [
            announced(0, "x", A),
            set_secret(1_000, B),
            announced(1_200, "x", B),
            set_secret(7_000, C),
            announced(7_300, "x", C),
        ],
        (1_200, B),
        (7_300, C),
    ),
    switch(
        "an announcement without a change pending switches nothing",
        [announced(0, "x", A), announced(1_000, "x", B)],
    ),
]


# --- section 7: replay and identity --------------------------------------------------------

S1, S2 = 0x11111111, 0x22222222
"""Sender parts of two publications."""


def kid(sender: int, context: int, key: int = A) -> str:
    return f"{1 << 63 | sender << 32 | (context & 0xFFFF) << 16 | key:016x}"


def subscribe(at_ms: int, subscription: str, stream: str = "stream-1") -> Step:
    return {"at_ms": at_ms, "do": "subscribe", "subscription": subscription, "stream": stream}


def server(at_ms: int, what: str) -> Step:
    return {"at_ms": at_ms, "do": "server", "what": what}


def frame(
    at_ms: int,
    key_id: str,
    ctr: int,
    expect: str = "ok",
    *,
    on: str = "a",
    kind: str = "video",
    verifies: bool = True,
) -> Step:
    return {
        "at_ms": at_ms,
        "do": "frame",
        "subscription": on,
        "kind": kind,
        "kid": key_id,
        "ctr": ctr,
        "verifies": verifies,
        "expect": expect,
    }


K10, K11, K12 = kid(S1, 10), kid(S1, 11), kid(S1, 12)
RESETS = ("offer", "second m-line", "streamDestroyed", "streamCreated", "resume", "new transport")


def replay(name: str, *steps: Step) -> Any:
    return {"name": name, "steps": list(steps)}


REPLAY = [
    replay(
        "a frame plays once",
        subscribe(0, "a"),
        frame(10, K10, 0),
        frame(20, K10, 0, "replay"),
        frame(30, K10, 1),
    ),
    replay(
        "frames may be reordered within 1,024 counters of video",
        subscribe(0, "a"),
        frame(10, K10, 1_024),
        frame(20, K10, 1),
        frame(30, K10, 0, "replay"),
        frame(40, K10, 1, "replay"),
    ),
    *(
        replay(
            f"and within 128 of {kind}",
            subscribe(0, "a", "conn-1" if kind == "signal" else "stream-1"),
            frame(10, K10, 128, kind=kind),
            frame(20, K10, 1, kind=kind),
            frame(30, K10, 0, "replay", kind=kind),
            frame(40, K10, 1, "replay", kind=kind),
        )
        for kind in ("audio", "signal")
    ),
    replay(
        "a jump to the last counter leaves the window behind",
        subscribe(0, "a"),
        frame(10, K10, 5),
        frame(20, K10, 2**32 - 1),
        frame(30, K10, 6, "replay"),
        frame(40, K10, 2**32 - 2),
    ),
    replay(
        "a forged frame moves nothing and pins nobody",
        subscribe(0, "a"),
        frame(10, kid(S2, 3), 9_999, "auth", verifies=False),
        frame(20, K10, 9_999, "auth", verifies=False),
        frame(30, K10, 0),
        frame(40, K10, 1),
    ),
    replay(
        "a replay is found before its tag is looked at",
        subscribe(0, "a"),
        frame(10, K10, 0),
        frame(20, K10, 0, "replay", verifies=False),
    ),
    *(
        replay(
            f"nothing plays again after: {what}",
            subscribe(0, "a"),
            frame(10, K10, 0, kind="audio"),
            frame(10, K10, 1),
            server(1_000, what),
            frame(1_010, K10, 0, "replay", kind="audio"),
            frame(1_010, K10, 1, "replay"),
            frame(1_020, K10, 2),
        )
        for what in RESETS
    ),
    replay(
        "a second publication under the same stream id is refused, in both kinds",
        subscribe(0, "a"),
        frame(10, K10, 0, kind="audio"),
        frame(20, kid(S2, 10), 0, "sender", kind="audio"),
        frame(30, kid(S2, 10), 0, "sender"),
        server(40, "streamDestroyed"),
        server(50, "streamCreated"),
        subscribe(60, "b"),
        frame(70, kid(S2, 11), 0, "sender", on="b"),
        frame(60_000, kid(S2, 12), 0, "sender", on="a"),
        frame(60_010, K11, 0),
    ),
    replay(
        "another sender part is refused before a key is derived for it",
        subscribe(0, "a"),
        frame(10, K10, 0),
        frame(20, kid(S2, 10), 0, "sender", verifies=False),
    ),
    replay(
        "the sender part is pinned for each stream by itself",
        subscribe(0, "a"),
        subscribe(0, "b", "stream-2"),
        frame(10, K10, 0),
        frame(20, kid(S2, 10), 0, on="b"),
        frame(30, kid(S2, 11), 0, "sender"),
    ),
    replay(
        "audio and video have windows of their own",
        subscribe(0, "a"),
        frame(10, K10, 7, kind="audio"),
        frame(20, K10, 7),
        frame(30, K10, 7, "replay", kind="audio"),
    ),
    replay(
        "two subscriptions play each frame once each",
        subscribe(0, "a"),
        subscribe(0, "b"),
        frame(10, K10, 0),
        frame(20, K10, 0, on="b"),
        frame(30, K10, 0, "replay"),
        frame(40, K10, 0, "replay", on="b"),
    ),
    replay(
        "a later subscription begins with everything that was opened",
        subscribe(0, "a"),
        subscribe(0, "b"),
        frame(10, K10, 0),
        frame(20, K10, 2),
        frame(30, K10, 5, on="b"),
        subscribe(40, "c"),
        frame(50, K10, 0, "replay", on="c"),
        frame(60, K10, 2, "replay", on="c"),
        frame(70, K10, 5, "replay", on="c"),
        frame(80, K10, 1, on="c"),
        frame(90, K10, 6, on="c"),
        frame(100, K10, 6),
    ),
    replay(
        "a context that was left is accepted for 10 s after the newer one opened, then never",
        subscribe(0, "a"),
        frame(0, K10, 0),
        frame(1_000, K11, 0),
        frame(5_000, K10, 1),
        frame(10_999, K10, 2),
        frame(11_000, K10, 3, "replay"),
        frame(600_000, K10, 4, "replay"),
        frame(600_010, K11, 1),
    ),
    replay(
        "frames of the newer context do not prolong the older one, nor the other way round",
        subscribe(0, "a"),
        frame(0, K10, 0),
        frame(1_000, K11, 0),
        frame(9_000, K11, 1),
        frame(10_500, K10, 1),
        frame(11_500, K10, 2, "replay"),
        frame(11_600, K11, 2),
    ),
    replay(
        "an older context that was never seen is retired too",
        subscribe(0, "a"),
        frame(0, K11, 0),
        frame(5_000, K10, 0),
        frame(9_999, kid(S1, 9), 0),
        frame(10_000, kid(S1, 8), 0, "replay"),
        frame(10_010, K10, 1, "replay"),
    ),
    replay(
        "an older context that opens late does not retire the newer one",
        subscribe(0, "a"),
        frame(0, K11, 0),
        frame(1_000, K10, 0),
        frame(12_000, K11, 1),
        frame(60_000, K11, 2),
    ),
    replay(
        "contexts are counted modulo 65,536",
        subscribe(0, "a"),
        frame(0, kid(S1, 0xFFFF), 0),
        frame(1_000, kid(S1, 0), 0),
        frame(5_000, kid(S1, 0xFFFF), 1),
        frame(11_000, kid(S1, 0xFFFF), 2, "replay"),
        frame(11_010, kid(S1, 0), 1),
    ),
    replay(
        "retired for one subscription is retired for all of the stream and kind",
        subscribe(0, "a"),
        subscribe(0, "b"),
        frame(0, K10, 0),
        frame(0, K10, 0, on="b"),
        frame(1_000, K11, 0),
        frame(11_000, K10, 1, "replay", on="b"),
        frame(11_010, K10, 1, kind="audio", on="b"),
        subscribe(12_000, "c"),
        frame(12_010, K10, 1, "replay", on="c"),
    ),
    replay(
        "the ninth context pushes the oldest out at once",
        subscribe(0, "a"),
        *(frame(index, kid(S1, 20 + index), 0) for index in range(8)),
        frame(8, kid(S1, 20), 1),
        frame(9, kid(S1, 28), 0),
        frame(10, kid(S1, 20), 2, "replay"),
        frame(11, kid(S1, 19), 0, "replay"),
        frame(12, kid(S1, 21), 1),
    ),
    replay(
        "a secret that comes back finds the windows of its keys",
        subscribe(0, "a"),
        frame(0, K10, 0),
        frame(100, kid(S1, 11, B), 0),
        frame(200, K10, 0, "replay"),
        frame(300, K12, 0),
        frame(400, K12, 0, "replay"),
    ),
    replay(
        "signals: another connection of the same sender part is another history",
        subscribe(0, "a", "conn-1"),
        subscribe(0, "b", "conn-2"),
        frame(10, K10, 0, kind="signal"),
        frame(20, K10, 0, kind="signal", on="b"),
        server(30, "connectionDestroyed"),
        server(40, "connectionCreated"),
        subscribe(50, "c", "conn-1"),
        frame(60, K10, 0, "replay", kind="signal", on="c"),
        frame(70, kid(S2, 1), 0, "sender", kind="signal", on="c"),
        frame(80, K10, 1, kind="signal", on="c"),
    ),
]


# --- section 8: mismatch and match ---------------------------------------------------------


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

TRACES = {
    "format": "e2ee/2",
    "about": [
        "Written by tests/vectors/make.py. Times are virtual milliseconds; steps are in order.",
        "switch (section 9): the senders use `hint` at first. `set`: the application sets the",
        "  secret that this hint names. `announced`, `left`: of another connection. Between steps",
        "  and up to end_ms the machine's own deadline passes at its own time. `switches`: all.",
        "replay (section 7): `subscribe` makes a subscription of a stream (of a connection's",
        "  signals for kind signal). `frame` arrives on it; `verifies`: whether its tag would",
        "  verify; `kid` is hexadecimal; `expect` is its result. `server`: what the server says;",
        "  the runner does what its SDK does then. A context is newer than another when the",
        "  difference modulo 65,536 is 1 to 32,767. The sender part is looked at first, then",
        "  contexts and windows, then the tag.",
        "mismatch (section 8): one subscription. `result` of a frame on `track`, or `set`: the",
        "  application set another secret, which starts all counts again. `events` go to the",
        "  application, `reports` to the server (e2eeState).",
    ],
    "switch": SWITCH,
    "replay": REPLAY,
    "mismatch": MISMATCH,
}
