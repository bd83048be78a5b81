"""The table of `tests/vectors/native-behaviour.json`, played by a program in C against a server."""

import json
from pathlib import Path

import pytest

from tests.native_sdk.c_programs import A_WHILE_S, Member
from tests.served import Server, until

ROWS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "native-behaviour.json").read_text(encoding="utf-8")
)["rows"]
pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("behaviour")


async def comes(member: Member, event: str, number: int | None) -> None:
    def is_there() -> bool:
        return any(number in (None, line["number"]) for line in member.told(event))

    await until(is_there, A_WHILE_S)


async def play(member: Member, row: dict) -> None:
    for verb, argument, number in row["steps"]:
        if verb == "expect":
            await comes(member, argument, number)
            continue
        line = verb if argument is None else f"{verb} {argument}"
        assert await member.answers(line) == number, line
    for event, number in row["expects"]:
        await comes(member, event, number)


@pytest.mark.parametrize("kind", ["encrypted", "clear"])
async def test_each_situation_ends_as_the_table_says(kind, folder, tmp_path) -> None:
    server = Server(folder / kind, e2ee=kind == "encrypted")
    await server.start()
    try:
        rows = [row for row in ROWS if row.get("session", "encrypted") == kind]
        for number, row in enumerate(rows):
            member = await Member.start(server, tmp_path / str(number))
            await play(member, row)
            assert await member.leave() == 0, row["name"]
            told = {line["event"] for line in member.lines}
            assert not told & set(row.get("never", ())), row["name"]
    finally:
        await server.stop()
