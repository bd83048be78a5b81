"""`python -m bench.guard`: instructions per forwarded packet against the committed baseline.

Counted by Valgrind in fixed runs in memory, not timed: the same on a busy machine. `paced` and
`bursts` are of the core alone, the runs named `worker` of a whole worker, from protected datagrams
to the messages for the kernel; the system calls themselves are not in them. Those named `split` are
of two workers with half of the receivers on each.
`--write` makes the present figures the baseline; do that in the commit that means to change them.
A baseline belongs to the compiler and the processor's features that it was made with: with others
the same source has another count, which is said, and only a much larger growth fails.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.ending import run_program
from bench.loadgen import ROOT

BASELINE = Path(__file__).resolve().parent / "guard_baseline.json"
ALLOWED_GROWTH = 0.05
ALLOWED_ELSEWHERE = 0.3
"""With another compiler or processor than the baseline's."""
_FEATURES = ("aes", "avx", "avx2", "pclmulqdq", "pmull", "sha2")
"""What the cryptography chooses its code by, of what Valgrind lets a program see."""
_RUNS = {
    "paced": ((), 1),
    "bursts": ((), 10),
    "worker_paced": (("worker",), 1),
    "worker_bursts": (("worker",), 10),
    "split_paced": (("split",), 1),
    "split_bursts": (("split",), 10),
}
"""Words of the guard, and packets taken in at once."""
_PACKETS = 300
"""Taken in while instructions are counted."""
_COUNTED = "sealroute_guard::counted"
"""The function that takes them in: start-up, set-up and the first packets are outside of it."""
_REFERENCES = re.compile(r"I\s+refs:\s+([\d,]+)")


class GuardError(Exception):
    """The run could not be made."""


def build() -> Path:
    cargo = shutil.which("cargo")
    if cargo is None:
        raise GuardError("cargo is missing: make build installs it")
    command = [cargo, "build", "--release", "--quiet", "--package", "sealroute-guard", "-j", "2"]
    if subprocess.run(command, cwd=ROOT / "native", check=False).returncode != 0:
        raise GuardError("the guard could not be built")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "native" / "target"))
    return target / "release" / "sealroute-guard"


def parse_references(text: str) -> int:
    """The instruction count in Callgrind's summary."""
    found = _REFERENCES.search(text)
    count = int(found.group(1).replace(",", "")) if found else 0
    if count == 0:
        raise GuardError(f"no instruction count in Valgrind's output: {text[-300:]}")
    return count


def instructions_per_packet(binary: Path, words: Sequence[str], burst: int) -> float:
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise GuardError("valgrind is missing: apt-get install valgrind")
    command = [
        valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null",
        "--collect-atstart=no", f"--toggle-collect={_COUNTED}",
        str(binary), *words, str(_PACKETS), str(burst),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise GuardError(f"the run failed: {(done.stdout + done.stderr)[-500:]}")
    return parse_references(done.stderr) / int(done.stdout)


def figures(binary: Path) -> dict[str, float]:
    return {name: round(instructions_per_packet(binary, *run), 1) for name, run in _RUNS.items()}


def toolchain() -> str:
    """What the count depends on besides the source."""
    rustc = shutil.which("rustc") or "rustc"
    done = subprocess.run(
        [rustc, "--version"], cwd=ROOT / "native", capture_output=True, text=True, check=False
    )
    words = set(Path("/proc/cpuinfo").read_text().split())
    features = " ".join(sorted(words & set(_FEATURES)))
    return f"{done.stdout.strip()}, {platform.machine()}, {features}"


def verdicts(
    found: dict[str, float], baseline: dict[str, float], allowed: float = ALLOWED_GROWTH
) -> list[str]:
    """What grew by more than is allowed, or has no baseline. Empty: all is well."""
    wrong = []
    for name, value in found.items():
        before = baseline.get(name)
        if before is None:
            wrong.append(f"{name}: no baseline; run with --write")
        elif value > before * (1 + allowed):
            growth = (value / before - 1) * 100
            wrong.append(f"{name}: {value:.0f} instructions, {growth:.1f} % over {before:.0f}")
    return wrong


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.guard", description=__doc__)
    parser.add_argument("--write", action="store_true", help="make these figures the baseline")
    options = parser.parse_args(words)
    try:
        binary = build()
        found = figures(binary)
    except GuardError as error:
        print(f"guard: {error}", file=sys.stderr)
        return 2
    for name, value in found.items():
        print(f"{name}: {value:.0f} instructions per forwarded packet")
    here = toolchain()
    if options.write:
        document = {"toolchain": here, "instructions": found}
        BASELINE.write_text(json.dumps(document, indent=1) + "\n")
        return 0
    baseline = json.loads(BASELINE.read_text())
    allowed = ALLOWED_GROWTH
    if here != baseline["toolchain"]:
        allowed = ALLOWED_ELSEWHERE
        print(
            f"guard: THE BASELINE BELONGS TO ANOTHER TOOLCHAIN ({baseline['toolchain']}; here: "
            f"{here}): only growth over {allowed:.0%} fails",
            file=sys.stderr,
        )
    wrong = verdicts(found, baseline["instructions"], allowed)
    for text in wrong:
        print(f"guard: {text}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    run_program(main)
