"""The HLS server's process, as its server sees it: started with the first broadcast, started again
when it died."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from config.broadcast_settings import BroadcastSettings
from config.load import PREFIX
from config.settings import Settings
from signaling.http.listener import bound_sockets

log = structlog.get_logger(__name__)

PROGRAM = (sys.executable, "-P", "-m", "signaling.hls")
"""-P: the working directory may hold anybody's modules."""
RESTART_S = 0.5
END_S = 3.0
_READY = "ready"


class HlsProcess:
    """`fetched` is called with the id of each broadcast that somebody watches. Implements
    `HlsServer`."""

    fetched: Callable[[str], None]

    def __init__(self, settings: Settings, root: Path) -> None:
        self._settings = settings
        self._root = root
        self._bound: Sequence[socket.socket] = ()
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @property
    def port(self) -> int:
        """0 until it is open."""
        return int(self._bound[0].getsockname()[1]) if self._bound else 0

    async def open(self) -> None:
        """Binds the port. Errors: `OSError`."""
        broadcast, http = self._settings.broadcast, self._settings.http
        # As with operations: a server on any port is not in the way of another one.
        is_any = http.port == 0 and broadcast.port == BroadcastSettings().port
        self._bound = await bound_sockets(broadcast.host, 0 if is_any else broadcast.port)

    async def start(self) -> None:
        """Returns when viewers can be served; the second call finds it running."""
        if self._task is None and self._bound:
            self._task = asyncio.create_task(self._run())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), END_S)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for one in self._bound:
            one.close()

    async def _run(self) -> None:
        while True:
            try:
                await self._one_process()
            except OSError as failure:
                log.error("no HLS server", reason=failure.strerror)  # noqa: TRY400
            except ValueError:
                log.error("the HLS server said what is no word of its")  # noqa: TRY400
            log.warning("the HLS server ended; another one starts")
            await asyncio.sleep(RESTART_S)

    async def _one_process(self) -> None:
        descriptors = [one.fileno() for one in self._bound]
        process = await asyncio.create_subprocess_exec(
            *PROGRAM,
            pass_fds=descriptors,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=without_settings(os.environ),
            start_new_session=True,  # Ctrl-C in a terminal is the server's
        )
        try:
            if process.stdin is None or process.stdout is None:
                return
            process.stdin.write(msgspec.json.encode(self._orders(descriptors)) + b"\n")
            while line := await process.stdout.readline():
                word = line.decode("ascii", "replace").strip()
                if word == _READY:
                    self._ready.set()
                else:
                    self.fetched(word)
            await process.wait()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def _orders(self, descriptors: Sequence[int]) -> dict[str, object]:
        settings = self._settings
        return {
            "root": str(self._root.absolute()),
            "sockets": descriptors,
            "viewers_max": settings.broadcast.viewers_max,
            "trusted_proxies": settings.http.trusted_proxies,
            "tls_certificate": settings.http.tls_certificate,
            "tls_key": settings.http.tls_key,
            "log_level": settings.log.level,
            "log_format": settings.log.format,
        }


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Secrets may be among the settings, and what serves strangers needs none of them."""
    return {name: text for name, text in environment.items() if not name.startswith(PREFIX)}
