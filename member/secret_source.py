"""Where the encryption secret of a session comes from: a file, the environment, or a command of the
customer's key service."""

import asyncio
import math
import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

COMMAND_S = 15.0
MAX_BYTES = 4_096
"""256 code points are 1,024 bytes at most."""


class NoSecretError(Exception):
    """There is none for the session, or it cannot be read. Its words hold none of it."""


class SecretSource(Protocol):
    @property
    def renewal(self) -> "Renewal": ...

    async def secret_of(self, session: str) -> str:
        """Errors: `NoSecretError`."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """When a source is asked again while something is recorded, in seconds: as a rule, and after a
    doubt, at the soonest."""

    every_s: float
    doubted_s: float


@dataclass(frozen=True, slots=True)
class OneSecret:
    """The same for all sessions, and for good."""

    _secret: str = field(repr=False)
    renewal: Renewal = Renewal(math.inf, math.inf)

    async def secret_of(self, session: str) -> str:
        del session
        return self._secret


@dataclass(frozen=True, slots=True)
class SecretFile:
    """Read again and again: members wait for each other some seconds when they change theirs."""

    path: Path
    renewal: Renewal = Renewal(1.0, 1.0)

    async def secret_of(self, session: str) -> str:
        """Errors: `NoSecretError`."""
        del session
        return await asyncio.to_thread(read_line, self.path)


@dataclass(frozen=True, slots=True)
class SecretCommand:
    """Called with the session id as its last argument, and no shell. It prints the secret; with
    another exit code than 0 it says that the session is not to be recorded."""

    words: Sequence[str]
    renewal: Renewal = Renewal(60.0, 5.0)

    @classmethod
    def of(cls, text: str) -> "SecretCommand":
        return cls(tuple(shlex.split(text)))

    async def secret_of(self, session: str) -> str:
        """Errors: `NoSecretError`."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self.words,
                session,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            )
        except OSError as cause:
            raise NoSecretError("the command for the secret cannot be run") from cause
        try:
            async with asyncio.timeout(COMMAND_S):
                output, _ = await process.communicate()
        except TimeoutError:
            raise NoSecretError("the command for the secret took too long") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            raise NoSecretError("the command has no secret for the session")
        return _text(output)


def read_line(path: Path) -> str:
    """The text of a file without the end of its line. Errors: `NoSecretError`."""
    try:
        with path.open("rb") as opened:
            return _text(opened.read(MAX_BYTES + 1))
    except OSError as cause:
        raise NoSecretError(f"{path} cannot be read: {cause.strerror}") from cause


def _text(content: bytes) -> str:
    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise NoSecretError("the secret is not UTF-8") from None
    if not text or len(content) > MAX_BYTES or "\n" in text:
        raise NoSecretError("the secret is not one line of text")
    return text
