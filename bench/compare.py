"""`python -m bench.compare`: Sealroute and the peers found here, with the same clients and load."""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from bench import extras, loadgen, namespace, plan, report, targets
from bench.adapters import Adapter, UnavailableError
from bench.adapters.janus import JanusAdapter
from bench.adapters.janus import install as install_janus
from bench.adapters.livekit import LivekitAdapter
from bench.adapters.mediasoup import MediasoupAdapter
from bench.adapters.sealroute import SealrouteAdapter
from bench.ending import run_program
from bench.extras import Extras
from bench.forwarding import FloorCosts, add_floors
from bench.loadgen import LoadError
from bench.measure import Round, machine, measure
from bench.peer import LEGACY
from bench.plan import Plan, Step
from bench.scenarios import SCENARIOS
from bench.versions import versions

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
PLOT = RESULTS.with_name("compare.svg")


_INTRODUCTION = """Written by `python -m bench.compare`. Medians (least..most) over interleaved
rounds; CPU is user and system time of all processes of the server, per forwarded packet; net leaves
out what the joined, silent session costs. Ratios are taken round by round. AES-128-GCM, but for
servers whose names end in `cm80` (AES_CM_128_HMAC_SHA1_80). Machine: {host}. Versions: {versions}.
Took {minutes:.0f} minutes; arguments: {arguments}."""


@dataclass(slots=True)
class Run:
    """What was measured, and what was not."""

    rounds: list[Round] = field(default_factory=list)
    floors: FloorCosts = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    extras: Extras = field(default_factory=Extras)
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=versions)
    """As the run begins: sources may change while it goes on."""

    def miss(self, what: str) -> None:
        print(what, file=sys.stderr)
        self.missing.append(what)

    @property
    def evidence(self) -> targets.Evidence:
        extras = self.extras
        return targets.Evidence(
            self.rounds, self.floors, extras.idle, extras.storm, extras.joins_ms, extras.memory
        )


def adapters() -> list[Adapter]:
    return [
        SealrouteAdapter(),
        JanusAdapter("videoroom", 0),
        JanusAdapter("videoroom", 2),
        SealrouteAdapter(profiles=LEGACY),
        SealrouteAdapter(blocked=True),
        JanusAdapter("videoroom", 1),
        *(JanusAdapter("streaming", loops) for loops in (0, 1, 2)),
        JanusAdapter("videoroom", 2, profiles=LEGACY),
        LivekitAdapter(),
        MediasoupAdapter(),
        MediasoupAdapter(profiles=LEGACY),
    ]


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three minutes; writes no RESULTS.md")
    parser.add_argument("--full", action="store_true", help="all of all, five rounds: hours")
    parser.add_argument("--scenario", action="append", choices=sorted(SCENARIOS))
    parser.add_argument("--server", action="append", help="only servers of these names")
    parser.add_argument("--seconds", type=float, help="measured window")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--minutes", type=float, help="begin no round later")
    parser.add_argument("--no-extras", action="store_true", help="rounds alone")
    parser.add_argument("--no-results", action="store_true", help="leave RESULTS.md as it is")
    return parser.parse_args(words)


def plan_of(options: argparse.Namespace) -> Plan:
    chosen = plan.QUICKLY if options.quick else plan.FULL if options.full else plan.STANDARD
    steps = chosen.steps
    if options.scenario:
        steps = tuple(Step(name, 3) for name in options.scenario)
    if options.rounds:
        steps = tuple(replace(step, rounds=options.rounds) for step in steps)
    timing = chosen.timing
    if options.seconds:
        timing = replace(timing, window_s=options.seconds)
    extras = chosen.extras and not options.no_extras and not options.scenario
    return Plan(steps, timing, options.minutes or chosen.minutes, extras)


async def _started(all_of_them: Iterable[Adapter], run: Run) -> list[Adapter]:
    running = []
    for adapter in all_of_them:
        try:
            await adapter.start()
        except UnavailableError as error:
            run.miss(f"SKIPPED {adapter.name}: {error}")
            with contextlib.suppress(ProcessLookupError):
                await adapter.stop()
        else:
            running.append(adapter)
    return running


