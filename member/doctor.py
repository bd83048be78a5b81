"""`sealroute-member doctor`: what would keep this service from recording, before it is needed.

It connects as the service does and offers nothing, so the server asks it for no archive.
"""

import asyncio
import importlib.util
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple

import aiohttp
from sealroute_client.reaching import http_session

from member.policy import ANY
from member.recording import Tools
from member.secret_source import NoSecretError, SecretCommand
from member.service import CONNECT_S, socket_url
from sfu.egress import landlock
from sfu.egress.member_lines import PATH

COMPOSING = ("av", "numpy")
UPLOADING = "obstore"
MAX_SKEW_S = 60.0
"""Tokens hold for longer; a clock that is further off is wrong."""
_NOT_TAKEN = "it does not take the API secret, or the clock of this machine is wrong"
_REASONS = {
    401: _NOT_TAKEN,
    403: _NOT_TAKEN,
    404: f"it has no {PATH}: it is older, or a proxy keeps the path to itself",
}
State = Literal["ok", "warning", "error"]
_MARKS: dict[State, str] = {"ok": " ok ", "warning": "WARN", "error": "FAIL"}


class Finding(NamedTuple):
    check: str
    state: State
    text: str

    def __str__(self) -> str:
        return f"[{_MARKS[self.state]}] {self.check}: {self.text}"


async def examine(tools: Tools) -> list[Finding]:
    """None of the checks stops the others."""
    found = [*_programs(uploads=tools.uploads is not None), *_folder(tools)]
    found += [one async for one in _secrets(tools)]
    return [*found, *await _server(tools)]


def _programs(*, uploads: bool) -> Iterator[Finding]:
    absent = [name for name in COMPOSING if importlib.util.find_spec(name) is None]
    if absent:
        text = f"not installed: {', '.join(absent)}; composed archives fail, individual ones work"
        yield Finding("codecs", "warning", text)
    else:
        yield Finding("codecs", "ok", "composed archives can be made")
    if uploads and importlib.util.find_spec(UPLOADING) is None:
        yield Finding("bucket", "error", "obstore is not installed: archives stay in the folder")
    version = landlock.version()
    if version:
        yield Finding("confinement", "ok", f"Landlock {version}")
    else:
        text = "this kernel has no Landlock: what decodes may read the files of this user"
        yield Finding("confinement", "warning", text)


def _folder(tools: Tools) -> Iterator[Finding]:
    folder, least = tools.folder, tools.policy.min_free_bytes
    probe = folder / ".doctor"
    try:
        probe.touch(mode=0o600)
        probe.unlink()
        free = shutil.disk_usage(folder).free
        mode = folder.stat().st_mode & 0o077
    except OSError as failure:
        yield Finding("folder", "error", f"{folder}: {failure.strerror}")
        return
    if mode:
        yield Finding("folder", "warning", f"{folder} can be read by others: chmod 700")
    state: State = "ok" if free >= least else "error"
    text = f"{free // 1_000_000} MB free in {folder}, {least // 1_000_000} are needed"
    yield Finding("folder", state, text)


async def _secrets(tools: Tools) -> AsyncIterator[Finding]:
    """Of each session that is named. A source that has one secret for all is asked for it."""
    named = tools.policy.sessions
    if named is None and isinstance(tools.secrets, SecretCommand):
        text = "the command is not tried: it takes a session, and --allow names none"
        yield Finding("secret", "warning", text)
        return
    for session in sorted(named or {ANY}):
        name = "secret" if named is None else f"secret of {session}"
        try:
            await tools.secrets.secret_of(session)
        except NoSecretError as failure:
            yield Finding(name, "error", str(failure))
        else:
            yield Finding(name, "ok", "there is one")
        if named is not None and not tools.key.owns(session):
            yield Finding(name, "error", "the session is of another project")


async def _server(tools: Tools) -> list[Finding]:
    headers = {"X-OPENTOK-AUTH": tools.key.rest_token(int(time.time()))}
    found: list[Finding] = []
    try:
        async with asyncio.timeout(CONNECT_S), http_session() as http:
            async with http.get(f"{tools.url.rstrip('/')}/healthz") as answer:
                found += _clock(answer.headers.get("Date"))
            async with http.ws_connect(socket_url(tools.url), headers=headers):
                found.append(Finding("server", "ok", f"{tools.url} takes this service"))
    except aiohttp.WSServerHandshakeError as refused:
        reason = _REASONS.get(refused.status, "is it the address of the server?")
        text = f"{tools.url} answered {refused.status}: {reason}"
        found.append(Finding("server", "error", text))
    except (aiohttp.ClientError, OSError, TimeoutError) as failure:
        text = f"{tools.url}: {str(failure) or type(failure).__name__}"
        found.append(Finding("server", "error", text))
    return found


def _clock(date: str | None) -> list[Finding]:
    """`date`: when the server answered, as it says."""
    if date is None:
        return []
    try:
        skew_s = time.time() - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return []
    if abs(skew_s) > MAX_SKEW_S:
        return [Finding("clock", "error", f"{abs(skew_s):.0f} s off the server's")]
    return [Finding("clock", "ok", "as the server's")]


def report(found: list[Finding]) -> tuple[str, bool]:
    """The text, and whether nothing is in the way."""
    return "\n".join(map(str, found)), all(one.state != "error" for one in found)
