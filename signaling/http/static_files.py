"""The web apps and the browser SDK that are packaged with the server."""

import re
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from signaling.domain.errors import DomainError, ErrorCode, error

WEB_ROOT = Path(__file__).parent.parent / "web"
# The SDK's frame worker is made from a blob; nothing else comes from elsewhere, and nothing goes
# anywhere but to this server.
_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; worker-src 'self' blob:; "
    "connect-src 'self'{sockets}; media-src 'self' blob: mediastream:; "
    "img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HOST = re.compile(r"[A-Za-z0-9.\-]{1,255}(:[0-9]{1,5})?|\[[0-9a-fA-F:.]{2,45}\](:[0-9]{1,5})?")
PERMISSIONS_POLICY = (
    "camera=(self), microphone=(self), display-capture=(self), fullscreen=(self), "
    "geolocation=(), payment=(), usb=(), serial=(), hid=(), midi=()"
)


def content_security_policy(host: str) -> str:
    """`host` is the one that was asked for: not every browser counts WebSockets to it as 'self'."""
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return _CONTENT_SECURITY_POLICY.format(sockets=sockets)


_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".ts": "text/plain; charset=utf-8",
    # What the SDK's filters load.
    ".wasm": "application/wasm",
    ".tflite": "application/octet-stream",
    ".binarypb": "application/octet-stream",
}
_ENCODINGS = {"br": ".br", "gzip": ".gz"}
"""What the library looks for beside a file, in its order, when the client accepts it."""


def find_file(root: Path, raw_path: str) -> Path | None:
    """The file of a request path; a folder means its index.html. Nothing outside `root`."""
    parts = [unquote(part) for part in raw_path.split("/") if part]
    if any(part.startswith(".") or "/" in part or "\0" in part for part in parts):
        return None
    try:
        path = root.joinpath(*parts)
        if path.is_dir():
            path = path / "index.html"
        inside = path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, ValueError):
        return None
    return path if inside and path.is_file() and path.suffix in _TYPES else None


def _served(request: web.Request, path: Path) -> Path:
    """The file, or what the build compressed of it: the library sends that, and its tag."""
    accepted = request.headers.get("Accept-Encoding", "").lower()
    beside = (
        path.with_name(path.name + ending)
        for encoding, ending in _ENCODINGS.items()
        if encoding in accepted
    )
    return next((file for file in beside if file.is_file()), path)


def refusal_of(request: web.Request, path: Path) -> DomainError | None:
    """What the request asks of a file and cannot have; the library would say so without a word."""
    found = _served(request, path).stat()
    tags = request.if_match
    unchanged_since = request.if_unmodified_since
    if tags is not None and not {f"{found.st_mtime_ns:x}-{found.st_size:x}", "*"} & {
        tag.value for tag in tags
    }:
        return error(ErrorCode.PRECONDITION_FAILED)
    if tags is None and unchanged_since and found.st_mtime > unchanged_since.timestamp():
        return error(ErrorCode.PRECONDITION_FAILED)
    try:
        begin = request.http_range.start
    except ValueError:
        return error(ErrorCode.RANGE_INVALID)
    return error(ErrorCode.RANGE_INVALID) if (begin or 0) >= max(found.st_size, 1) else None


def file_response(path: Path, host: str) -> web.FileResponse:
    return web.FileResponse(
        path,
        headers={
            "Content-Type": _TYPES[path.suffix],
            "Content-Security-Policy": content_security_policy(host),
            "Permissions-Policy": PERMISSIONS_POLICY,
            "Cache-Control": "no-cache",
            "Vary": "Accept-Encoding",
            # Pages of other origins load the SDK as a module.
            "Access-Control-Allow-Origin": "*",
        },
    )
