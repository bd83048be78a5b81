"""`sealroute doctor`: diagnoses this machine or a running server and suggests fixes."""

import asyncio
import importlib
import socket
import ssl
import sys
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from config.load import ConfigurationError
from config.settings import Settings
from sfu.egress import landlock
from signaling.addresses import ONLY_LOOPBACK, only_loopback, public_addresses
from signaling.archives.files import ArchiveFiles
from signaling.archives.running import archive_folder
from signaling.cli.findings import Finding
from signaling.cli.health import EVERYWHERE
from signaling.domain.errors import DomainError
from signaling.storage.choosing import open_store
from signaling.storage.folder import FolderUnusable, can_be_made

OLDEST_PYTHON = (3, 11)
# The size that a worker requests; the kernel silently reduces it to its maximum.
WANTED_BUFFER_BYTES = 4_194_304
EARLIEST_PLAUSIBLE_UNIX_S = 1_735_689_600
MAX_CLOCK_DIFFERENCE_S = 30
URL_TIMEOUT_S = 5


def examine(settings: Settings, url: str | None) -> list[Finding]:
    """Runs every check; none stops the others. With `url` it also checks a running server."""
    checks: list[Callable[[], Finding]] = [
        _python,
        _native,
        lambda: _tcp_port(settings, running=url is not None),
        lambda: _udp_port(settings, running=url is not None),
        lambda: _data_dir(settings),
        _clock,
        lambda: _public_addresses(settings),
        _buffers,
        lambda: _archives(settings),
    ]
    if url is not None:
        checks += [
            lambda: _server(url, "/healthz"),
            lambda: _server(url, "/readyz"),
            lambda: _server_clock(url),
        ]
    return [check() for check in checks]


def _python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("python", "error", found, "Use Python 3.11 or newer.")
    return Finding("python", "ok", found)


def _native() -> Finding:
    try:
        importlib.import_module("sfu._native")
    except ImportError as failure:
        return Finding(
            "media core", "error", str(failure), "Install the wheel, or run `make build`."
        )
    return Finding("media core", "ok", "loaded")


def _tcp_port(settings: Settings, *, running: bool) -> Finding:
    http = settings.http
    return _bind("http port", socket.SOCK_STREAM, (http.host, http.port), running=running)


def _udp_port(settings: Settings, *, running: bool) -> Finding:
    media = settings.media
    return _bind("media port", socket.SOCK_DGRAM, (media.host, media.port), running=running)


def _bind(check: str, kind: int, address: tuple[str, int], *, running: bool) -> Finding:
    host, port = address
    name = f"{host}:{port}"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as failure:
        if running:
            return Finding(check, "ok", f"{name} is in use, as expected")
        reason = failure.strerror or "it failed"
        return Finding(
            check,
            "error",
            f"{name}: {reason}",
            "Stop what uses it, or change the port.",
        )
    return Finding(check, "ok", f"{name} is free")


def _database(settings: Settings) -> Finding:
    try:
        asyncio.run(_open_and_close(settings))
    except (FolderUnusable, DomainError) as failure:
        return Finding(
            "database", "error", failure.message, "Start it, or correct storage.url and its grants."
        )
    return Finding("database", "ok", "PostgreSQL answers")


def _data_dir(settings: Settings) -> Finding:
    if settings.storage.url.reveal():
        return _database(settings)
    path = Path(settings.storage.data_dir)
    try:
        if not path.exists():
            can_be_made(path)
            return Finding("data folder", "ok", f"{path} will be created at the first start")
        mode = path.stat().st_mode & 0o777
        asyncio.run(_open_and_close(settings))
    except FolderUnusable as failure:
        return Finding("data folder", "error", failure.problem, failure.advice)
    except DomainError as failure:
        return Finding("data folder", "error", failure.message, _storage_advice(failure))
    except OSError as failure:
        reason = failure.strerror or type(failure).__name__
        return Finding("data folder", "error", f"{path}: {reason}", "Name another folder.")
    return _mode_of(path, mode)


# Advice by the beginning of SQLite's error name.
_SQLITE_ADVICE = {
    "SQLITE_FULL": "Free space on the disk.",
    "SQLITE_BUSY": "Another process locks the database: stop it, or try again.",
    "SQLITE_READONLY": "Mount a writable volume there.",
    "SQLITE_IOERR": "The disk or its file system fails: check the kernel's log.",
    "SQLITE_CORRUPT": "Restore it from a backup.",
    "SQLITE_NOTADB": "Restore it from a backup.",
}


def _storage_advice(failure: DomainError) -> str:
    """Advice for a storage failure. Only damage calls for a backup."""
    name = str(getattr(getattr(failure.__cause__, "orig", None), "sqlite_errorname", ""))
    for beginning, advice in _SQLITE_ADVICE.items():
        if name.startswith(beginning):
            return advice
    return "Check storage.url and the sealing key, or restore a backup that fits this release."


