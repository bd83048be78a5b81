"""The pure machines of docs/e2ee.md sections 7 to 9, by the traces that every SDK runs."""

import json
from pathlib import Path

import pytest
from sealroute_client.e2ee.identity import Outcome, StreamHistory, Windows
from sealroute_client.e2ee.state import DecryptionState, KeySwitch, Notice

TRACES = json.loads((Path(__file__).parents[3] / "tests/vectors/e2ee-v2-traces.json").read_text())


def traces(machine: str):
    rows = TRACES[machine]
    return pytest.mark.parametrize("trace", rows, ids=[row["name"] for row in rows])


class SwitchRun:
    """Virtual time: a deadline that passes between two steps is seen at its own time."""

    def __init__(self, hint: int) -> None:
        self.machine = KeySwitch(hint)
        self.switches: list[dict[str, int]] = []

    def look(self, at_ms: int) -> None:
        if self.machine.take_due(at_ms / 1000):
            self.switches.append({"at_ms": at_ms, "hint": self.machine.current})

    def advance(self, at_ms: int) -> None:
        deadline_s = self.machine.deadline_s
        if deadline_s is not None and deadline_s <= at_ms / 1000:
            self.look(round(deadline_s * 1000))

    def step(self, step) -> None:
        self.advance(step["at_ms"])
        if step["do"] == "set":
            self.machine.set(step["hint"], step["at_ms"] / 1000, immediate=step["immediate"])
        elif step["do"] == "announced":
            self.machine.announced(step["connection"], step["hint"])
        else:
            self.machine.left(step["connection"])
        self.look(step["at_ms"])


@traces("switch")
def test_senders_switch_when_the_trace_says(trace) -> None:
    run = SwitchRun(trace["hint"])
    for step in trace["steps"]:
        run.step(step)
    run.advance(trace["end_ms"])
    assert run.switches == trace["switches"]


class ReplayRun:
    """What a Session remembers, by stream id, and what each subscription may play."""

    def __init__(self) -> None:
        self.histories: dict[str, StreamHistory] = {}
        self.windows: dict[str, dict[str, Windows]] = {}

    def subscribe(self, step) -> None:
        kinds = ("audio", "video", "signal")
        history = self.histories.setdefault(step["stream"], StreamHistory(*kinds))
        self.windows[step["subscription"]] = {kind: Windows(history, kind) for kind in kinds}

    def frame(self, step) -> Outcome:
        windows = self.windows[step["subscription"]][step["kind"]]
        kid, ctr, now_s = int(step["kid"], 16), step["ctr"], step["at_ms"] / 1000
        refusal = windows.refusal(kid, ctr, now_s)
        if refusal is not None:
            return refusal
        if not step["verifies"]:
            return Outcome.AUTH
        windows.accept(kid, ctr, now_s)
        return Outcome.OK


@traces("replay")
def test_a_frame_is_played_or_refused_as_the_trace_says(trace) -> None:
    run = ReplayRun()
    for step in trace["steps"]:
        if step["do"] == "subscribe":
            run.subscribe(step)
        elif step["do"] == "frame":
            assert run.frame(step) == step["expect"], step


EVENTS = {Notice.MISMATCH: "mismatch", Notice.MATCH: "match"}
REPORTS = {Notice.REPORT_MISMATCH: "mismatch", Notice.REPORT_OK: "ok"}


@traces("mismatch")
def test_mismatch_and_match_are_reported_when_the_trace_says(trace) -> None:
    state = DecryptionState()
    reported = []
    for step in trace["steps"]:
        now_s = step["at_ms"] / 1000
        if step.get("do") == "set":
            notices = state.on_secret_change(now_s)
        else:
            notices = state.on_frame(step["track"], Outcome(step["result"]), now_s)
        reported += [(step["at_ms"], notice) for notice in notices]
    events = [{"at_ms": at, "event": EVENTS[n]} for at, n in reported if n in EVENTS]
    reports = [{"at_ms": at, "state": REPORTS[n]} for at, n in reported if n in REPORTS]
    assert (events, reports) == (trace["events"], trace["reports"])
