"""`sealroute-client` as a process against a server that lies: what a script sees of it."""

import asyncio
import json
import os
import sys

import pytest
from sealroute_client.cli import EXIT_E2EE, EXIT_OTHER

from tests.hostile.call import SECRET
from tests.hostile.lies import TABLE
from tests.hostile.server import SESSION_ID, HostileServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]
LIES = {
    "session-e2ee-false": EXIT_E2EE,
    "relayed": EXIT_E2EE,
    "session-missing": EXIT_OTHER,
    "speaks-none": EXIT_OTHER,
}


async def publish(url: str, token: str) -> tuple[int, list[dict], str]:
    where = ("--url", url, "--api-key", "key", "--session", SESSION_ID)
    environment = os.environ | {"SEALROUTE_SECRET": SECRET, "SEALROUTE_TOKEN": token}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sealroute_client", "publish", *where, "--duration", "5"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    out, err = await process.communicate()
    return process.returncode, [json.loads(line) for line in out.splitlines()], err.decode()


@pytest.mark.parametrize("name", LIES)
async def test_it_sends_nothing_and_ends_with_its_code_and_a_reason(name) -> None:
    row = next(row for row in TABLE if row.name == name)
    async with HostileServer() as server:
        room = server.open(row.lie())
        code, lines, err = await publish(server.url + room.path, room.token)
    assert code == LIES[name]
    assert "Traceback" not in err
    assert err or any(line["event"] == "error" for line in lines)
    assert all(line["event"] != "connected" for line in lines)
    assert not any(member.asked("publish") for member in room.everybody)
