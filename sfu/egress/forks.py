"""The server's side of the zygote: starts it with the first job, asks it for children."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from msgspec import Struct

from sfu.egress.control import NOT_JSON, Count

log = logging.getLogger(__name__)


def program_of(zygote: str) -> tuple[str, ...]:
    """How a zygote's module is started. -P: the working directory may hold anybody's modules."""
    return (sys.executable, "-P", "-m", zygote)


ZYGOTE = program_of("sfu.egress.zygote")
COMPOSING_ZYGOTE = program_of("sfu.egress.composer.zygote")
START_S = 20.0
"""Loading takes a part of a second; on a machine that is short of everything much longer."""
CLOSE_S = 5.0
_ANSWER_BYTES = 1_024


class _Answer(Struct, frozen=True):
    number: Count
    pid: Count


def read_answer(message: bytes) -> _Answer:
    """What a zygote answered. Errors: those of `NOT_JSON`."""
    return msgspec.json.decode(message, type=_Answer)


class ForkError(Exception):
    """There is no child: the zygote cannot be started, or it died."""


class ChildProcess:
    """A child of the zygote. It is known by a descriptor, which no other process can have."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    async def wait(self) -> None:
        """Until the process has ended."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class Zygote:
    """Restarted with the next fork when it died; its children live on."""

    def __init__(self, program: Sequence[str] = ZYGOTE) -> None:
        self._program = program
        self._process: asyncio.subprocess.Process | None = None
        self._requests: socket.socket | None = None
        self._waiting: dict[int, asyncio.Future[ChildProcess]] = {}
        self._number = 0
        self._starting = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return None if self._requests is None or self._process is None else self._process.pid

    async def fork(self, descriptors: Sequence[int]) -> ChildProcess:
        """A child with these descriptors as its 3, 4. Errors: `ForkError`."""
        async with self._starting:
            requests = self._requests or await self._start()
        self._number += 1
        number = self._number
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            socket.send_fds(requests, [msgspec.json.encode({"number": number})], list(descriptors))
            return await asyncio.wait_for(answer, START_S)
        except (OSError, TimeoutError) as cause:
            raise ForkError("the recording process cannot be started") from cause
        finally:
            self._waiting.pop(number, None)

    async def load(self) -> None:
        """Starts it before it is needed: its first child waits for what it loads. Errors:
        `ForkError`."""
        async with self._starting:
            if self._requests is None:
                await self._start()

    async def close(self) -> None:
        """Ends the zygote. Children that still run complete their files."""
        process = self._process
        self._lost()
        await asyncio.gather(*self._ending)
        if process is None:
            return
        try:
            await asyncio.wait_for(process.wait(), CLOSE_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._program,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                env={},
                cwd="/",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in a terminal is the server's
            )
        except OSError as cause:
            ours.close()
            raise ForkError("the recording process cannot be started") from cause
        finally:
            theirs.close()
        self._requests = ours
        asyncio.get_running_loop().add_reader(ours, self._on_answer)
        return ours

    def _on_answer(self) -> None:
        if self._requests is None:
            return
        try:
            message, descriptors, _flags, _address = socket.recv_fds(
                self._requests, _ANSWER_BYTES, 1, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError:
            message, descriptors = b"", []
        if not message:
            log.warning("the zygote of the recording processes ended")
            self._end()
            return
        try:
            answer = read_answer(message)
            if descriptors:
                _check_process(descriptors[0])
        except (OSError, *NOT_JSON):
            log.warning("the zygote of the recording processes sent what is no answer")
            _close_all(descriptors)
            self._end()
            return
        self._take(answer, descriptors)

    def _take(self, answer: _Answer, descriptors: list[int]) -> None:
        waiting = self._waiting.pop(answer.number, None)
        if waiting is not None and not waiting.done() and descriptors:
            waiting.set_result(ChildProcess(answer.pid, descriptors[0]))
            return
        _close_all(descriptors)
        if waiting is not None and not waiting.done():
            waiting.set_exception(ForkError("the recording process ended at once"))

    def _end(self) -> None:
        """The next fork starts another one."""
        process = self._process
        self._lost()
        if process is not None:
            task = asyncio.get_running_loop().create_task(_killed(process))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def _lost(self) -> None:
        if self._requests is None:
            return
        asyncio.get_running_loop().remove_reader(self._requests)
        self._requests.close()
        self._requests = self._process = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ForkError("the zygote of the recording processes ended"))
        self._waiting.clear()


async def _killed(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _check_process(descriptor: int) -> None:
    """Errors: `OSError` for a descriptor of something else."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, 0)


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
