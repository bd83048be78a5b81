"""The HTTP server under the application: also what is no HTTP request is answered in JSON.

The library would repeat the peer's bytes in its answer and in its log; there could be a token
among them.
"""

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from signaling.domain.errors import BadRequest, ErrorCode, Unavailable
from signaling.rest.answers import error_answer

log = structlog.get_logger(__name__)


class _Connection(RequestHandler):
    """One connection of a peer."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - holds the peer's bytes
    ) -> web.StreamResponse:
        """Errors: `ConnectionError` when the answer has begun already."""
        if status >= 500:
            log.error("request failed", exc_info=exc)
            answer = error_answer(Unavailable(ErrorCode.INTERNAL))
        else:
            log.info("no HTTP request", reason=type(exc).__name__)
            answer = error_answer(
                BadRequest(ErrorCode.BODY_INVALID, "This is no valid HTTP request.")
            )
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        response = web.Response(
            status=answer.status,
            body=answer.body,
            headers={"Content-Type": answer.content_type, "Server": "Sealroute"},
        )
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> _Connection:
        return _Connection(self, loop=self._loop, **self._kwargs)


class HttpRunner(web.AppRunner):
    """Runs an application; the other parts of the library are as they come."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            loop=made._loop,  # noqa: SLF001 - a twin of the library's own
            **made._kwargs,  # noqa: SLF001 - the same
        )
