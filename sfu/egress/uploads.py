"""Uploads of finished archives as the server sees them: a process for each attempt.

The client of the object stores is in that process alone, and so are the credentials once they have
left the server: its standard input has the job, its standard output one word.
"""

import asyncio
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import msgspec

from sfu.egress.buckets import UploadFailure, UploadJob
from sfu.egress.control import NOT_JSON

log = logging.getLogger(__name__)

UPLOAD_PROGRAM = (sys.executable, "-P", "-m", "sfu.egress.uploading.process")
AT_ONCE = 2
LEAST_S = 600.0
LEAST_BYTES_PER_S = 65_536
"""A slower bucket counts as one that is away."""
_MAX_ANSWER_BYTES = 64


class UploadError(Exception):
    """An attempt that failed."""

    def __init__(self, code: UploadFailure) -> None:
        super().__init__(code)
        self.code = code


class BucketUploads(Protocol):
    """What uploads a file."""

    async def upload(self, job: UploadJob) -> None:
        """The object is in the bucket when this returns. Errors: `UploadError`."""


_ANSWER: msgspec.json.Decoder[UploadFailure | None] = msgspec.json.Decoder(UploadFailure | None)


def read_answer(line: bytes) -> UploadFailure | None:
    """What a process says at its end; None: all is in the bucket."""
    try:
        return _ANSWER.decode(line)
    except NOT_JSON:
        return "unreachable"


class Uploader:
    """Implements `BucketUploads`. Used on the event loop only."""

    def __init__(self, program: Sequence[str] = UPLOAD_PROGRAM) -> None:
        self._program = program
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def upload(self, job: UploadJob) -> None:
        async with self._turns:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._program,
                    env={},
                    cwd="/",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as failure:
                log.warning("an upload has no process: %s", failure.strerror)
                raise UploadError("unreachable") from failure
            await self._wait(process, job)

    @staticmethod
    async def _wait(process: asyncio.subprocess.Process, job: UploadJob) -> None:
        patience_s = LEAST_S + job.size_bytes / LEAST_BYTES_PER_S
        try:
            async with asyncio.timeout(patience_s):
                answer, _ = await process.communicate(msgspec.json.encode(job))
        except TimeoutError:
            answer = b""
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        failure = read_answer(answer[:_MAX_ANSWER_BYTES])
        if failure is not None:
            raise UploadError(failure)
