"""An official Node SDK, driven from a test: one process, one call after the other."""

import asyncio
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LINE_BYTES = 1 << 20


class NodeSdkError(Exception):
    """What the SDK raised, by its class and its text."""


@dataclass
class NodeSdk:
    """Every method of the SDK is a method here."""

    process: asyncio.subprocess.Process
    called: set[str] = field(default_factory=set)

    async def call(self, method: str, *args: object):
        self.called.add(method)
        line = json.dumps({"method": method, "args": args}) + "\n"
        self.process.stdin.write(line.encode())
        answer = json.loads(await asyncio.wait_for(self.process.stdout.readline(), 20))
        if (failure := answer.get("failure")) is not None:
            raise NodeSdkError(f"{failure.get('name')}: {failure['message']}")
        return answer["value"]

    async def refused(self, words: str, method: str, *args: object) -> None:
        with pytest.raises(NodeSdkError, match=words):
            await self.call(method, *args)

    async def close(self) -> None:
        self.process.stdin.close()
        await asyncio.wait_for(self.process.wait(), 10)


async def start_node_sdk(sdk: str, url: str, key: str, secret: str) -> NodeSdk:
    """Fails, and does not skip, where the SDKs are not installed: `make test-python` does it."""
    settings = json.dumps({"sdk": sdk, "url": url, "key": key, "secret": secret})
    process = await asyncio.create_subprocess_exec(
        *("node", str(HERE / "bridge.mjs"), settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
        env={**os.environ, "NODE_NO_WARNINGS": "1"},
    )
    return NodeSdk(process)
