"""The bed with one of its eyes shut: `python -m tests.hostile.shut`. Each row that is played must
turn red, or the bed would find no fault in silence.

Not part of the tests, as `mutate.py`; those show the same of a call that is made up
(`test_seeing.py`).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.hostile.mutations import ROOT, WEB, Mutation

COPIED = ("tests/browser", "tests/hostile")
ROWS = ("seen", "duplicates")
"""An honest call, and a lie after which a call goes on."""
PAGES = "tests/browser/pages"
EYES = (
    Mutation(
        "web: the tap",
        f"{PAGES}/hostile-tap.js",
        "channel.postMessage([performance.timeOrigin + performance.now(), role, kind, id]);",
        "",
        ROWS,
    ),
    Mutation(
        "web: who looks",
        f"{PAGES}/hostile.js",
        "if (element) seen.push([performance.now(), readPattern(element)]);",
        "",
        ROWS,
    ),
    Mutation(
        "web: who listens",
        f"{PAGES}/hostile.js",
        "return near < 0.6 * all ? null : Math.round((peak * hertzOfBin) / STEP_HZ);",
        "return near < all ? null : 0;",
        ROWS,
    ),
    Mutation(
        "web: the judge of the wire",
        "tests/hostile/wire.py",
        "if not packet.payload:",
        "if len(packet.payload) >= 0:",
        ROWS,
    ),
    Mutation(
        "python: the judge of the wire",
        "tests/hostile/wire.py",
        "if not packet.payload:",
        "if len(packet.payload) >= 0:",
        ROWS,
    ),
    Mutation(
        "python: the tap of what is sent",
        "tests/hostile/drivers/tap.py",
        "if wire is not None:",
        "if wire == 0:",
        ROWS,
    ),
    Mutation(
        "python: the tap of what is received",
        "tests/hostile/drivers/tap.py",
        "if plain is not None:",
        "if plain == 0:",
        ROWS,
    ),
    Mutation(
        "python: who looks",
        "tests/hostile/content.py",
        "return number if number and (bar.size == 0 or bar.mean() > 195) else None",
        "return None",
        ROWS,
    ),
    Mutation(
        "python: who listens",
        "tests/hostile/content.py",
        "return round(hertz / STEP_HZ)",
        "return None",
        ROWS,
    ),
)


def red_rows(eye: Mutation, kind: str) -> dict[str, list[str]]:
    """The faults of the rows, played by a copy of the bed in which the eye is shut."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for copied in COPIED:
            shutil.copytree(
                ROOT / copied, folder / copied, ignore=shutil.ignore_patterns("__pycache__")
            )
        (folder / WEB).parent.mkdir()
        (folder / WEB).symlink_to(ROOT / WEB)
        file = folder / eye.file
        file.write_text(file.read_text().replace(eye.old, eye.new))
        script = folder / "tests/hostile/drivers/browser.mjs"
        played = subprocess.run(
            [sys.executable, "-m", "tests.hostile.mutate", "--play", kind, *eye.rows],
            env=os.environ
            | {
                "HOSTILE_SCRIPT": str(script),
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk/python/src'}",
            },
            cwd=folder,
            stdout=subprocess.PIPE,
            check=True,
        )
    found: dict[str, list[str]] = json.loads(played.stdout.splitlines()[-1])
    return found


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="NAME")
    arguments.add_argument("--in", dest="kind", default="chromium")
    given = arguments.parse_args()
    blind = 0
    for eye in EYES:
        if given.names and not any(name in eye.name for name in given.names):
            continue
        red = red_rows(eye, given.kind if eye.name.startswith("web") else "python")
        blind += red.keys() != set(eye.rows)
        for row, faults in red.items():
            sys.stdout.write(f"{eye.name}: `{row}`: {faults[0]}\n")
        sys.stdout.write(f"{eye.name}: {len(red)} of {len(eye.rows)} red\n")
        sys.stdout.flush()
    return 1 if blind else 0


if __name__ == "__main__":
    sys.exit(main())
