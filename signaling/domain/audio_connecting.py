"""Audio Connectors: where one connects to, what it says there, and whom it hears; pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from sfu.ids import ConnectionId, StreamId
from signaling.domain.errors import BadRequest, ErrorCode
from signaling.domain.session_state import SessionState

MAX_MIXED = 50
"""Streams that are mixed, the oldest first."""
MAX_URI_CHARS = 2_048
MAX_HEADER_BYTES = 512
MAX_STATIC_BYTES = 4_096
"""Of the members that come with each JSON message, 50 times a second."""
_PORTS = {"ws": 80, "wss": 443}
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x20-\x7e\x80-\U0010ffff]*")
_RESOURCE = re.compile(r"[\x21-\x7e]*")
_OWN = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "origin",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    }
)
_OWN_PREFIXES = ("sec-", "x-opentok-ws-")


@dataclass(frozen=True, slots=True)
class Target:
    """`resource`: path and query, as they are sent."""

    host: str
    port: int
    resource: str
    secure: bool


def target_of(uri: str) -> Target:
    """Errors: `invalid_parameter`."""
    try:
        parts = urlsplit(uri)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode()
    except (UnicodeError, ValueError):
        raise _invalid("'uri' is not a WebSocket address") from None
    if parts.scheme not in _PORTS or not host or len(uri) > MAX_URI_CHARS or port == 0:
        raise _invalid("'uri' must be a ws:// or wss:// address")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _invalid("'uri' cannot have credentials or a fragment: send 'headers'")
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _RESOURCE.fullmatch(resource):
        raise _invalid("'uri' must be escaped")
    return Target(host, port or _PORTS[parts.scheme], resource, parts.scheme == "wss")


def check_headers(headers: Mapping[str, str]) -> None:
    """Errors: `invalid_parameter`."""
    size = sum(len(name.encode()) + len(value.encode()) for name, value in headers.items())
    if size > MAX_HEADER_BYTES:
        raise _invalid(f"'headers' have more than {MAX_HEADER_BYTES} bytes")
    for name, value in headers.items():
        lower = name.lower()
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or "\x7f" in value:
            raise _invalid("'headers' must be valid headers of HTTP")
        if lower in _OWN or lower.startswith(_OWN_PREFIXES):
            raise _invalid("'headers' cannot set headers of the connection itself")


def upgrade_headers(
    headers: Mapping[str, str], session: str, connection: str, connector: str
) -> dict[str, str]:
    """Those of the upgrade request: the caller's, and what official connector servers read."""
    return {
        **headers,
        "x-opentok-ws-sessionid": session,
        "x-opentok-ws-connectionid": connection,
        "x-opentok-ws-conferenceid": connector,
    }


def mixed_streams(
    state: SessionState, own: ConnectionId, selected: frozenset[str] | None
) -> tuple[StreamId, ...]:
    """The oldest first. Nobody hears itself. `selected`: None for all, newcomers too."""
    found = [
        name
        for name, stream in state.streams.items()
        if stream.live
        and stream.owner != own
        and "audio" in stream.mids.values()
        and (selected is None or name in selected)
    ]
    return tuple(found[:MAX_MIXED])


def _invalid(text: str) -> BadRequest:
    return BadRequest(ErrorCode.INVALID_PARAMETER, f"{text}.")
