"""Fuzzing that adds up: `scripts/fuzz.py SECONDS [TARGET|native|python]...`.

Each chosen target runs for so many seconds, the one with the least time so far first. Inputs that
were found, inputs that failed and the record of all runs are in a folder outside the repository
(`FUZZ_HOME`, else `~/.cache/sealroute-fuzz`), so that runs of many days and builds add up.
`record.json` there has for each target the CPU time, the runs and what the last run covered;
`--table` prints it. `--rounds N` goes round N times (0: until it is interrupted).

Targets of the media core need nothing of .venv.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV_PYTHON = ROOT / ".venv/bin/python"
LIMITS = ("-timeout=5", "-rss_limit_mb=1024", "-max_len=4096", "-print_final_stats=1")
HOUR_S = 3_600
_RUNS = re.compile(r"^stat::number_of_executed_units: *(\d+)", re.MULTILINE)
_COVERAGE = re.compile(r" cov: (\d+) ")


@dataclass(frozen=True, slots=True)
class Hours:
    """What a target has had so far. `cpu_s`: of its processes, the system's share in it."""

    cpu_s: float = 0.0
    runs: int = 0
    rounds: int = 0
    coverage: int = 0
    failures: int = 0

    def and_round(self, cpu_s: float, log: str, *, failed: bool) -> "Hours":
        """`log`: what libFuzzer wrote in that round."""
        runs, covered = _RUNS.search(log), _COVERAGE.findall(log)
        return replace(
            self,
            cpu_s=round(self.cpu_s + cpu_s, 1),
            runs=self.runs + (int(runs[1]) if runs else 0),
            rounds=self.rounds + 1,
            coverage=int(covered[-1]) if covered else self.coverage,
            failures=self.failures + failed,
        )


Record = dict[str, Hours]


def read_record(path: Path) -> Record:
    if not path.exists():
        return {}
    return {name: Hours(**fields) for name, fields in json.loads(path.read_text()).items()}


def write_record(path: Path, record: Record) -> None:
    """Whole or not at all: a run that is killed loses its round, not the hours before."""
    fresh = path.with_suffix(".new")
    fields = {name: asdict(record[name]) for name in sorted(record)}
    fresh.write_text(json.dumps(fields, indent=1) + "\n")
    fresh.replace(path)


def in_turn(names: Iterable[str], record: Record) -> list[str]:
    """The one with the least time goes first, so that all come to their hour."""
    return sorted(names, key=lambda name: record.get(name, Hours()).cpu_s)


def table(record: Record, names: Iterable[str]) -> str:
    lines = ["| target | CPU time | runs | coverage | failed |", "|---|---|---|---|---|"]
    for name in names:
        had = record.get(name, Hours())
        lines.append(
            f"| {name} | {had.cpu_s / 60:.1f} min | {had.runs:,} | {had.coverage:,}"
            f" | {had.failures} |"
        )
    total_s = sum(record[name].cpu_s for name in names if name in record)
    whole = [name for name in names if record.get(name, Hours()).cpu_s >= HOUR_S]
    hours = f"{len(whole)} of {len(lines) - 2} targets have had their hour"
    return "\n".join([*lines, "", f"{hours}; {total_s / HOUR_S:.1f} h in all."])


# --- the shell ------------------------------------------------------------------------------------


def _native_names() -> list[str]:
    return sorted(source.stem for source in (ROOT / "native/fuzz/fuzz_targets").glob("*.rs"))


def _python_names() -> list[str]:
    asked = "from tests.fuzz.targets import TARGETS; print(*TARGETS, sep=chr(10))"
    return _said([str(VENV_PYTHON), "-c", asked]).split()


def _said(command: Sequence[str]) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=-1).stdout.strip()  # noqa: S603 - our own programs


@dataclass(frozen=True, slots=True)
class Round:
    cpu_s: float
    log: str
    is_failed: bool


def _run(name: str, command: Sequence[str], home: Path, seconds: int, seed: int) -> Round:
    folders = {kind: home / kind for kind in ("corpus", "failures", "logs")}
    found = folders["corpus"] / name
    for folder in (*folders.values(), found):
        folder.mkdir(parents=True, exist_ok=True)
    seeds = ROOT / "tests/fuzz/seeds" / name
    inputs = [str(found), *([str(seeds)] if seeds.is_dir() else [])]
    failures = f"-artifact_prefix={folders['failures']}/{name}-"
    arguments = (*LIMITS, f"-max_total_time={seconds}", f"-seed={seed}", failures, *inputs)
    log = folders["logs"] / name
    with log.open("wb") as out:
        child = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=out, stderr=out)  # noqa: S603 - our own programs
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text(errors="replace")
    return Round(used.ru_utime + used.ru_stime, text, child.returncode != 0)


def _chosen(wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """The targets of the media core, and those of Python."""
    native = _native_names()
    python = [] if wanted and set(wanted) <= {"native", *native} else _python_names()
    unknown = set(wanted) - {"native", "python", *native, *python}
    if unknown:
        named = " ".join(sorted(unknown))
        sys.exit(f"There is no fuzz target {named}. There are: {' '.join([*native, *python])}")

    def taken(side: str, names: list[str]) -> list[str]:
        return [name for name in names if not wanted or side in wanted or name in wanted]

    return taken("native", native), taken("python", python)


def _go_round(commands: Mapping[str, Sequence[str]], home: Path, seconds: int) -> list[str]:
    """The names of the targets that failed."""
    path = home / "record.json"
    failed = []
    for name in in_turn(commands, read_record(path)):
        had = read_record(path).get(name, Hours())
        done = _run(name, commands[name], home, seconds, seed=had.rounds + 1)
        had = had.and_round(done.cpu_s, done.log, failed=done.is_failed)
        write_record(path, read_record(path) | {name: had})
        minutes = f"{had.cpu_s / 60:.1f} min in all"
        sys.stdout.write(f"{name}: {had.runs:,} runs, coverage {had.coverage:,}, {minutes}\n")
        sys.stdout.flush()
        if done.is_failed:
            sys.stderr.write("\n".join(done.log.splitlines()[-30:]) + "\n")
            failed.append(name)
    return failed


def _given() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description="Runs fuzz targets, and adds up what they had.")
    arguments.add_argument("seconds", nargs="?", type=int, default=600)
    arguments.add_argument("targets", nargs="*")
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--table", action="store_true")
    return arguments.parse_intermixed_args()


def main() -> None:
    given = _given()
    home = Path(os.environ.get("FUZZ_HOME") or Path.home() / ".cache/sealroute-fuzz")
    native, python = _chosen(given.targets)
    if given.table:
        sys.stdout.write(table(read_record(home / "record.json"), [*native, *python]) + "\n")
        return
    built = _said([str(ROOT / "scripts/fuzz-native")]) if native else ""
    commands = {name: [f"{built}/{name}"] for name in native}
    commands |= {name: [str(VENV_PYTHON), "-m", "tests.fuzz", name] for name in python}
    failed: list[str] = []
    rounds = 0
    while rounds < given.rounds or not given.rounds:
        failed += _go_round(commands, home, given.seconds)
        rounds += 1
    if failed:
        named = " ".join(sorted(set(failed)))
        sys.exit(f"Failed: {named}. {home}/failures has the inputs; give one as an argument.")


if __name__ == "__main__":
    main()
