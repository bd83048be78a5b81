"""`sealroute doctor` about a node's place among others."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from config.settings import Settings
from signaling.cli.cluster_commands import survey, warnings_of
from signaling.cli.findings import Finding
from signaling.cluster.engine import Surveyed
from signaling.domain.errors import DomainError
from signaling.joining import database_host, own_address

CHECK = "cluster"
REACH_S = 2.0


def cluster_finding(settings: Settings) -> Finding:
    """Whether this machine can be, and is, a node that the others reach and that reaches them."""
    if not settings.cluster.name:
        return Finding(CHECK, "ok", "alone: [cluster] name is not set")
    try:
        found = asyncio.run(survey(settings))
    except DomainError as failure:
        return Finding(CHECK, "error", failure.message, "Correct storage.url, or start it.")
    try:
        own_address(settings.cluster.link_host, database_host(settings))
    except OSError as failure:
        text = f"no address for other nodes: {failure.strerror or failure}"
        return Finding(CHECK, "error", text, "Set [cluster] link_url.")
    return judged(settings.cluster.name, [one for one in found if one.is_living])


def judged(name: str, living: Sequence[Surveyed]) -> Finding:
    names = ", ".join(sorted(one.row.name for one in living)) or "none"
    text = f"this is {name}; nodes that live: {names}"
    faults = list(warnings_of(living))
    faults += [
        f"{one.row.name} is not reached at {one.row.link_url}"
        for one in living
        if one.row.name != name and not _answers(one.row.link_url)
    ]
    urls = [one.row.link_url for one in living]
    if len({urlsplit(url).hostname for url in urls}) > 1:
        faults += [
            f"{one.row.name} tells the others to come to {one.row.link_url}, which is each"
            " machine itself"
            for one in living
            if _is_loopback(one.row.link_url)
        ]
    if faults:
        advice = "Set [cluster] link_url, and let the nodes reach each other's [cluster] link_port."
        return Finding(CHECK, "warning", f"{text}; {'; '.join(faults)}", advice)
    return Finding(CHECK, "ok", text)


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), REACH_S):
            return True
    except OSError:
        return False


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
