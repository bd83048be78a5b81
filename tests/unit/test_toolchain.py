"""Set-up says at once what is missing, and how to get it."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "toolchain"
NEEDED = ("bash", "env", "sort", "head", "cut", "sed", "grep", "dirname", "printf", "id")
GOOD = {"python3": "3.11", "cargo": "cargo 1.88.0 (873a06493 2025-05-10)", "node": "v20.19.2"}


def toolchain(folder: Path, versions: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs the script where only these programs are, and no package manager."""
    for name in NEEDED:
        (folder / name).symlink_to(str(shutil.which(name)))
    for name, version in versions.items():
        program = folder / name
        program.write_text(f"#!{shutil.which('sh')}\necho '{version}'\n")
        program.chmod(0o755)
    return subprocess.run(
        [SCRIPT], env={"PATH": str(folder)}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "newer", [{}, {"python3": "3.14"}, {"cargo": "cargo 1.100.1 (x)"}, {"node": "v24.1.0"}]
)
def test_versions_that_do_are_silent(tmp_path, newer):
    done = toolchain(tmp_path, GOOD | newer)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("versions", "words"),
    [
        (GOOD | {"python3": "3.9"}, ["Python 3.11", "found: 3.9", "make PYTHON="]),
        (GOOD | {"cargo": "cargo 1.63.0"}, ["Rust 1.88", "found: 1.63.0", "rustup"]),
        (GOOD | {"node": "v18.20.4"}, ["Node.js 20", "found: 18.20.4", "nodesource"]),
        ({}, ["Python 3.11", "Rust 1.88", "Node.js 20", "found: none"]),
    ],
)
def test_whatever_is_missing_is_reported_at_once_with_how_to_get_it(tmp_path, versions, words):
    done = toolchain(tmp_path, versions)
    assert done.returncode == 1
    for word in words:
        assert word in done.stderr
