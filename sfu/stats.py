"""The core's counters as typed figures: totals since start, and what two readings differ by."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

_DROP_PREFIX = "drop."


@dataclass(frozen=True, slots=True)
class CoreFigures:
    """Totals since the core started; `transports`, `publishers`, `subscribers`,
    `tcp_connections` and `encodings_paused` are of now.

    `drops` has one entry for each `DropReason` the core knows; its sum is every packet that was
    received or made and not sent on.
    """

    packets_received: int = 0
    bytes_received: int = 0
    packets_sent: int = 0
    bytes_sent: int = 0
    rtp_received: int = 0
    rtp_forwarded: int = 0
    rtp_caught_up: int = 0
    rtx_sent: int = 0
    repeated_unasked: int = 0
    nacks_received: int = 0
    nacks_sent: int = 0
    plis_received: int = 0
    plis_refused: int = 0
    plis_sent: int = 0
    encodings_paused: int = 0
    stun_requests: int = 0
    checks_sent: int = 0
    peer_moves: int = 0
    dtls_records: int = 0
    events_dropped: int = 0
    transports: int = 0
    publishers: int = 0
    subscribers: int = 0
    tcp_connections: int = 0
    tcp_accepted: int = 0
    tcp_refused: int = 0
    tcp_bad_frames: int = 0
    tcp_expired: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)

    @property
    def dropped(self) -> int:
        return sum(self.drops.values())


_TOTALS = tuple(f.name for f in fields(CoreFigures) if f.name != "drops")
_OF_NOW = frozenset(
    {"transports", "publishers", "subscribers", "tcp_connections", "encodings_paused"}
)


def core_figures(counters: Mapping[str, int]) -> CoreFigures:
    """Reads what `counters()` gives. Names of other owners in it are left alone."""
    return CoreFigures(
        **{name: counters.get(name, 0) for name in _TOTALS},
        drops={
            name.removeprefix(_DROP_PREFIX): count
            for name, count in sorted(counters.items())
            if name.startswith(_DROP_PREFIX)
        },
    )


def since(earlier: CoreFigures, later: CoreFigures) -> CoreFigures:
    """What happened between two readings; the figures of now are the later ones."""
    return CoreFigures(
        **{
            name: getattr(later, name) - (0 if name in _OF_NOW else getattr(earlier, name))
            for name in _TOTALS
        },
        drops={name: count - earlier.drops.get(name, 0) for name, count in later.drops.items()},
    )
