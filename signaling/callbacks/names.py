"""Names of receivers become addresses in threads of their own.

The system's resolver cannot be cancelled. The owner of a name may answer late or never, and then a
thread waits for as long as the system does. In the loop's common threads a few such
names would hold up all that works there; here they hold up other names of their own project.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

asking: ContextVar[str] = ContextVar("asking", default="")
"""The project that a name is looked up for: the library passes nothing to its resolver."""
PART = 8
"""A project has at most this part of the threads."""
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
AddressInfo = tuple[int, int, int, str, tuple[str | int | bytes, ...]]
Lookup = Callable[[str, int, int], Sequence[AddressInfo]]
"""Of a host, a port and a family. Errors: `OSError`."""


def _look_up(host: str, port: int, family: int) -> Sequence[AddressInfo]:
    flags = socket.AI_ADDRCONFIG
    return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, flags)


class Names(AbstractResolver):
    """At most `threads` lookups at a time. One that has to wait for a thread does so within the
    time of its attempt."""

    def __init__(self, threads: int, look_up: Lookup = _look_up) -> None:
        self._look_up = look_up
        self._most = max(1, threads // PART)
        self._turns = asyncio.Semaphore(threads)
        self._turns_of: dict[str, asyncio.Semaphore] = {}
        """By project; there are as many as the operator made."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Errors: `OSError`."""
        turns = self._turns_of.setdefault(asking.get(), asyncio.Semaphore(self._most))
        await turns.acquire()
        try:
            await self._turns.acquire()
        except BaseException:
            turns.release()
            raise
        answer = self._asked(host, port, family)
        # Also of an attempt that is over by then: its thread is at work until the answer is there.
        for taken in (turns, self._turns):
            answer.add_done_callback(partial(_release, taken))
        await asyncio.wait({answer})
        return [
            _result(host, info)
            for info in answer.result()
            # Of IPv6 without its scope: such an address is none of the internet's.
            if len(info[4]) == 2 or not info[4][3]
        ]

    def _asked(self, host: str, port: int, family: int) -> "asyncio.Future[Sequence[AddressInfo]]":
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[AddressInfo]] = loop.create_future()

        def settle(found: Sequence[AddressInfo] | OSError) -> None:
            if isinstance(found, OSError):
                answer.set_exception(found)
                answer.exception()  # nobody may wait for it any more
            else:
                answer.set_result(found)

        def work() -> None:
            found: Sequence[AddressInfo] | OSError
            try:
                found = self._look_up(host, port, family)
            except OSError as failure:
                found = failure
            except ValueError as failure:  # a label that is no name, such as one that is too long
                found = OSError(str(failure))
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(settle, found)

        # A daemon: a server that ends does not wait for an answer.
        threading.Thread(target=work, name="callback-name", daemon=True).start()
        return answer

    async def close(self) -> None:
        """What is under way ends by itself."""


def _release(turns: asyncio.Semaphore, _: object) -> None:
    turns.release()


def _result(host: str, info: AddressInfo) -> ResolveResult:
    family, _, proto, _, address = info
    return ResolveResult(
        hostname=host,
        host=str(address[0]),
        port=int(address[1]),
        family=family,
        proto=proto,
        flags=_NUMERIC,
    )
