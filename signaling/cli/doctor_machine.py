"""The doctor's look at the machine: Python, media core, clock, buffers, descriptors, ports."""

import ctypes
import importlib
import os
import resource
import socket
import struct
import sys
import time
from collections.abc import Iterator

from config.settings import Settings
from signaling.cli.findings import Finding

OLDEST_PYTHON = (3, 11)
# The size that a worker requests; the kernel silently reduces it to its maximum.
WANTED_BUFFER_BYTES = 4_194_304
# The same of a tap (native/worker/src/tap.rs): seconds of media for a disk that is slow.
WANTED_TAP_BYTES = 8_388_608
SO_SNDBUFFORCE = 32
EARLIEST_PLAUSIBLE_UNIX_S = 1_735_689_600
SPARE_DESCRIPTORS = 512
"""For the database, logs, archives and media sockets."""
_TIMEX_BYTES = 256
_TIMEX_STATUS_AT = 40
_STA_UNSYNC = 0x40
_BUFFERS = (
    ("receive", socket.SO_RCVBUF, "net.core.rmem_max"),
    ("send", socket.SO_SNDBUF, "net.core.wmem_max"),
)


def python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("python", "error", found, "Use Python 3.11 or newer.")
    return Finding("python", "ok", found)


def media_core() -> Finding:
    try:
        importlib.import_module("sfu._native")
    except ImportError as failure:
        return Finding(
            "media core", "error", str(failure), "Install the wheel, or run `make build`."
        )
    return Finding("media core", "ok", "loaded")


def clock() -> Finding:
    if time.time() < EARLIEST_PLAUSIBLE_UNIX_S:
        return Finding("clock", "error", "the clock is years behind", "Run a time service.")
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    if is_synchronized() is False:
        return Finding(
            "clock",
            "warning",
            f"{now}; no time service keeps it",
            "Run one (systemd-timesyncd, chrony): tokens and certificates carry times.",
        )
    return Finding("clock", "ok", now)


def is_synchronized() -> bool | None:
    """Whether the kernel knows of a time service (adjtimex(2)); None where it does not say."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    (status,) = struct.unpack_from("i", timex, _TIMEX_STATUS_AT)
    return not status & _STA_UNSYNC


def buffers() -> Finding:
    granted = {name: granted_bytes(option) for name, option, _ in _BUFFERS}
    short = [(name, knob) for name, _, knob in _BUFFERS if granted[name] < WANTED_BUFFER_BYTES]
    if short:
        text = ", ".join(f"{name} {granted[name]:,}" for name, _ in short)
        knobs = " ".join(f"{knob}={WANTED_BUFFER_BYTES}" for _, knob in short)
        return Finding(
            "udp buffers",
            "warning",
            f"{text} of {WANTED_BUFFER_BYTES:,} bytes",
            f"sysctl -w {knobs}",
        )
    return Finding("udp buffers", "ok", f"{min(granted.values()):,} bytes")


def granted_bytes(option: int) -> int:
    """What the kernel gives a socket that asks for as much as a worker."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, option, WANTED_BUFFER_BYTES)
        # The kernel reports twice the granted size (socket(7)).
        return probe.getsockopt(socket.SOL_SOCKET, option) // 2


def tap_buffer() -> Finding:
    """Whether a recording has room for media while its disk is slow."""
    granted = granted_tap_bytes()
    if granted < WANTED_TAP_BYTES:
        return Finding(
            "archive buffers",
            "warning",
            f"{granted:,} of {WANTED_TAP_BYTES:,} bytes: a slow disk costs recordings video",
            f"sysctl -w net.core.wmem_max={WANTED_TAP_BYTES}",
        )
    return Finding("archive buffers", "ok", f"{granted:,} bytes")


def granted_tap_bytes() -> int:
    """What the kernel gives a tap of a server that this user runs."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        try:
            ours.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, WANTED_TAP_BYTES)
        except OSError:  # it needs CAP_NET_ADMIN; without it the system's limit applies
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WANTED_TAP_BYTES)
        return ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2


def descriptors(settings: Settings) -> Finding:
    """The server raises its limit to the hard one; each client takes one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = (
        settings.http.pending_connections
        + settings.signaling.connections_per_session
        + SPARE_DESCRIPTORS
    )
    if most != resource.RLIM_INFINITY and most < wanted:
        return Finding(
            "descriptors",
            "warning",
            f"{most:,}; one full session and the limit of pending connections take {wanted:,}",
            "Raise the hard limit of open files (LimitNOFILE, ulimits: nofile, ulimit -Hn).",
        )
    return Finding("descriptors", "ok", f"{most:,}")


def ports(settings: Settings, *, ours: bool, elsewhere: bool) -> Iterator[Finding]:
    """The ports of the settings. `ours`: the running server of these settings has them.
    `elsewhere`: a server with other settings was named, so that these ports say little of it."""
    http, media = settings.http, settings.media
    yield _port("http port", socket.SOCK_STREAM, (http.host, http.port), ours, elsewhere)
    workers = (media.workers or len(os.sched_getaffinity(0))) if media.port else 1
    for number in range(media.port, media.port + workers):
        for kind in (socket.SOCK_DGRAM, *((socket.SOCK_STREAM,) if media.tcp else ())):
            found = _port("media port", kind, (media.host, number), ours, elsewhere)
            if found.state != "ok" or kind == socket.SOCK_DGRAM:
                yield found


_PROTOCOLS = {socket.SOCK_STREAM: "TCP", socket.SOCK_DGRAM: "UDP"}


def _port(
    check: str, kind: socket.SocketKind, address: tuple[str, int], ours: bool, elsewhere: bool
) -> Finding:
    name = f"{address[0]}:{address[1]} ({_PROTOCOLS[kind]})"
    reason = _why_not_free(kind, address)
    if ours:
        if reason or not address[1]:
            return Finding(check, "ok", f"{name} is the running server's")
        text = f"{name} is free, although a server runs here"
        return Finding(check, "warning", text, "It has other settings: give the doctor the same.")
    if reason and elsewhere:
        return Finding(check, "ok", f"{name} is in use")
    if reason:
        text = f"{name}: {reason}, and no server of these settings answers"
        return Finding(check, "error", text, "Stop what uses it, or change the port.")
    return Finding(check, "ok", f"{name} is free")


def _why_not_free(kind: socket.SocketKind, address: tuple[str, int]) -> str:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as failure:
        return failure.strerror or "it failed"
    return ""
