"""Replay and identity of frames (docs/e2ee.md, section 7), worked out by hand."""

from typing import Any

from tests.vectors.steps import A, B, Step

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
