"""POST requests to applications, with limits on the time and on the size of the answer read."""

import ssl
import uuid
from dataclasses import dataclass
from enum import StrEnum

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from sfu.target_policy import TargetPolicy, TargetRefused
from signaling.callbacks.names import Names, asking
from signaling.callbacks.targets import GuardedResolver
from signaling.domain.callbacks import authorization
from signaling.domain.projects import Project

EVENT_ID_HEADER = "Sealroute-Event-Id"
_USER_AGENT = "Sealroute-Callbacks/1"
# A shorter answer is read completely, so that the connection can be reused.
_ANSWER_BYTES = 4_096


class Result(StrEnum):
    """The result of an attempt. It is a metrics label, so the set is closed."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    FAILED = "failed"
    REDIRECTED = "redirected"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    TLS = "tls_failed"
    FORBIDDEN = "target_forbidden"


@dataclass(frozen=True, slots=True)
class Sent:
    """`status`: the HTTP status of the answer, if there was one."""

    result: Result
    status: int | None = None

    def __str__(self) -> str:
        return self.result.value if self.status is None else f"{self.result.value} {self.status}"


class Sender:
    """Posts bodies and owns its HTTP connections; `close` it on the loop that created it. `names`:
    what looks names up."""

    def __init__(
        self,
        policy: TargetPolicy,
        *,
        timeout_s: float,
        connections: int,
        names: AbstractResolver | None = None,
    ) -> None:
        self._policy = policy
        resolver = GuardedResolver(policy, names or Names(connections))
        connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, limit=connections)
        self._http = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": _USER_AGENT, "Content-Type": "application/json"},
            auto_decompress=False,
        )

    async def post(
        self, project: Project, url: str, event_id: str, body: bytes, now_s: int
    ) -> Sent:
        """Never raises for faults of the receiver. `now_s`: Unix time of the signature."""
        headers = {
            "Authorization": authorization(project, body, now_s, str(uuid.uuid4())),
            EVENT_ID_HEADER: event_id,
        }
        asking.set(project.api_key)
        try:
            target = URL(url)
            self._policy.check_host(target.host or "")
            async with self._http.post(
                target, data=body, headers=headers, allow_redirects=False
            ) as answer:
                if len(await answer.content.read(_ANSWER_BYTES)) == _ANSWER_BYTES:
                    answer.close()
                return Sent(_meaning(answer.status), answer.status)
        except TimeoutError:
            return Sent(Result.TIMEOUT)
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            return Sent(_failure(failure))

    async def close(self) -> None:
        await self._http.close()


def _meaning(status: int) -> Result:
    if 200 <= status < 300:
        return Result.DELIVERED
    if 300 <= status < 400:
        return Result.REDIRECTED
    return Result.REFUSED if status < 500 else Result.FAILED


def _failure(failure: Exception) -> Result:
    cause = failure.os_error if isinstance(failure, aiohttp.ClientConnectorError) else failure
    if isinstance(cause, TargetRefused):
        return Result.FORBIDDEN
    if isinstance(failure, aiohttp.ClientSSLError | ssl.SSLError):
        return Result.TLS
    return Result.UNREACHABLE
