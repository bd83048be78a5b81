"""Programs in C against `libsealroute`, compiled as a user of it compiles them, with sanitizers."""

import asyncio
import functools
import json
import os
import subprocess
import tempfile
from pathlib import Path

from tests.served import Server, until

ROOT = Path(__file__).parents[2]
BUILT = ROOT / ".cache" / "sdk-native" / "debug"
CAPI = ROOT / "sdk" / "native" / "capi"
SOURCES = Path(__file__).parent / "c"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
STRICT = ("-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-g")
A_WHILE_S = 120


@functools.cache
def prefix() -> Path:
    """Installed as `make install-sdk-native` does it, for the life of this process."""
    folder = Path(tempfile.mkdtemp(prefix="sealroute-c-"))
    command = ["scripts/install-native", str(folder), str(BUILT)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=60)
    return folder


def flags(name: str) -> list[str]:
    """What pkg-config says of the installed library."""
    places = prefix() / "lib" / "pkgconfig"
    command = ["pkg-config", "--cflags", "--libs", name]
    environment = {**os.environ, "PKG_CONFIG_PATH": str(places)}
    done = subprocess.run(command, check=True, capture_output=True, env=environment, timeout=60)
    return done.stdout.decode().split()


@functools.cache
def program(name: str) -> Path:
    """Compiled, once for each process."""
    out = prefix() / name
    words = [*STRICT, *SANITIZERS, str(SOURCES / f"{name}.c"), "-o", str(out)]
    command = ["gcc", *words, *flags("sealroute"), "-lm", "-lpthread"]
    subprocess.run(command, check=True, timeout=120)
    return out


@functools.cache
def compat_program() -> Path:
    """In C++, by the vendor's names alone."""
    out = prefix() / "vendors"
    words = ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-g", *SANITIZERS]
    command = ["g++", *words, str(SOURCES / "compat.cpp"), "-o", str(out), *flags("libopentok")]
    subprocess.run([*command, "-lpthread"], check=True, timeout=120)
    return out


def environment(server: Server | None = None, token: str = "") -> dict[str, str]:
    variables = {**os.environ, "LD_LIBRARY_PATH": str(prefix() / "lib")}
    variables.pop("SEALROUTE_URL", None)
    if server is not None:
        variables |= {"SEALROUTE_URL": server.url, "SEALROUTE_TOKEN": token}
    return variables


class Member:
    """One run of `member.c` in a session of a server."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.lines: list[dict] = []
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, server: Server, folder: Path, *commands: str) -> "Member":
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        words = (
            str(await asyncio.to_thread(program, "member")),
            server.api_key,
            server.session_id,
            str(folder),
        )
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(server, await server.token()),
        )
        member = cls(process, folder)
        for command in commands:
            member.command(command)
        return member

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def command(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    def told(self, event: str) -> list[dict]:
        return [line for line in self.lines if line["event"] == event]

    async def tells(self, event: str, count: int = 1) -> dict:
        await until(lambda: len(self.told(event)) >= count, A_WHILE_S)
        return self.told(event)[count - 1]

    async def answers(self, command: str) -> int:
        """What the call returned."""
        self.command(command)
        word = command.partition(" ")[0]
        before = len(self._results(word))
        await until(lambda: len(self._results(word)) > before, A_WHILE_S)
        return self._results(word)[-1]["number"]

    def _results(self, word: str) -> list[dict]:
        return [line for line in self.told("result") if line["detail"] == word]

    async def leave(self) -> int:
        """The exit code: what a sanitizer finds is none of 0."""
        if self.process.returncode is None:
            self.command("leave")
        await asyncio.wait_for(self._reader, A_WHILE_S)
        return await asyncio.wait_for(self.process.wait(), A_WHILE_S)
