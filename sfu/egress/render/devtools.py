"""Chromium's DevTools protocol over its pipe: JSON, a NUL after each message.

The browser at the other end runs whatever pages bring: what it says is checked where it is used.
"""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

MAX_MESSAGE_BYTES = 4_194_304
CALL_S = 10.0
_END = b"\0"
_MAX_TEXT = 200

OnEvent = Callable[[str, Mapping[str, Any], str], None]
"""Of the event's name, its parameters, and the session of its tab ("" for the browser's own)."""


class BrowserError(Exception):
    """The browser is gone, refused, or did not answer in time. The text is for the log."""


class NoAnswerError(BrowserError):
    """It did not answer in time."""


class ScriptError(BrowserError):
    """A script threw: the text is what it threw."""


class DevTools:
    """Commands to one browser. `over` is set when it is gone."""

    def __init__(self, on_event: OnEvent) -> None:
        self.over = asyncio.Event()
        self._on_event = on_event
        self._waiting: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._number = 0
        self._writer: asyncio.WriteTransport | None = None
        self._reading: asyncio.Task[None] | None = None
        self._read_end: asyncio.BaseTransport | None = None

    async def open(self, to_browser: int, from_browser: int) -> None:
        """Takes both descriptors over."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MAX_MESSAGE_BYTES)
        self._read_end, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(from_browser, "rb", 0)
        )
        self._writer, _ = await loop.connect_write_pipe(
            asyncio.BaseProtocol, os.fdopen(to_browser, "wb", 0)
        )
        self._reading = loop.create_task(self._read(reader))

    async def call(
        self,
        method: str,
        parameters: Mapping[str, object] | None = None,
        *,
        session: str = "",
        within_s: float = CALL_S,
    ) -> Mapping[str, Any]:
        """The result of a command. Errors: `BrowserError`."""
        if self._writer is None or self.over.is_set():
            raise BrowserError("the browser is gone")
        self._number += 1
        number = self._number
        message: dict[str, object] = {"id": number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps(message).encode() + _END)
        try:
            return await asyncio.wait_for(answer, within_s)
        except TimeoutError:
            raise NoAnswerError(f"no answer to {method}") from None
        finally:
            self._waiting.pop(number, None)

    async def evaluate(
        self, session: str, script: str, *, within_s: float = CALL_S, gesture: bool = False
    ) -> Any:  # noqa: ANN401 - whatever a page makes of it
        """The value of a script, awaited. Errors: `BrowserError`."""
        asked = {
            "expression": script,
            "awaitPromise": True,
            "returnByValue": True,
            "userGesture": gesture,
        }
        found = await self.call("Runtime.evaluate", asked, session=session, within_s=within_s)
        if "exceptionDetails" in found:
            raise ScriptError(_exception(found))
        result = found.get("result")
        return result.get("value") if isinstance(result, dict) else None

    def close(self) -> None:
        self._lost()
        if self._reading is not None:
            self._reading.cancel()
        for end in (self._read_end, self._writer):
            if end is not None:
                end.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        # Whatever it is that comes, a browser that does not speak DevTools is gone.
        with suppress(OSError, EOFError, ValueError, RecursionError, asyncio.LimitOverrunError):
            while True:
                message = json.loads((await reader.readuntil(_END))[:-1])
                if isinstance(message, dict):
                    self._take(message)
        self._lost()

    def _take(self, message: dict[str, Any]) -> None:
        number = message.get("id")
        waiting = self._waiting.get(number) if isinstance(number, int) else None
        if waiting is None:
            method, given = message.get("method"), message.get("params")
            session = message.get("sessionId", "")
            if isinstance(method, str) and isinstance(given, dict) and isinstance(session, str):
                self._on_event(method, given, session)
        elif not waiting.done():
            result = message.get("result")
            if isinstance(result, dict):
                waiting.set_result(result)
            else:
                waiting.set_exception(
                    BrowserError(f"refused: {str(message.get('error'))[:_MAX_TEXT]}")
                )

    def _lost(self) -> None:
        self.over.set()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(BrowserError("the browser is gone"))


def _exception(found: Mapping[str, Any]) -> str:
    details = found["exceptionDetails"]
    thrown = details.get("exception") if isinstance(details, dict) else None
    text = thrown.get("description") if isinstance(thrown, dict) else None
    return str(text or details).partition("\n")[0].removeprefix("Error: ")[:_MAX_TEXT]
