"""The doctor's look at a running server: health, clock, and what its metrics say of the process."""

import http.client
import json
import re
import ssl
import time
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from urllib.error import HTTPError, URLError
from urllib.request import BaseHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from config.load import ConfigurationError
from config.settings import OperationsSettings, Settings
from config.version import version
from signaling.cli.findings import Finding
from signaling.cli.health import ALIVE, EVERYWHERE, READY, local_url
from signaling.cli.straight import NoRedirects

TIMEOUT_S = 5
MAX_CLOCK_DIFFERENCE_S = 30
MAX_BYTES = 4_194_304
PRODUCT = "Sealroute"
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_VERSION = re.compile(r'\bversion="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Answer:
    """`products`: every `Server` header, also those that proxies add."""

    status: int
    products: tuple[str, ...]
    date: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Local:
    """The server of the settings, where it answers. `figures`: its metrics, by name and labels as
    it writes them; empty if it gives none."""

    url: str
    figures: dict[str, float]
    version: str | None


def local_server(settings: Settings) -> Local | None:
    """The running server with these settings on this machine; None if none answers."""
    try:
        url = local_url(settings.http)
        found = fetched(url + ALIVE, verified=False)
    except (ConfigurationError, OSError, ValueError, http.client.HTTPException):
        return None
    if PRODUCT not in found.products:
        return None
    try:
        text = fetched(_metrics_url(settings.operations), verified=False).body.decode(
            errors="replace"
        )
    except (OSError, ValueError, http.client.HTTPException):
        return Local(url, {}, None)
    named = {name: labels for name, labels, _ in _SAMPLE.findall(text)}
    release = _VERSION.search(named.get("sealroute_build_info", ""))
    figures = {
        f"{name}{{{labels}}}" if labels else name: float(value)
        for name, labels, value in _SAMPLE.findall(text)
    }
    return Local(url, figures, release[1] if release else None)


def _metrics_url(operations: OperationsSettings) -> str:
    host = EVERYWHERE.get(operations.host, operations.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{operations.port}/metrics"


def local_findings(local: Local, settings: Settings) -> list[Finding]:
    """Rows that only the running server of the settings gives."""
    where = f"{settings.operations.host}:{settings.operations.port}"
    if not local.figures:
        return [
            Finding(
                "server metrics",
                "warning",
                f"none at {where}: no metrics and no admin API",
                "Free that port, or set [operations] host and port.",
            )
        ]
    return [_release(local), _descriptors_in_use(local.figures), _lost_datagrams(local.figures)]


def _release(local: Local) -> Finding:
    if local.version == version():
        return Finding("server version", "ok", version())
    text = f"{local.version or 'an older one'} runs, {version()} is installed"
    return Finding("server version", "warning", text, "Restart the server.")


def _descriptors_in_use(figures: dict[str, float]) -> Finding:
    used, most = figures.get("process_open_fds", 0.0), figures.get("process_max_fds", 0.0)
    text = f"{used:,.0f} of {most:,.0f} in use"
    if used > most * 0.8:
        advice = "Raise its limit of open files (LimitNOFILE, ulimits: nofile)."
        return Finding("server descriptors", "error", text, advice)
    return Finding("server descriptors", "ok", text)


TOLERABLE_LOSS = 0.000_1
"""Less than what retransmission mends without being seen."""
_RECEIVED = "sealroute_media_packets_received_total"
_DROPPED = 'sealroute_packets_dropped_total{reason="receive_buffer_full"}'


def _lost_datagrams(figures: dict[str, float]) -> Finding:
    lost, received = figures.get(_DROPPED, 0.0), figures.get(_RECEIVED, 0.0)
    text = f"{received:,.0f} datagrams received, {lost:,.0f} lost for want of receive buffer"
    if lost > received * TOLERABLE_LOSS:
        advice = "Give it more: `sealroute doctor` has the command under udp buffers; or a core."
        return Finding("server media", "warning", text, advice)
    return Finding("server media", "ok", text)


def server_findings(url: str, *, verified: bool) -> list[Finding]:
    """Rows for what answers at a URL."""
    found = [_health(url, path, verified=verified) for path in (ALIVE, READY)]
    return [*found, _clock(url, verified=verified)]


def _health(url: str, path: str, *, verified: bool) -> Finding:
    check, where = f"server {path}", url.rstrip("/") + path
    try:
        answer = fetched(where, verified=verified)
    except (OSError, ValueError, http.client.HTTPException) as failure:
        text = f"{where}: {reason_of(failure)}"
        return Finding(check, "error", text, "Is it running at that URL?")
    if answer.status != 200:
        text = f"{where}: status {answer.status}{_said(answer)}"
        return Finding(check, "error", text, "Check the server's log.")
    if not _said(answer):
        advice = "Is it the address of Sealroute, and does a proxy there pass everything on?"
        return Finding(check, "error", f"{where}: 200, but not of Sealroute", advice)
    return Finding(check, "ok", "200")


def _said(answer: Answer) -> str:
    try:
        return f", {json.loads(answer.body)['status']}"
    except (ValueError, KeyError, TypeError):
        return ""


def _clock(url: str, *, verified: bool) -> Finding:
    try:
        answer = fetched(url.rstrip("/") + ALIVE, verified=verified)
        difference_s = abs(parsedate_to_datetime(answer.date).timestamp() - time.time())
    except (OSError, ValueError, TypeError, http.client.HTTPException) as failure:
        advice = "Is it running at that URL?"
        return Finding("server clock", "error", f"{url}: {reason_of(failure)}", advice)
    text = f"{difference_s:.0f} s from this machine's"
    if difference_s > MAX_CLOCK_DIFFERENCE_S:
        advice = "Run a time service on both: tokens carry times."
        return Finding("server clock", "error", text, advice)
    return Finding("server clock", "ok", text)


def fetched(url: str, *, verified: bool = True) -> Answer:
    """The answer at a URL. Without `verified` any certificate will do, and no proxy is used: for
    this machine. Errors: `OSError`, `ValueError`, `http.client.HTTPException`."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("the URL must begin with http:// or https://")
    context = ssl.create_default_context()
    handlers: list[BaseHandler] = [HTTPSHandler(context=context), NoRedirects()]
    if not verified:
        # The certificate is for the public host name; its own check looks at it.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        handlers.append(ProxyHandler({}))
    try:
        with build_opener(*handlers).open(Request(url), timeout=TIMEOUT_S) as answer:  # noqa: S310 - checked above
            return _answer(answer.status, answer.headers, answer.read(MAX_BYTES))
    except HTTPError as failure:
        with failure:
            return _answer(failure.code, failure.headers, failure.read(MAX_BYTES))


def _answer(status: int, headers: Message, body: bytes) -> Answer:
    products = tuple(map(str, headers.get_all("Server", [])))
    return Answer(status, products, str(headers.get("Date", "")), body)


def reason_of(failure: BaseException) -> str:
    cause = failure.reason if isinstance(failure, URLError) else failure
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"no good certificate: {cause.verify_message.rstrip('.')}"
    if isinstance(cause, OSError):
        return cause.strerror or str(cause) or "the connection failed"
    return str(cause) or type(failure).__name__
