"""What a bench started ends with it, however it is told to end."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import asyncio
from bench.ending import run_program

async def work():
    try:
        print("begun", flush=True)
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0)
        print("cleaned up", flush=True)

run_program(lambda: asyncio.run(work()))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("background", [True, False], ids=["in the background", "in front"])
def test_a_bench_that_is_told_to_end_cleans_up(number, background) -> None:
    command = [sys.executable, "-c", PROGRAM]
    if background:
        # As a shell does it for what it starts with `&`.
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("cleaned up\n", "", 128 + number)


def test_each_program_of_the_bench_ends_like_that() -> None:
    named = set(re.findall(r"-m (bench[.\w]*)", (ROOT / "Makefile").read_text()))
    assert "bench.network" in named
    for name in named - {"bench.plot"}:  # it starts nothing
        path = ROOT / name.replace(".", "/")
        source = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        assert source.read_text().endswith("run_program(main)\n"), name