def document(run: Run) -> str:
    host = ", ".join(f"{name}: {value}" for name, value in machine().items())
    known = ", ".join(f"{name} {value}" for name, value in run.versions.items())
    missing = [f"- {what}" for what in run.missing] or ["Nothing."]
    return "\n\n".join(
        [
            "# Benchmark results",
            _INTRODUCTION.format(
                host=host,
                versions=known,
                minutes=run.seconds / 60,
                arguments=" ".join(sys.argv[1:]) or "none",
            ),
            "## Targets",
            targets.table(run.evidence),
            "![CPU per packet](compare.svg)",
            "## Ratios",
            report.ratio_table(run.rounds),
            "## Rounds",
            report.rounds_table(run.rounds),
            "## Against the same sends without crypto",
            report.floor_table(run.rounds, run.floors),
            *run.extras.sections(),
            "## Skipped and failed",
            "\n".join(missing) + "\n",
        ]
    )


async def prepare() -> None:
    """What needs a network, which the namespace has not. A peer that cannot be had is skipped
    later, and loudly."""
    os.environ["BENCH_LOADGEN"] = str(await loadgen.build())
    with contextlib.suppress(UnavailableError):
        await install_janus()
    extras.build()


async def _turn(run: Run, todo: Plan, step: Step, running: Sequence[Adapter], binary: Path) -> None:
    scenario = SCENARIOS[step.scenario]
    for adapter in running:
        if not adapter.supports(scenario) or not step.has(adapter.name):
            continue
        print(f"  {adapter.name}", file=sys.stderr)
        try:
            run.rounds.append(await measure(adapter, scenario, todo.timing, binary))
        except (LoadError, UnavailableError, TimeoutError) as error:
            run.miss(f"FAILED {scenario.name}, {adapter.name}: {error or type(error).__name__}")
    if step.floor:
        await add_floors(run.floors, binary, scenario.name, min(todo.timing.window_s, 3.0))


async def _measure(options: argparse.Namespace, run: Run) -> None:
    binary, todo = await loadgen.build(), plan_of(options)
    used = [one for one in adapters() if any(step.has(one.name) for step in todo.steps)]
    wanted = [one for one in used if not options.server or one.name in options.server]
    running = await _started(wanted, run)
    try:
        began_s = time.monotonic()
        for step, number in todo.turns():
            if todo.minutes is not None and time.monotonic() - began_s > todo.minutes * 60:
                run.miss(f"LEFT OUT for want of time: {step.scenario}, round {number + 1}")
                continue
            print(f"{step.scenario}, round {number + 1} of {step.rounds}", file=sys.stderr)
            await _turn(run, todo, step, running, binary)
    finally:
        for adapter in running:
            await adapter.stop()
    if todo.extras:
        run.extras = await extras.measure(binary)


async def work(options: argparse.Namespace) -> int:
    run, began_s = Run(), time.monotonic()
    await _measure(options, run)
    run.seconds = time.monotonic() - began_s
    text = document(run)
    print(text)
    if options.quick or options.no_results:
        return 0 if run.rounds else 2
    raw = {
        "unix_s": int(time.time()),
        "machine": machine(),
        "versions": run.versions,
        "rounds": [one.as_json() for one in run.rounds],
        "floors": [[name, segmented, costs] for (name, segmented), costs in run.floors.items()],
        "extras": asdict(run.extras),
        "skipped_and_failed": run.missing,
    }
    report.write_raw("compare", raw)
    RESULTS.write_text(text)
    PLOT.write_text(report.plot(run.rounds))
    return 0 if run.rounds else 2


def main() -> int:
    options = arguments()
    try:
        if not namespace.is_inside():
            asyncio.run(prepare())
        namespace.enter("bench.compare")
        return asyncio.run(work(options))
    except LoadError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    run_program(main)
