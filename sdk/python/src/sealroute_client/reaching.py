"""Why a server could not be reached, in words that say where to look."""

import errno
import socket
import ssl
from typing import Final

import aiohttp

from sealroute_client.errors import ConnectFailed

_BY_ERRNO: Final = {
    errno.ECONNREFUSED: ("refused", "Nothing listens at the server's address"),
    errno.ENETUNREACH: ("unreachable", "There is no route to the server's address"),
    errno.EHOSTUNREACH: ("unreachable", "There is no route to the server's address"),
}


class Moved(aiohttp.ClientError):
    """The server names another address."""


async def _refuse_to_move(*_redirect: object) -> None:
    raise Moved("The server sends its clients to another address")


def http_session(timeout: aiohttp.ClientTimeout | None = None) -> aiohttp.ClientSession:
    """One that follows no redirect: a server has no say in where its clients connect to, be it a
    host of their own network or an address without TLS. What does raises `Moved`."""
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_to_move)
    return aiohttp.ClientSession(timeout=timeout or aiohttp.ClientTimeout(), trace_configs=[trace])


_BY_KIND: Final[tuple[tuple[tuple[type[BaseException], ...], str, str], ...]] = (
    ((Moved,), "moved", "The server sends its clients to another address; name that one"),
    (
        (aiohttp.ClientSSLError,),
        "tls",
        "What listens at the server's address does not speak TLS",
    ),
    ((TimeoutError,), "timeout", "The server did not answer in time"),
    (
        (aiohttp.ClientConnectorDNSError, socket.gaierror),
        "name",
        "The host name of the server is not known",
    ),
)


def unreached(error: BaseException) -> ConnectFailed:
    """What an attempt to open the WebSocket raised, as the error that the SDK raises."""
    reason, message = _cause_of(error)
    return ConnectFailed(message, reason=reason)


def _cause_of(error: BaseException) -> tuple[str, str]:
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return "status", f"The server answered {error.status}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        why = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else ""
        return "certificate", "The server's TLS certificate is not accepted" + (
            f": {why.rstrip('.')}" if why else ""
        )
    for kinds, reason, words in _BY_KIND:
        if isinstance(error, kinds):
            return reason, words
    number = error.errno if isinstance(error, OSError) else None
    return _BY_ERRNO.get(number or 0, ("unreachable", "The server cannot be reached"))
