"""What a browser asks of its proxy (RFC 9110, 9112): the head of a request, and what of it goes on;
pure.

Everything here may come from a page that wants out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_HEAD_BYTES = 65_536
END = b"\r\n\r\n"
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
    }
)


class RequestError(Exception):
    """Not a request that a browser sends to a proxy."""


@dataclass(frozen=True, slots=True)
class Request:
    """`tunnel`: a CONNECT. `path` is what goes on to the server; `body_bytes` follow the head."""

    method: str
    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...]
    body_bytes: int = 0

    @property
    def tunnel(self) -> bool:
        return self.method == "CONNECT"


def read_request(head: bytes) -> Request:
    """Of a head with its empty line. Errors: `RequestError`."""
    method, target, headers = _lines(head)
    if method == "CONNECT":
        host, port = _authority(f"//{target}", None)
        return Request(method, host, port, "", headers)
    if not target.lower().startswith("http://"):
        raise RequestError("neither a tunnel nor a request for http")
    host, port = _authority(target, 80)
    parts = urlsplit(target)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Request(method, host, port, path, headers, _body_bytes(headers))


def origin_head(request: Request) -> bytes:
    """The head for the server itself. One request on a connection: what follows is not read as
    another one that nobody has checked."""
    kept = [
        (name, value)
        for name, value in request.headers
        if name.lower() not in _HOP_BY_HOP and name.lower() != "host"
    ]
    host = f"[{request.host}]" if ":" in request.host else request.host
    shown = host if request.port == 80 else f"{host}:{request.port}"
    return _head(
        f"{request.method} {request.path} HTTP/1.1",
        (("Host", shown), *kept, ("Connection", "close")),
    )


def without_origin(head: bytes, path: str) -> bytes:
    """The upgrade of a WebSocket, as from a client that is no page. Errors: `RequestError` for any
    other request than one for this path."""
    method, target, headers = _lines(head)
    if method != "GET" or target.partition("?")[0] != path:
        raise RequestError("not the WebSocket")
    kept = tuple((name, value) for name, value in headers if name.lower() != "origin")
    return _head(f"{method} {target} HTTP/1.1", kept)


def _lines(head: bytes) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    try:
        first, *rest = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        method, target, version = first.split(" ")
    except ValueError:
        raise RequestError("not a request") from None
    if not version.startswith("HTTP/1.") or not method.isalpha() or not target.isascii():
        raise RequestError("not a request")
    if any(character in "\x00\r\n" for line in (first, *rest) for character in line):
        raise RequestError("not a request")
    return method, target, tuple(_header(line) for line in rest)


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name or name != name.strip() or any(one in name for one in " \t"):
        raise RequestError("not a header")
    return name, value.strip()


def _authority(target: str, default_port: int | None) -> tuple[str, int]:
    try:
        parts = urlsplit(target)
        host, port = (parts.hostname or "").rstrip("."), parts.port or default_port
    except ValueError:
        raise RequestError("not an address") from None
    if not host or not port or parts.username is not None or len(host) > 255:
        raise RequestError("not an address")
    return host, port


def _body_bytes(headers: Iterable[tuple[str, str]]) -> int:
    sizes = {value for name, value in headers if name.lower() == "content-length"}
    if any(name.lower() == "transfer-encoding" for name, _ in headers) or len(sizes) > 1:
        raise RequestError("a body of unknown size")
    size = sizes.pop() if sizes else "0"
    if not (size.isascii() and size.isdigit() and len(size) <= 15):
        raise RequestError("a body of unknown size")
    return int(size)


def _head(first: str, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1") + END
