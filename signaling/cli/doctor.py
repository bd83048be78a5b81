"""`sealroute doctor`: diagnoses this machine or a running server and suggests fixes."""

import asyncio
import importlib
import ipaddress
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from config.load import ConfigurationError
from config.settings import Settings
from sfu.egress import capacity, landlock
from sfu.egress.caption_jobs import LANGUAGES
from signaling.addresses import ONLY_LOOPBACK, only_loopback, public_addresses
from signaling.archives.files import ArchiveFiles
from signaling.archives.running import OF_BUCKETS, archive_folder
from signaling.calls import running as calls
from signaling.captions import running as captions
from signaling.cli import doctor_machine
from signaling.cli.doctor_cluster import cluster_finding
from signaling.cli.doctor_renders import renders_finding
from signaling.cli.doctor_server import local_findings, local_server, server_findings
from signaling.cli.doctor_tls import file_findings, url_findings
from signaling.cli.doctor_turn import turn_findings
from signaling.cli.findings import Finding
from signaling.cli.health import EVERYWHERE
from signaling.connectors import running as connectors
from signaling.domain.errors import DomainError
from signaling.egress import styles
from signaling.egress.packages import missing_packages
from signaling.storage.choosing import open_store
from signaling.storage.folder import FolderUnusable, can_be_made

LEAST_FREE_MB = 256
"""For a database that grows by its write-ahead log before it is folded in."""


def examine(settings: Settings, url: str | None) -> list[Finding]:
    """Runs every check; none stops the others. It asks the server at `url`, otherwise the one that
    runs here with these settings, if there is one."""
    local = local_server(settings) if url is None else None
    ours = local is not None
    found = [
        doctor_machine.python(),
        doctor_machine.media_core(),
        *doctor_machine.ports(settings, ours=ours, elsewhere=url is not None),
        *_data_dir(settings),
        cluster_finding(settings),
        doctor_machine.clock(),
        _public_addresses(settings),
        doctor_machine.buffers(),
        *([doctor_machine.tap_buffer()] if _records(settings) else []),
        doctor_machine.descriptors(settings),
        *file_findings(settings.http, urlsplit(settings.archive.public_url).hostname),
        *turn_findings(settings.ice),
        _rooms(settings),
        _archives(settings),
        _custom_layouts(settings),
        _buckets(settings),
        _audio_connector(settings),
        _sip(settings),
        renders_finding(settings),
        _captions(settings),
    ]
    if url is not None:
        found += [*url_findings(url), *server_findings(url, verified=True)]
    elif local is not None:
        found += [
            *server_findings(local.url, verified=False),
            *local_findings(local, settings),
        ]
    return found


def _database(settings: Settings) -> Finding:
    try:
        asyncio.run(_open_and_close(settings))
    except (FolderUnusable, DomainError) as failure:
        return Finding(
            "database", "error", failure.message, "Start it, or correct storage.url and its grants."
        )
    return Finding("database", "ok", "PostgreSQL answers")


def _data_dir(settings: Settings) -> Iterator[Finding]:
    if settings.storage.url.reveal():
        yield _database(settings)
        return
    path = Path(settings.storage.data_dir)
    found = _folder(settings, path)
    yield found
    if found.state != "error":
        yield _free_space(path)


def _folder(settings: Settings, path: Path) -> Finding:
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


def _free_space(path: Path) -> Finding:
    there = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
    free_mb = shutil.disk_usage(there).free // 1_000_000
    if free_mb < LEAST_FREE_MB:
        advice = "Free space on that disk: without it no session can be stored."
        return Finding("disk", "warning", f"{free_mb:,} MB free for {path}", advice)
    return Finding("disk", "ok", f"{free_mb:,} MB free")


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


def _public_addresses(settings: Settings) -> Finding:
    try:
        addresses = public_addresses(settings.media.public_ips, settings.media.host)
    except ConfigurationError as failure:
        return Finding("public ip", "error", str(failure), "Give --public-ip an IP address.")
    return address_finding(addresses, named=bool(settings.media.public_ips))


def address_finding(addresses: tuple[str, ...], *, named: bool) -> Finding:
    """Judges the addresses that clients are given. `named`: an operator chose them."""
    text = ", ".join(addresses)
    if only_loopback(addresses):
        return Finding("public ip", "warning", text, f"{ONLY_LOOPBACK}.")
    if any(ipaddress.ip_address(one).is_global for one in addresses):
        return Finding("public ip", "ok", text if named else f"not set; clients use: {text}")
    if named:
        return Finding("public ip", "ok", f"{text}: only for clients in that network")
    return Finding(
        "public ip",
        "warning",
        f"not set; clients use: {text}, which nobody outside that network reaches",
        "Set --public-ip (SEALROUTE_PUBLIC_IP) to the address that clients reach this machine at.",
    )


