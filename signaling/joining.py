"""How a node joins its cluster: what the settings say of it, and its part of the database."""

import contextlib
import importlib
import ipaddress
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from config.settings import Settings
from config.version import version
from signaling.addresses import public_addresses
from signaling.clock import Clock
from signaling.cluster.base import Cluster
from signaling.cluster.directory import ClusterDirectory
from signaling.cluster.engine import NodeRow
from signaling.metrics import Figure

_ANY_PORT = 9
"""No datagram is sent: the system only says which way one would go."""


@dataclass(frozen=True, slots=True)
class Joining:
    """Its name, where it listens for other nodes, at which URL they find it (made of an address of
    this machine where it is empty), what gives it its cluster for a URL and a certificate, and the
    host of the database, in whose network the nodes are."""

    name: str
    host: str
    port: int
    url: str
    join: Callable[[str, str], AbstractAsyncContextManager[Cluster]] = field(repr=False)
    database_host: str = ""


def joining_of(settings: Settings, clock: Clock) -> Joining | None:
    """None: the settings name no cluster."""
    cluster = settings.cluster
    if not cluster.name:
        return None

    @contextlib.asynccontextmanager
    async def join(url: str, certificate: str) -> AsyncIterator[Cluster]:
        row = NodeRow(
            name=cluster.name,
            region=cluster.region,
            release=version(),
            link_url=url,
            certificate=certificate,
            started_ms=int(clock.unix_s() * 1000),
        )
        # The driver of the database is not for servers without one.
        opening = importlib.import_module("signaling.cluster.engine_postgres").open_engine
        engine = await opening(settings.storage.url)
        try:
            directory = ClusterDirectory(engine, row, clock)
            await directory.start()
            try:
                yield directory
            finally:
                await directory.close()
        finally:
            await engine.close()

    host = database_host(settings)
    return Joining(cluster.name, cluster.link_host, cluster.link_port, cluster.link_url, join, host)


def database_host(settings: Settings) -> str:
    """Empty where it is on this machine, behind a socket in a folder."""
    import sqlalchemy as sa  # noqa: PLC0415 - see above

    address = sa.make_url(settings.storage.url.reveal())
    named = address.host or address.query.get("host", "")
    host = named if isinstance(named, str) else next(iter(named), "")
    return "" if host.startswith("/") else host


def own_address(host: str, database: str) -> str:
    """Where other nodes reach a socket that is bound to `host`. It may ask for a name, so it is not
    for the event loop. Errors: `OSError` when the database's host cannot be found."""
    bound = None
    with contextlib.suppress(ValueError):
        bound = ipaddress.ip_address(host)
    if bound is None or not bound.is_unspecified:
        return host or "127.0.0.1"
    if database:
        family = socket.AF_INET if bound.version == 4 else socket.AF_UNSPEC
        (kind, _, _, _, address), *_ = socket.getaddrinfo(
            database, _ANY_PORT, family, socket.SOCK_DGRAM
        )
        with socket.socket(kind, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            found = str(probe.getsockname()[0])
        if not ipaddress.ip_address(found).is_loopback:
            return found
    return public_addresses("", host)[0]


def url_of(host: str, port: int) -> str:
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


_NOW = (
    ("sealroute_cluster_homes", "homes", "Sessions whose home is this node."),
    ("sealroute_cluster_beat_seconds", "beat_s", "How long the newest beat took."),
    (
        "sealroute_cluster_engine_silent_seconds",
        "silent_s",
        "Since the newest beat that the database acknowledged.",
    ),
)
_TOTALS = (
    ("sealroute_cluster_beats_total", "beats", "Beats that the database acknowledged."),
    ("sealroute_cluster_beats_failed_total", "beats_failed", "Beats that it did not, in time."),
    ("sealroute_cluster_epochs_claimed_total", "claims", "Homes that this node claimed."),
    (
        "sealroute_cluster_claims_lost_total",
        "claims_lost",
        "Claims that failed because another node is the home.",
    ),
    (
        "sealroute_cluster_superseded_total",
        "superseded",
        "Sessions here that another node became the home of.",
    ),
    ("sealroute_cluster_nodes_gone_total", "gone", "Nodes that left, or were declared dead."),
    (
        "sealroute_cluster_lives_total",
        "lives",
        "Lives of this node: more than one if it was declared dead.",
    ),
)
"""Name of the metric, what it is of `Figures`, help."""


def figures_of(cluster: Cluster) -> Iterator[Figure]:
    """What the metrics show of a node among others."""
    found = cluster.figures()
    states: dict[str, float] = dict(Counter(row.state.value for row in cluster.nodes()))
    text = "Nodes that live, as this one sees them."
    yield Figure("sealroute_cluster_nodes", text, states, "state")
    for name, of, text in _NOW:
        yield Figure(name, text, {"": float(getattr(found, of))})
    for name, of, text in _TOTALS:
        yield Figure(name, text, {"": float(getattr(found, of))}, is_total=True)
    text = "Faults of this node's membership, after which it went on."
    faults: dict[str, float] = dict(found.faults)
    yield Figure("sealroute_cluster_faults_total", text, faults, "where", is_total=True)
