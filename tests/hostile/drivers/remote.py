"""A script of Node that is told what to do by lines of JSON, and answers each."""

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any, Self

START_S = 60.0


class Remote:
    """One process. `start`, then `ask` as often as wanted, then `close`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, script: Path, *words: str, environment: dict[str, str] | None = None
    ) -> Self:
        """Errors: RuntimeError when it does not say that it is ready."""
        process = await asyncio.create_subprocess_exec(
            "node",
            str(script),
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
            env=environment,
        )
        async with asyncio.timeout(START_S):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"{script.name} did not start")
        return cls(process)

    async def ask(self, action: str, *words: Any) -> Any:
        """Errors: RuntimeError for what failed in the page and is no answer of the SDK."""
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        line = json.dumps({"number": number, "action": action, "words": words})
        self._process.stdin.write(line.encode() + b"\n")
        try:
            return await future
        finally:
            del self._waiting[number]

    async def _read(self) -> None:
        while line := await self._process.stdout.readline():
            reply = json.loads(line)
            future = self._waiting.get(reply["number"])
            if future is None or future.done():
                continue
            if "error" in reply:
                future.set_exception(RuntimeError(reply["error"]))
            else:
                future.set_result(reply["result"])

    async def close(self) -> None:
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), 20)
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
