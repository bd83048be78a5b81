"""The body of a request, within its limits of size and time. Every route reads by this."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from signaling.domain.errors import BadRequest, ErrorCode
from signaling.http.websocket_connection import WebSocketConnection


def refuse_compressed(request: web.Request) -> None:
    """A few bytes could become any number. Errors: `body_invalid`."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", ""):
        raise BadRequest(
            ErrorCode.BODY_INVALID, "The body must not be compressed; leave out Content-Encoding."
        )


async def read_body(request: web.Request, limit: int, timeout_s: float) -> bytes:
    """All of it, in however many segments it comes; a stated length is believed first.

    Errors: `body_too_large`, `body_invalid`.
    """
    if not request.body_exists:
        return b""
    if (request.content_length or 0) > limit:
        raise BadRequest(ErrorCode.BODY_TOO_LARGE)
    refuse_compressed(request)
    body = bytearray()
    try:
        async with time_for(request, timeout_s):
            async for chunk in body_chunks(request):
                body += chunk
                if len(body) > limit:
                    raise BadRequest(ErrorCode.BODY_TOO_LARGE)
    except TimeoutError as cause:
        raise BadRequest(ErrorCode.BODY_INVALID, "The body took too long.") from cause
    return bytes(body)


def time_for(request: web.Request, timeout_s: float) -> asyncio.Timeout:
    """For a body, of what there is for the whole request: its head has used some of it."""
    connection = request.protocol
    if isinstance(connection, WebSocketConnection):
        timeout_s = connection.time_left(timeout_s)
    return asyncio.timeout(timeout_s)


async def body_chunks(request: web.Request) -> AsyncIterator[bytes]:
    """As they come; until the last one it is the client's turn."""
    connection = request.protocol
    stranger = connection if isinstance(connection, WebSocketConnection) else None
    if stranger is not None:
        stranger.await_client()
    async for chunk in request.content.iter_any():
        yield chunk
    if stranger is not None:
        stranger.work()
