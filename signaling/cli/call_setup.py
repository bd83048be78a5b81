"""Who calls in a test call: a session and two tokens, of a temporary project or of a given one."""

import asyncio
import json
import secrets
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request

from config.load import ConfigurationError
from signaling import administration
from signaling.cli.call_record import CallFailure
from signaling.cli.straight import NOT_AN_ANSWER, open_straight
from signaling.clock import Clock
from signaling.domain.projects import Project
from signaling.domain.rest_credentials import new_rest_token
from signaling.domain.roles import Role
from signaling.domain.tokens import TokenClaims, new_client_token
from signaling.storage.base import Store

TEMPORARY = "sealroute doctor --call (temporary)"
TIMEOUT_S = 5
MAX_ANSWER_BYTES = 65_536
TOKEN_LIFETIME_S = 120
"""Tokens are used at once. It allows for a call of the longest length, and clocks that differ."""
_HTTP = {"ws": "http", "wss": "https", "http": "http", "https": "https"}


@dataclass(frozen=True, slots=True)
class Invitation:
    url: str
    api_key: str
    session_id: str
    tokens: tuple[str, str] = field(repr=False)
    """Of the sender and of the receiver."""


class SetupError(Exception):
    """The server gave no session."""

    def __init__(self, failure: CallFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def web_url(url: str) -> str:
    """The server's address for HTTP; `ws` and `wss` are taken as well. Errors:
    `ConfigurationError`."""
    parts = urlsplit(url)
    scheme = _HTTP.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise ConfigurationError("--url begins with http://, https://, ws:// or wss://")
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


@asynccontextmanager
async def in_temporary_project(store: Store, clock: Clock, url: str) -> AsyncIterator[Invitation]:
    """A project of its own, so that no application learns of the call; nothing of it remains."""
    project = await administration.create_project(store, clock, name=TEMPORARY, e2ee_enabled=True)
    try:
        record = await administration.create_session(store, clock, project.api_key, {"e2ee": True})
        yield _invitation(project, record.session_id, url, clock.unix_s())
    finally:
        await store.remove_project(project.api_key)


async def in_given_project(project: Project, clock: Clock, url: str) -> Invitation:
    """As an application does it: the session by REST, the tokens by the secret. Errors:
    `SetupError`."""
    session_id = await asyncio.to_thread(_session_by_rest, project, url, int(clock.unix_s()))
    return _invitation(project, session_id, url, clock.unix_s())


def _invitation(project: Project, session_id: str, url: str, now_s: float) -> Invitation:
    def token() -> str:
        claims = TokenClaims(session_id, Role.PUBLISHER, now_s + TOKEN_LIFETIME_S)
        return new_client_token(project, claims, int(now_s), secrets.randbelow(1_000_000))

    return Invitation(url, project.api_key, session_id, (token(), token()))


def project_in(file: str) -> Project:
    """The project whose credentials `sealroute project create --json` printed into a file. Errors:
    `ConfigurationError`."""
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
        key, secret = found["apiKey"], found["apiSecret"]
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise ConfigurationError(
            f"{file} is not a file with apiKey and apiSecret, as `sealroute project create --json`"
            " prints them"
        ) from cause
    return Project(str(key), str(secret), str(found.get("applicationId", "")))


def _session_by_rest(project: Project, url: str, now_s: int) -> str:
    request = Request(  # noqa: S310 - `web_url` allows http and https only
        f"{url}/session/create",
        data=b"e2ee=true",
        headers={
            "X-OPENTOK-AUTH": new_rest_token(project, now_s),
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )
    try:
        with open_straight(request, TIMEOUT_S) as answer:
            return str(json.loads(answer.read(MAX_ANSWER_BYTES))[0]["session_id"])
    except HTTPError as failure:
        with failure:
            message = _message(failure.read(MAX_ANSWER_BYTES)) or f"status {failure.code}"
        raise SetupError(CallFailure("session", f"status_{failure.code}", message)) from failure
    except (URLError, OSError) as failure:
        cause = failure.reason if isinstance(failure, URLError) else failure
        reason, message = _unreached(cause)
        raise SetupError(CallFailure("signaling", "connect_failed", message, reason)) from failure
    except (*NOT_AN_ANSWER, LookupError, TypeError) as failure:
        message = "The answer to POST /session/create is not Sealroute's"
        raise SetupError(CallFailure("session", "status", message, "status")) from failure


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, LookupError, TypeError):
        return ""


def _unreached(cause: object) -> tuple[str, str]:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            "certificate",
            f"The server's TLS certificate is not accepted: {cause.verify_message}",
        )
    for kind, reason, message in (
        (ssl.SSLError, "tls", "What listens at the server's address does not speak TLS"),
        (ConnectionRefusedError, "refused", "Nothing listens at the server's address"),
        (socket.gaierror, "name", "The host name of the server is not known"),
        (TimeoutError, "timeout", "The server did not answer in time"),
    ):
        if isinstance(cause, kind):
            return reason, message
    return "unreachable", "The server cannot be reached"
