"""The doctor's look at the TURN servers: it takes an allocation from each, as a client would."""

import asyncio
import ipaddress
import ssl
import time
from dataclasses import dataclass
from urllib.parse import parse_qs

from config.load import ConfigurationError
from config.settings import IceSettings
from signaling.cli.findings import Finding
from signaling.ice_servers import IceServers, ice_servers_of

TIMEOUT_S = 5.0
CHECK = "turn"
_PORTS = {"turn": 3478, "turns": 5349}
_UNEQUAL = (
    "The server and [ice] turn_secret must have the same secret (coturn: static-auth-secret), and"
    " both clocks must be right."
)
_CODES = {
    401: _UNEQUAL,
    403: "The TURN server forbids it: check its addresses and quotas.",
    437: "The TURN server mixed up two clients: try again.",
    486: "Its quota of allocations is used up (coturn: user-quota, total-quota).",
    508: "It has no relay port left (coturn: min-port, max-port).",
}


@dataclass(frozen=True, slots=True)
class TurnUrl:
    """A URL of RFC 7065 in its parts."""

    host: str
    port: int
    transport: str
    secure: bool

    @property
    def where(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port} ({'TLS' if self.secure else self.transport.upper()})"


def parsed(url: str) -> TurnUrl:
    """Errors: `ValueError`."""
    scheme, _, rest = url.partition(":")
    authority, _, query = rest.partition("?")
    secure = scheme == "turns"
    transport = parse_qs(query).get("transport", ["tcp" if secure else "udp"])[0]
    if transport not in {"udp", "tcp"} or (secure and transport == "udp"):
        raise ValueError(f"no client speaks {scheme} over {transport}")
    if authority.startswith("["):
        host, _, after = authority[1:].partition("]")
        port = after.removeprefix(":")
    else:
        host, _, port = authority.partition(":")
    if not host:
        raise ValueError("it names no host")
    return TurnUrl(host, int(port) if port else _PORTS[scheme], transport, secure)


def turn_findings(settings: IceSettings) -> list[Finding]:
    """One row for each URL; none without TURN servers."""
    try:
        servers = ice_servers_of(settings)
    except ConfigurationError as failure:
        return [Finding(CHECK, "error", str(failure), "Correct section [ice] of the settings.")]
    return [_finding(url, servers) for url in servers.turn_urls]


def _finding(url: str, servers: IceServers) -> Finding:
    try:
        target = parsed(url)
    except ValueError as failure:
        advice = "Write it as turn:HOST:PORT?transport=tcp or turns:HOST:PORT."
        return Finding(CHECK, "error", f"{url}: {failure}", advice)
    (client,) = (one for one in servers.for_client("doctor", int(time.time())) if one.username)
    try:
        relayed = asyncio.run(_allocation(target, client.username or "", client.credential or ""))
    except (OSError, TimeoutError, _RefusedError) as failure:
        detail, advice = _explained(failure)
        return Finding(CHECK, "error", f"{url}: {target.where} {detail}", advice)
    return relay_finding(url, relayed)


def relay_finding(url: str, relayed: str) -> Finding:
    """Judges the address that a TURN server relays at."""
    text = f"{url}: relays at {relayed}"
    if ipaddress.ip_address(relayed).is_global:
        return Finding(CHECK, "ok", text)
    return Finding(
        CHECK,
        "warning",
        f"{text}, which is not a public address",
        "Tell the TURN server its public address (coturn: external-ip), unless all clients are in"
        " that network.",
    )


class _RefusedError(Exception):
    """The server's answer; `code` is STUN's."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        super().__init__(f"refuses with {code} {reason}".strip())


def _explained(failure: Exception) -> tuple[str, str]:
    if isinstance(failure, _RefusedError):
        return str(failure), _CODES.get(failure.code, "Check the TURN server's log.")
    if isinstance(failure, ssl.SSLCertVerificationError):
        reason = failure.verify_message.rstrip(".")
        return f"has no good certificate: {reason}", "Renew it, with the name that the URL has."
    if isinstance(failure, TimeoutError):
        return "does not answer", "Is it running, and does the firewall let that port through?"
    reason = getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
    return f"cannot be reached: {reason}", "Is it running, and is the name right?"


async def _allocation(target: TurnUrl, username: str, password: str) -> str:
    """The relayed address of an allocation that is given back. Errors: `OSError`, `TimeoutError`,
    `_RefusedError`."""
    # Only where there is something to ask: it loads much.
    from aioice import stun, turn  # noqa: PLC0415

    try:
        async with asyncio.timeout(TIMEOUT_S):
            transport, closing = await turn.create_turn_endpoint(
                _Closing,
                (target.host, target.port),
                username,
                password,
                ssl=target.secure or None,
                transport=target.transport,
            )
            relayed = str(transport.get_extra_info("sockname")[0])
            transport.close()
            await closing.closed.wait()
            return relayed
    except stun.TransactionFailed as refused:
        attributes = refused.response.attributes
        code, reason = attributes.get("ERROR-CODE", (0, "without a reason"))
        raise _RefusedError(code, reason) from refused
    except stun.TransactionTimeout as silent:
        raise TimeoutError from silent


class _Closing(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.closed.set()