def _mode_of(path: Path, before: int) -> Finding:
    """Checks the folder's mode. Opening the store already restricted it if this user owns it."""
    now = path.stat().st_mode & 0o777
    if now & 0o077:
        return Finding(
            "data folder",
            "warning",
            f"other users can access {path} (mode {now:o}), which belongs to another user",
            "Give access only to this server's user and group.",
        )
    if before & 0o077:
        return Finding("data folder", "warning", f"{path} had mode {before:o}", "It is 700 now.")
    return Finding("data folder", "ok", str(path))


async def _open_and_close(settings: Settings) -> None:
    store = await open_store(settings.storage)
    await store.close()


def _clock() -> Finding:
    if time.time() < EARLIEST_PLAUSIBLE_UNIX_S:
        return Finding("clock", "error", "the clock is years behind", "Run a time service.")
    return Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))


def _public_addresses(settings: Settings) -> Finding:
    try:
        addresses = public_addresses(settings.media.public_ips, settings.media.host)
    except ConfigurationError as failure:
        return Finding("public ip", "error", str(failure), "Give --public-ip an IP address.")
    text = ", ".join(addresses)
    if only_loopback(addresses):
        return Finding("public ip", "warning", text, f"{ONLY_LOOPBACK}.")
    if not settings.media.public_ips:
        return Finding(
            "public ip",
            "warning",
            f"not set; clients use: {text}",
            "Set --public-ip if clients reach this machine at another address.",
        )
    return Finding("public ip", "ok", text)


def _buffers() -> Finding:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WANTED_BUFFER_BYTES)
        # The kernel reports twice the granted size (socket(7)).
        granted = probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    if granted < WANTED_BUFFER_BYTES:
        return Finding(
            "udp buffers",
            "warning",
            f"{granted:,} of {WANTED_BUFFER_BYTES:,} bytes",
            f"sysctl -w net.core.rmem_max={WANTED_BUFFER_BYTES} "
            f"net.core.wmem_max={WANTED_BUFFER_BYTES}",
        )
    return Finding("udp buffers", "ok", f"{granted:,} bytes")


def _archives(settings: Settings) -> Finding:
    """Whether clear sessions can be archived here."""
    if not settings.archive.enabled or not settings.egress.children_max:
        return Finding("archives", "ok", "off in the settings")
    if not _has_tap_reader():
        return Finding(
            "archives",
            "warning",
            "cannot be recorded without the reader of taps (sfu._native)",
            "Install the wheel of this platform, or set [archive] enabled to false.",
        )
    free_mb = ArchiveFiles(archive_folder(settings)).free_bytes() // 1_000_000
    text = f"{archive_folder(settings)}, {free_mb:,} MB free"
    version = landlock.version()
    text += f", confined by Landlock {version}" if version else ", not confined (no Landlock)"
    if free_mb < settings.archive.min_free_mb:
        advice = "Free space on the disk, or set [archive] dir or min_free_mb."
        return Finding("archives", "warning", text, advice)
    if not settings.archive.public_url and settings.http.host in EVERYWHERE:
        text += "; links to them name localhost unless [archive] public_url is set"
    return Finding("archives", "ok", text)


def _has_tap_reader() -> bool:
    try:
        return hasattr(importlib.import_module("sfu._native"), "TapReader")
    except ImportError:
        return False


def _server(url: str, path: str) -> Finding:
    try:
        status, _ = _fetch(url.rstrip("/") + path)
    except (OSError, ValueError) as failure:
        return Finding(f"server {path}", "error", _reason(failure), "Is it running at that URL?")
    if status != 200:
        return Finding(f"server {path}", "error", f"status {status}", "Check the server's log.")
    return Finding(f"server {path}", "ok", "200")


def _server_clock(url: str) -> Finding:
    try:
        _, date = _fetch(url.rstrip("/") + "/healthz")
        difference_s = abs(parsedate_to_datetime(date).timestamp() - time.time())
    except (OSError, ValueError, TypeError) as failure:
        return Finding("server clock", "error", _reason(failure), "Is it running at that URL?")
    if difference_s > MAX_CLOCK_DIFFERENCE_S:
        return Finding(
            "server clock",
            "error",
            f"{difference_s:.0f} s from this machine's",
            "Run a time service on both: tokens carry times.",
        )
    return Finding("server clock", "ok", f"{difference_s:.0f} s from this machine's")


def _fetch(url: str) -> tuple[int, str]:
    if not url.startswith(("http://", "https://")):
        raise ValueError("the URL must begin with http:// or https://")
    try:
        with urlopen(Request(url), timeout=URL_TIMEOUT_S) as answer:  # noqa: S310 - checked above
            return answer.status, answer.headers.get("Date", "")
    except HTTPError as failure:
        with failure:
            return failure.code, failure.headers.get("Date", "")


def _reason(failure: BaseException) -> str:
    if isinstance(failure, URLError) and isinstance(failure.reason, ssl.SSLError | OSError):
        return failure.reason.strerror or "the connection failed"
    return str(failure) or type(failure).__name__
