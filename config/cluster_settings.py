"""The settings of a cluster: several servers on one PostgreSQL that answer as one."""

import re
from dataclasses import dataclass

from config.knobs import knob

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_URL = re.compile(r"https://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Several servers on one PostgreSQL that answer as one: docs/cluster.md."""

    name: str = knob(
        "",
        "Name of this node, another one on each. Empty: this server is alone. A name takes"
        " [storage] url, and the same [storage] sealing_key on each node.",
    )
    region: str = knob("", "Where this node is; operators are shown it.")
    link_host: str = knob(
        "0.0.0.0",  # noqa: S104 - for the other nodes
        "Address to listen on for other nodes. Only they need to reach it.",
    )
    link_port: int = knob(7_443, "TCP port for other nodes; 0 selects a free one.", 0, 65_535)
    link_url: str = knob(
        "",
        "Where other nodes reach that port, such as https://10.0.0.7:7443. Empty: at link_host, or"
        " at the address from which this machine reaches the database.",
    )


def cluster_fault(cluster: ClusterSettings, *, on_shared_database: bool) -> str | None:
    """Why a node cannot join with these settings; None: it can, or it is alone."""
    if not cluster.name:
        return None
    if not on_shared_database:
        return (
            "[cluster] name makes this server a node among others, which share one PostgreSQL: set"
            " [storage] url (SEALROUTE_STORAGE_URL). With SQLite leave [cluster] name empty"
        )
    if not _NAME.fullmatch(cluster.name):
        return (
            "[cluster] name must be letters, digits, dots, dashes and underscores, up to 63 of them"
        )
    if len(cluster.region) > 63:
        return "[cluster] region must be up to 63 characters"
    if cluster.link_url and not _URL.fullmatch(cluster.link_url):
        return "[cluster] link_url must be as https://10.0.0.7:7443, with a port and without a path"
    return None
