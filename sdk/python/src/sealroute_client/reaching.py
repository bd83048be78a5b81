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
    if isinstance(error, aiohttp.ClientSSLError):
        return "tls", "What listens at the server's address does not speak TLS"
    if isinstance(error, TimeoutError):
        return "timeout", "The server did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror):
        return "name", "The host name of the server is not known"
    number = error.errno if isinstance(error, OSError) else None
    return _BY_ERRNO.get(number or 0, ("unreachable", "The server cannot be reached"))
