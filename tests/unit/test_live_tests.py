"""What `make test` does with a live test that fails: once more, alone, and never in silence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "live-tests"
FAILS = "def test_it():\n    assert False\n"
PASSES = "def test_that():\n    pass\n"
FAILS_ONCE = """
from pathlib import Path

def test_it():
    before = Path(__file__).with_name("before")
    if not before.exists():
        before.touch()
        raise AssertionError("for want of a core")
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\naddopts = "-p xdist --import-mode=importlib"\n'
    )
    return tmp_path


def run(project: Path, *words: str, **files: str) -> tuple[int, str]:
    for name, text in files.items():
        path = project / "tests" / name / "test_one.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = subprocess.run(
        [
            project / "scripts" / "live-tests",
            *("--numprocesses", "2", "--dist", "loadfile"),
            *(*words, "tests"),
        ],
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_tests_that_pass_run_once(project) -> None:
    status, said = run(project, interop=PASSES, unit=PASSES)
    assert status == 0
    assert "once more" not in said


def test_a_live_test_that_fails_once_passes_alone_and_is_named(project) -> None:
    status, said = run(project, interop=FAILS_ONCE, unit=PASSES)
    assert status == 0
    assert "for want of a core" in said
    assert said.rstrip().endswith(
        "UNSTABLE (failed beside other tests, passed alone):\ntests/interop/test_one.py::test_it"
    )


def test_a_live_test_that_fails_twice_fails(project) -> None:
    status, said = run(project, interop=FAILS)
    assert status == 1
    assert "once more alone" in said


def test_a_test_without_a_live_call_fails_at_once(project) -> None:
    status, said = run(project, interop=FAILS_ONCE, unit=FAILS)
    assert status == 1
    assert "once more" not in said


def test_more_than_five_live_tests_fail_at_once(project) -> None:
    many = "\n".join(FAILS.replace("test_it", f"test_{number}") for number in range(6))
    status, said = run(project, interop=many)
    assert status == 1
    assert "too many to be chance" in said
    assert "once more" not in said


def test_a_file_that_cannot_be_collected_fails_at_once(project) -> None:
    status, said = run(project, interop="import nothing_of_this_name\n")
    assert status != 0
    assert "once more" not in said


def test_a_crash_of_a_process_has_no_excuse(project) -> None:
    crashes = FAILS_ONCE.replace('raise AssertionError("for want of a core")', "os.abort()")
    status, said = run(project, interop="import os\n" + crashes)
    assert status == 1
    assert "A process crashed" in said


def test_a_test_that_is_skipped_alone_has_not_passed(project) -> None:
    skipped = FAILS_ONCE + "    import pytest\n    pytest.skip('nothing to see')\n"
    status, _ = run(project, interop=skipped)
    assert status == 1


def test_an_early_end_leaves_no_test_out(project) -> None:
    status, said = run(project, "-x", "--numprocesses", "0", interop=FAILS_ONCE, unit=FAILS)
    assert status == 1
    assert "2 failed" in said


def test_a_proof_of_secrecy_that_fails_once_has_failed(project) -> None:
    proof = project / "tests" / "interop" / "test_server_sees_nothing.py"
    proof.parent.mkdir(parents=True)
    proof.write_text(FAILS_ONCE)
    status, said = run(project, interop=PASSES)
    assert status == 1
    assert "may not happen" in said
