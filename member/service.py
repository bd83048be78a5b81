"""The connection of a member service to the server: offers, takes orders to record, reports.

It comes again when it is lost. What was recorded until then is finished without the server.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from aiohttp import WSMsgType
from msgspec import Struct
from sealroute_client.reaching import http_session

from member.policy import Admission
from member.recording import Recording, Tools
from sfu.egress import member_lines as lines
from sfu.egress.control import LineError

log = logging.getLogger("sealroute.member")

WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
CONNECT_S = 15.0
REFUSALS_AT_ONCE = 200
REFUSALS_PER_S = 1.0
"""Of what a server asks for in vain. Each is a line in the log and an answer, so a server that asks
more often is left, and found again later."""
UNSENT_LINES = 1_000
"""Reports that wait for a server which does not read them. What was recorded needs none."""
CLOSE_S = 60.0
"""For files that are finished when the service is stopped."""


class Service:
    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._admission = Admission(tools.policy)
        self._recordings: dict[str, Recording] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusals = 0
        self._connected_s = 0.0
        """Both since the connection began."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then what is recorded is finished."""
        running = asyncio.create_task(self._stay())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
        for recording in self._recordings.values():
            recording.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        for task in (running, stopped, *self._tasks):
            task.cancel()
        await asyncio.gather(running, stopped, *self._tasks, return_exceptions=True)

    def doubt_secrets(self) -> None:
        """The operator says that they may have changed."""
        for recording in self._recordings.values():
            recording.doubt_secret()

    async def _stay(self) -> None:
        losses = 0
        while True:
            began_s = time.monotonic()
            try:
                await self._connection()
                log.warning("the server closed the connection")
            except (aiohttp.ClientError, OSError, TimeoutError) as failure:
                log.warning("no connection to the server: %s", _words(failure))
            except LineError as lie:
                log.error("the server says what no server says: %s", lie)  # noqa: TRY400
            losses = 0 if time.monotonic() - began_s > WAITS_S[-1] else losses + 1
            await asyncio.sleep(WAITS_S[min(losses, len(WAITS_S) - 1)])

    async def _connection(self) -> None:
        """Errors: `LineError`, and those of the network."""
        token = self._tools.key.rest_token(int(time.time()))
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        async with (
            http_session(timeout) as http,
            http.ws_connect(
                socket_url(self._tools.url),
                headers={"X-OPENTOK-AUTH": token},
                heartbeat=lines.HEARTBEAT_S,
                max_msg_size=lines.MAX_LINE_BYTES,
            ) as ws,
        ):
            self._refusals, self._connected_s = 0, time.monotonic()
            outbox: asyncio.Queue[str] = asyncio.Queue(UNSENT_LINES)
            writing = asyncio.create_task(_write(ws, outbox))
            outbox.put_nowait(lines.encode(lines.OfferLine(["archive"])))
            try:
                async for message in ws:
                    if message.type is not WSMsgType.TEXT:
                        raise LineError("it sends what is no text")
                    self._handle(lines.read_to_member(message.data), outbox)
            finally:
                writing.cancel()
                for recording in self._recordings.values():
                    recording.forget_server()

    def _handle(self, line: lines.ToMember, outbox: "asyncio.Queue[str]") -> None:
        def report(said: Struct) -> None:
            with suppress(asyncio.QueueFull):
                outbox.put_nowait(lines.encode(said))

        if outbox.full():
            raise LineError("it does not read what it asks for")

        match line:
            case lines.RegisteredLine():
                log.info("registered with the server")
            case lines.ArchiveLine():
                self._begin(line, report)
            case _:
                recording = self._recordings.get(line.archive)
                if recording is not None:
                    recording.handle(line)

    def _begin(self, line: lines.ArchiveLine, report: Callable[[Struct], None]) -> None:
        refusal = self._admission.refusal(line.archive, line.session, time.monotonic())
        if refusal is None and not self._tools.key.owns(line.session):
            self._admission.running.discard(line.archive)
            refusal = "refused"
        if refusal is not None:
            self._refusals += 1
            since_s = time.monotonic() - self._connected_s
            if self._refusals > REFUSALS_AT_ONCE + REFUSALS_PER_S * since_s:
                raise LineError("it asks for archives again and again in vain")
            log.warning("archive %s: %s", line.archive, refusal)
            report(lines.MemberFailedLine(line.archive, refusal))
            return
        recording = self._recordings[line.archive] = Recording(line, self._tools, report)
        task = asyncio.create_task(self._run(recording))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, recording: Recording) -> None:
        try:
            await recording.run()
        except Exception:
            log.exception("archive %s: a fault", recording.archive)
        finally:
            self._recordings.pop(recording.archive, None)
            self._admission.running.discard(recording.archive)


def socket_url(url: str) -> str:
    """Of the server's address, `http` or `https`."""
    parts = urlsplit(url)
    scheme = {"https": "wss", "http": "ws"}[parts.scheme]
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + lines.PATH, "", ""))


async def _write(ws: aiohttp.ClientWebSocketResponse, outbox: "asyncio.Queue[str]") -> None:
    with suppress(ConnectionError):
        while True:
            await ws.send_str(await outbox.get())


def _words(failure: BaseException) -> str:
    if isinstance(failure, aiohttp.WSServerHandshakeError):
        return f"it answered {failure.status}"
    return str(failure) or type(failure).__name__
