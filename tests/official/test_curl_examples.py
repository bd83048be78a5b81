"""The examples of docs/rest-api.md, run as they are written, with clients in the session."""

import asyncio
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.served import until

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]
PAGE = Path(__file__).parents[2] / "docs" / "rest-api.md"
END = "end-of-example"
JOINED_AFTER = "TOKEN="


@dataclass(frozen=True)
class Example:
    """A block of commands, and the JSON that the page shows below it."""

    commands: str
    shown: object | None


def examples() -> list[Example]:
    blocks = re.findall(r"```sh\n(.*?)```(?:\n```json\n(.*?)```)?", PAGE.read_text(), re.DOTALL)
    return [Example(commands, json.loads(text) if text else None) for commands, text in blocks]


class Shell:
    """One bash for all examples, so that variables stay."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, commands: str) -> str:
        """What the commands print. A command that fails ends the shell, and so the test."""
        self._process.stdin.write(f"{commands}\necho; echo {END}\n".encode())
        lines = []
        async with asyncio.timeout(15):
            while (line := (await self._process.stdout.readline()).decode()).strip() != END:
                assert line, f"the example failed: {commands}"
                lines.append(line)
        return "".join(lines).strip()

    async def close(self) -> None:
        self._process.stdin.close()
        await self._process.wait()


@pytest_asyncio.fixture(loop_scope="module")
async def shell(stage, tmp_path):
    process = await asyncio.create_subprocess_exec(
        *("bash", "-e"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "SERVER": stage.url,
            "API_KEY": stage.api_key,
            "API_SECRET": stage.api_secret,
        },
    )
    started = Shell(process)
    yield started
    await started.close()


def shape(value: object) -> object:
    """Members and kinds of values: what a reader may rely on."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


async def test_every_example_runs_and_answers_what_the_page_shows(stage, shell):
    live = None
    found = examples()
    assert len(found) > 10
    for example in found:
        printed = await shell.run(example.commands)
        if example.shown is None:
            assert not printed
        else:
            assert shape(json.loads(printed)) == shape(example.shown)
        if example.commands.startswith("now=") and JOINED_AFTER in example.commands:
            session, token = (await shell.run('echo "$SESSION $TOKEN"')).split()
            live = await stage.enter(stage.api_key, session, token, encrypted=True)
    await until(lambda: len(live.seen) >= 1)
    assert live.seen[0]["data"] == "We begin."
    # Which of the two was shown the door is the page's choice.
    leaving = [asyncio.create_task(one.wait_closed()) for one in (live.alice, live.bob)]
    gone, there = await asyncio.wait(leaving, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    assert (len(gone), len(there)) == (1, 1)
    there.pop().cancel()
