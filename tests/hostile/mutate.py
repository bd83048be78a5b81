"""Which rows turn red when one check of a client is taken away: `python -m tests.hostile.mutate`.

With names, only those mutations; `--in KIND` for browsers, Chromium else. Each is a change of one
place in a copy of an SDK. Not part of the tests: it takes a minute for each.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.hostile.mutations import MUTATIONS, ROOT, WEB, Mutation

COPIED = ("tests/browser", "tests/hostile/drivers")
"""What finds the browser SDK by its own place."""


def mutated(mutation: Mutation, where: Path) -> dict[str, str]:
    """A copy with the mutation, and the environment in which it is played.

    Errors: SystemExit where the place to change is not there, or more than once."""
    folder = where / (WEB if mutation.is_web else "sdk/python")
    skipped = shutil.ignore_patterns("node_modules", "dist", "__pycache__")
    shutil.copytree(ROOT / folder.relative_to(where), folder, ignore=skipped)
    file = where / mutation.file
    text = file.read_text()
    if text.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.name}: its place is not there in {mutation.file}")
    file.write_text(text.replace(mutation.old, mutation.new))
    if not mutation.is_web:
        return {"PYTHONPATH": f"{where / 'sdk/python/src'}{os.pathsep}{ROOT}"}
    (folder / "node_modules").symlink_to(ROOT / WEB / "node_modules")
    subprocess.run(["node", "scripts/build.mjs"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    for copied in COPIED:
        shutil.copytree(ROOT / copied, where / copied)
    script = where / "tests/hostile/drivers/browser.mjs"
    return {"HOSTILE_SCRIPT": str(script), "PYTHONPATH": str(ROOT)}


def red_rows(mutation: Mutation, kind: str) -> dict[str, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | mutated(mutation, Path(folder))
        played = subprocess.run(
            [sys.executable, "-m", "tests.hostile.mutate", "--play", kind, *mutation.rows],
            env=environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return json.loads(played.stdout.splitlines()[-1])


def play(kind: str, names: list[str]) -> None:
    from tests.hostile.drivers import browser
    from tests.hostile.drivers.python import PythonDriver
    from tests.hostile.lies import rows_for
    from tests.hostile.running import play_all

    rows = [row for row in rows_for(kind) if row.name in names]
    if kind == "python":
        faults = asyncio.run(play_all(rows, PythonDriver(), 4))
    else:
        browser.SCRIPT = Path(os.environ["HOSTILE_SCRIPT"])
        faults = asyncio.run(browser.play_in(kind, rows))
    sys.stdout.write(json.dumps({name: found for name, found in faults.items() if found}))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="NAME")
    arguments.add_argument("--in", dest="kind", default="chromium")
    arguments.add_argument("--play", metavar="KIND", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.play:
        play(given.play, given.names)
        return
    for mutation in MUTATIONS:
        if given.names and not any(name in mutation.name for name in given.names):
            continue
        red = red_rows(mutation, given.kind if mutation.is_web else "python")
        found = ", ".join(f"`{name}`" for name in red) or "none"
        sys.stdout.write(f"| {mutation.name} | {found} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