def _rooms(settings: Settings) -> Finding:
    """What creates sessions here. Not a fault either way: an operator says so."""
    rooms = settings.rooms
    if not rooms.enabled:
        return Finding("rooms", "ok", "off: only applications create sessions")
    text = f"on: any visitor of the page may open calls, {rooms.per_minute:,} a minute"
    return Finding("rooms", "ok", f"{text} ([rooms] enabled)")


def _records(settings: Settings) -> bool:
    return settings.archive.enabled and settings.egress.children_max > 0


def _archives(settings: Settings) -> Finding:
    """Whether clear sessions can be archived here."""
    if not _records(settings):
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
    text += f", composed ones on {capacity.budget(settings.egress.cores):g} cores"
    if free_mb < settings.archive.min_free_mb:
        advice = "Free space on the disk, or set [archive] dir or min_free_mb."
        return Finding("archives", "warning", text, advice)
    if not settings.archive.public_url and settings.http.host in EVERYWHERE:
        text += "; links to them name localhost unless [archive] public_url is set"
    return Finding("archives", "ok", text)


def _custom_layouts(settings: Settings) -> Finding:
    """Whether the stylesheets of archives and broadcasts can be read here."""
    check = "custom layouts"
    if not (settings.archive.enabled or settings.broadcast.enabled):
        return Finding(check, "ok", "off in the settings")
    absent = styles.missing_parts()
    if absent:
        return Finding(
            check,
            "warning",
            f"stylesheets cannot be read without {', '.join(absent)}",
            "pip install 'sealroute[egress]', and Debian's package libpangoft2-1.0-0.",
        )
    return Finding(check, "ok", "read by processes without files and network")


def _buckets(settings: Settings) -> Finding:
    """Whether finished archives can leave this machine for a bucket."""
    check = "archives in buckets"
    absent = missing_packages(OF_BUCKETS)
    if not settings.archive.enabled:
        return Finding(check, "ok", "off in the settings")
    if absent:
        text = f"none, files stay here: {', '.join(absent)} is not installed (sealroute[egress])"
        return Finding(check, "ok", text)
    text = "at public addresses"
    if settings.egress.allowed_networks:
        text += f" and {settings.egress.allowed_networks}"
    return Finding(check, "ok", text)


def _audio_connector(settings: Settings) -> Finding:
    """Whether a clear session's audio can be connected to a WebSocket here."""
    check = "audio connector"
    if not settings.connector.enabled:
        return Finding(check, "ok", "off in the settings")
    absent = missing_packages(connectors.NEEDED)
    if absent:
        return Finding(
            check,
            "warning",
            f"cannot decode and send audio without {', '.join(absent)}",
            f"pip install {' '.join(absent)}, or set [connector] enabled to false.",
        )
    text = f"up to {settings.connector.connections_max} connections"
    version = landlock.version()
    text += f", confined by Landlock {version}" if version else ", not confined (no Landlock)"
    text += ", to public addresses"
    if settings.egress.allowed_networks:
        text += f" and {settings.egress.allowed_networks}"
    return Finding(check, "ok", text)


def _sip(settings: Settings) -> Finding:
    """Whether telephones can be called into a clear session here."""
    check = "sip calls"
    if not settings.sip.enabled:
        return Finding(check, "ok", "off in the settings")
    absent = missing_packages(calls.NEEDED)
    if absent:
        return Finding(
            check,
            "warning",
            f"cannot decode and encrypt audio without {', '.join(absent)}",
            f"pip install {' '.join(absent)}, or set [sip] enabled to false.",
        )
    if settings.sip.last_port < settings.sip.first_port + 2 * settings.sip.calls_max:
        text = f"no RTP ports for {settings.sip.calls_max} calls"
        return Finding(check, "warning", text, "Set [sip] first_port and last_port further apart.")
    text = f"up to {settings.sip.calls_max} calls, RTP on UDP"
    text += f" {settings.sip.first_port} to {settings.sip.last_port}"
    return Finding(check, "ok", text)


def _captions(settings: Settings) -> Finding:
    """Whether what is said in a clear session can be captioned here."""
    check = "captions"
    if not settings.captions.enabled:
        return Finding(check, "ok", "off in the settings")
    absent = missing_packages(captions.NEEDED)
    if absent:
        return Finding(
            check,
            "warning",
            f"cannot recognize speech without {', '.join(absent)}",
            f"pip install {' '.join(absent)}, or set [captions] enabled to false.",
        )
    text = f"up to {settings.captions.sessions_max} sessions, {settings.captions.engines} speakers"
    return Finding(check, "ok", f"{text} of each at a time; {', '.join(LANGUAGES)}")


def _has_tap_reader() -> bool:
    try:
        return hasattr(importlib.import_module("sfu._native"), "TapReader")
    except ImportError:
        return False
