"""When the senders switch to a new secret (docs/e2ee.md, section 9), worked out by hand."""

from typing import Any

from tests.vectors.steps import A, B, C, Step


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
