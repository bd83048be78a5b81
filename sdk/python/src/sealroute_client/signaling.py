"""The WebSocket to the server: requests and their answers, resuming, keep-alive."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp

from sealroute_client.checking import check_answer, check_message
from sealroute_client.codec import Message, decode, encode
from sealroute_client.credentials import Credentials
from sealroute_client.endings import FINAL
from sealroute_client.errors import (
    ConnectFailed,
    InvalidParameter,
    NotConnected,
    RequestTimeout,
    SealrouteError,
    ServerError,
    UnexpectedServerResponse,
)
from sealroute_client.overdue import OverdueAnswers
from sealroute_client.reaching import http_session, unreached
from sealroute_client.rules import (
    DEFAULT_GRACE_S,
    DEFAULT_KEEP_ALIVE_S,
    FIRST_RETRY_S,
    MAX_GRACE_S,
    MAX_KEEP_ALIVE_S,
    MAX_MESSAGE_BYTES,
    MAX_REQUEST_BYTES,
    MAX_RETRY_S,
    MIN_KEEP_ALIVE_S,
    OPEN_TIMEOUT_S,
    PASSING,
    RECONNECT_FOR_S,
    REQUEST_TIMEOUT_S,
    STAYED_UP_S,
    SUBPROTOCOL,
)

VERSION: Final = "0.1.0"
RESUME_UNKNOWN: Final = "resume_unknown"
READING_S: Final = 0.1
"""What has arrived is read within this time."""
STRUNG_ALONG: Final = (
    "The server took this client back again and again, and ended each connection at once; join "
    "again later"
)
SHUTDOWN: Final = "serverShutdown"
"""The reason of an end that is none: the server, or another one of its kind, will be back."""


class Signaling:
    """One logical connection that outlives its WebSockets within the server's grace time.

    `on_message` is called for what answers no request, `on_fault` for what is misshapen, `on_lost`
    and `on_resumed` around a lost socket, `on_closed` once with the reason when it is over.
    """

    def __init__(self, credentials: Credentials, hello: Message) -> None:
        self._credentials = credentials
        self._hello = hello
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Request] = {}
        self._overdue = OverdueAnswers()
        self._giving_back: set[asyncio.Task[None]] = set()
        self._reported: set[str] = set()
        """Kinds of misshapen messages that were reported: each once."""
        self._task: asyncio.Task[None] | None = None
        self._resume: str | None = None
        self._received = 0
        """Messages after the welcome of the present WebSocket; later ones come again."""
        self._grace_s = DEFAULT_GRACE_S
        self._keep_alive_s = DEFAULT_KEEP_ALIVE_S
        self._is_up = asyncio.Event()
        self._up_since_s = 0.0
        self._backoff_s = FIRST_RETRY_S
        self._lost_since_s: float | None = None
        """Since when no WebSocket has been of use."""
        self.connect_ms: int | None = None
        """How long the first WebSocket and the welcome over it took."""
        self.is_closed = False
        self.refusal: SealrouteError | None = None
        """Why the server did not take the client back."""
        self.on_message: Callable[[Message], None] = lambda _message: None
        self.on_fault: Callable[[SealrouteError], None] = lambda _error: None
        self.on_lost: Callable[[], None] = lambda: None
        self.on_resumed: Callable[[Message], None] = lambda _welcome: None
        self.on_closed: Callable[[str], None] = lambda _reason: None

    async def connect(self) -> Message:
        """The welcome; what comes after it waits for `start_reading`.

        Errors: InvalidParameter, ConnectFailed, ServerError, UnexpectedServerResponse."""
        _ = self._credentials.socket_url
        self._http = http_session()
        began_s = asyncio.get_running_loop().time()
        try:
            welcome = await self._open()
        except BaseException:
            await self._close_http()
            raise
        self.connect_ms = round(1000 * (asyncio.get_running_loop().time() - began_s))
        return welcome

    def start_reading(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def request(self, kind: str, **members: object) -> Message:
        """Sends and awaits the answer; while the socket is being replaced it waits for that. A
        member may be a function: its value is taken when the message goes out.

        Errors: ServerError, NotConnected, RequestTimeout, InvalidParameter,
        UnexpectedServerResponse.
        """
        if self.is_closed:
            raise NotConnected("The session is not connected")
        number = next(self._numbers)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = _Request(number, kind, future)
        answer: Message | None = None
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await self._send({"t": kind, "id": number, **members})
                answer = await future
        except TimeoutError:
            raise RequestTimeout(f"The server did not answer {kind}") from None
        finally:
            if answer is None:
                self._give_up(number, kind, future)
        return answer

    def _give_up(self, number: int, kind: str, answer: "asyncio.Future[Message]") -> None:
        """Nobody waits any more: the time is over, the socket is lost, or who asked was
        cancelled."""
        if self._waiting.pop(number, None) is not None:
            self._overdue.expect(number, kind)
        elif answer.done() and not answer.cancelled() and answer.exception() is None:
            # It came in the moment in which who asked was cancelled.
            self._overdue.expect(number, kind)
            self._on_overdue(answer.result())

    async def _send(self, message: Message) -> None:
        await self._is_up.wait()
        if self._socket is None:
            raise NotConnected("The session is not connected")
        data = encode(_evaluated(message))
        if len(data) > MAX_REQUEST_BYTES:
            raise InvalidParameter(f"The request {message['t']} is too large")
        try:
            await self._socket.send_bytes(data)
        except (ConnectionError, aiohttp.ClientError):
            # The reader sees the loss too, and fails what waits for an answer.
            raise NotConnected("The connection was lost") from None

    async def close(self) -> None:
        """Says goodbye and closes. Idempotent."""
        was_closed, self.is_closed = self.is_closed, True
        if not was_closed and self._socket is not None and not self._socket.closed:
            with contextlib.suppress(ConnectionError, aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(2):
                    await self._socket.send_bytes(encode({"t": "bye", "id": next(self._numbers)}))
                    await self._socket.close()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._close_http()

    async def _close_http(self) -> None:
        if self._socket is not None and not self._socket.closed:
            with contextlib.suppress(Exception):
                await self._socket.close()
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _open(self) -> Message:
        if self._http is None:
            raise NotConnected("The session is not connected")
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                socket = await self._http.ws_connect(
                    self._credentials.socket_url,
                    protocols=(SUBPROTOCOL,),
                    max_msg_size=MAX_MESSAGE_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
                )
        except (TimeoutError, OSError, aiohttp.ClientError) as error:
            raise unreached(error) from None
        try:
            welcome = await self._greet(socket)
        except BaseException:
            await socket.close()
            raise
        self._socket = socket
        self._up_since_s = asyncio.get_running_loop().time()
        self._is_up.set()
        return welcome

    async def _greet(self, socket: aiohttp.ClientWebSocketResponse) -> Message:
        if socket.protocol != SUBPROTOCOL:
            raise ConnectFailed("The server does not speak this client's protocol")
        number = next(self._numbers)
        received = None if self._resume is None else self._received
        resuming = {"resume": self._resume, "received": received}
        hello = {"t": "hello", "id": number, **self._hello, **resuming}
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                # Sending waits too: for a server that reads nothing.
                await socket.send_bytes(encode(hello))
                frame = await socket.receive()
        except TimeoutError:
            raise ConnectFailed("The server did not answer") from None
        except (ConnectionError, aiohttp.ClientError):
            raise ConnectFailed("The server closed the connection") from None
        if frame.type is not aiohttp.WSMsgType.BINARY:
            raise ConnectFailed("The server closed the connection")
        try:
            message = decode(frame.data)
        except ValueError:
            raise ConnectFailed("The server sent something that is no message") from None
        if message.get("re") not in (number, None) and message["t"] != "error":
            raise ConnectFailed("The server answered another request than the first")
        try:
            _answer("hello", message)
        except ServerError as refused:
            if refused.code == RESUME_UNKNOWN:
                # After a restart of the server, or too late: the next attempt joins again.
                self._resume = None
                raise ConnectFailed("The server does not know the connection any more") from None
            raise
        self._resume = str(message.get("resume", ""))
        self._received = 0
        self._grace_s = _milliseconds(message.get("graceMs"), self._grace_s, MAX_GRACE_S)
        self._keep_alive_s = _milliseconds(
            message.get("keepAliveMs"), self._keep_alive_s, MAX_KEEP_ALIVE_S
        )
        return message

    async def _run(self) -> None:
        reason = "networkDisconnected"
        try:
            while True:
                reason = await self._read() or reason
                if self.is_closed or not await self._take_up_again():
                    break
        finally:
            self.is_closed = True
            self._is_up.set()
            self._socket = None
            self._fail_waiting()
            self.on_closed(reason)

    async def _read(self) -> str | None:
        """Reads one socket to its end. Gives the reason when the server ended the session."""
        pinger = asyncio.create_task(self._ping())
        reason = None
        try:
            socket = self._socket
            while socket is not None:
                frame = await socket.receive()
                if frame.type is not aiohttp.WSMsgType.BINARY:
                    reason = self._on_close_code(socket.close_code)
                    break
                try:
                    message = decode(frame.data)
                except ValueError:
                    break
                self._received += 1
                is_whole = self._dispatch(message)
                if is_whole and message["t"] == "disconnected":
                    if message["reason"] != SHUTDOWN:
                        reason = str(message["reason"])
                        self.is_closed = True
                    break
        finally:
            pinger.cancel()
            await asyncio.gather(pinger, return_exceptions=True)
        return reason

    def _on_close_code(self, code: int | None) -> str | None:
        if code not in FINAL:
            return None
        self.refusal = FINAL[code]
        self.is_closed = True
        return "forceDisconnected"

    async def _ping(self) -> None:
        while self._socket is not None:
            await asyncio.sleep(self._keep_alive_s)
            before = self._received
            try:
                async with asyncio.timeout(self._keep_alive_s):
                    await self.request("ping", received=before)
            except (TimeoutError, RequestTimeout):
                # If the loop stood still, the answer may be there and not read yet.
                await asyncio.sleep(READING_S)
                if self._socket is not None and self._received == before:
                    await self._socket.close()
            except (ServerError, UnexpectedServerResponse):
                continue  # it answers: that is all that was asked
            except NotConnected:
                return

    def _dispatch(self, message: Message) -> bool:
        """False for a message of its own that is misshapen."""
        number = message.get("re")
        waiting = None
        if isinstance(number, int) and number is not True:  # which is 1 to a dict
            waiting = self._waiting.pop(number, None)
        if waiting is None:
            self._on_overdue(message)
            return self._hand_on(message)
        if waiting.answer.done():
            # Who asked has not run since it was given up.
            self._overdue.expect(waiting.number, waiting.kind)
            self._on_overdue(message)
            return True
        try:
            waiting.answer.set_result(_answer(waiting.kind, message))
        except SealrouteError as error:
            waiting.answer.set_exception(error)
        return True

    def _on_overdue(self, message: Message) -> None:
        """If it is an answer that nobody waits for, what it names is given back."""
        returned = self._overdue.take(message)
        if returned is not None:
            task = asyncio.create_task(self._give_back(*returned))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)

    async def _give_back(self, kind: str, named: dict[str, str]) -> None:
        with contextlib.suppress(SealrouteError):
            await self.request(kind, **named)

    def _hand_on(self, message: Message) -> bool:
        """False: it is misshapen, and nothing was made of it."""
        try:
            check_message(message)
            self.on_message(message)
        except UnexpectedServerResponse as error:
            kind = str(message["t"])
            if kind not in self._reported:
                self._reported.add(kind)
                self.on_fault(error)
            return False
        return True

    def _fail_waiting(self) -> None:
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(NotConnected("The connection was lost"))

    async def _take_up_again(self) -> bool:
        """Reconnects with back-off: within the server's grace time to the same connection, later,
        or after a restart of the server, to another one of the same session."""
        self._is_up.clear()
        self._fail_waiting()
        self.on_lost()
        await self._leave_socket()
        loop = asyncio.get_running_loop()
        is_useless = loop.time() - self._up_since_s < STAYED_UP_S
        if self._lost_since_s is None or not is_useless:
            self._lost_since_s, self._backoff_s = loop.time(), FIRST_RETRY_S
        # A server that lets the client in and ends it at once, as one in a loop of restarts, has no
        # more time than one that does not answer.
        deadline = self._lost_since_s + max(self._grace_s, RECONNECT_FOR_S)
        if is_useless:
            await self._pause()
            if loop.time() >= deadline:
                self.refusal = ConnectFailed(STRUNG_ALONG)
                return False
        while loop.time() < deadline:
            try:
                welcome = await self._open()
            except (ServerError, ConnectFailed, UnexpectedServerResponse) as error:
                if not isinstance(error, ConnectFailed) and error.code not in PASSING:
                    self.refusal = error
                    return False
                await self._pause()
                continue
            self.on_resumed(welcome)
            return True
        return False

    async def _leave_socket(self) -> None:
        """Its server may leave it open: it would stay so beside each that follows."""
        socket, self._socket = self._socket, None
        if socket is not None and not socket.closed:
            with contextlib.suppress(Exception):
                await socket.close()

    async def _pause(self) -> None:
        await asyncio.sleep(self._backoff_s * random.uniform(0.5, 1.0))  # noqa: S311
        self._backoff_s = min(2 * self._backoff_s, MAX_RETRY_S)


@dataclass(frozen=True, slots=True)
class _Request:
    """One that waits for its answer."""

    number: int
    kind: str
    answer: asyncio.Future[Message]


def _answer(request: str, message: Message) -> Message:
    """Errors: ServerError, UnexpectedServerResponse."""
    if message["t"] == "error":
        check_message(message)
        raise ServerError.from_wire(message)
    check_answer(request, message)
    return message


def _evaluated(message: Message) -> Message:
    return {name: value() if callable(value) else value for name, value in message.items()}


def _milliseconds(value: object, default_s: float, max_s: float) -> float:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        return default_s
    return min(max(value / 1000, MIN_KEEP_ALIVE_S), max_s)
