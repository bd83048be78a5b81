"""What the worlds of Audio Connectors and of SIP calls have in common."""

import socket

import pytest

from signaling.clock import SystemClock
from signaling.domain.errors import DomainError, ErrorCode
from signaling.egress.distant_stops import DistantStops
from signaling.metrics import Metrics


class Names:
    """A resolver: what each name means."""

    def __init__(self, **names):
        self.names = {"bot.test": "127.0.0.1", "inside.test": "10.0.0.7", **names}

    async def resolve(self, host, port=0, family=socket.AF_INET):
        if host not in self.names:
            raise OSError("no such name")
        at = self.names[host]
        return [
            {"hostname": host, "host": at, "port": port, "family": family, "proto": 0, "flags": 0}
        ]

    async def close(self):
        pass


async def refused(call) -> ErrorCode:
    with pytest.raises(DomainError) as failure:
        await call
    return failure.value.code


def metric_of(metrics: Metrics, feature: str, name: str, **labels: str) -> float:
    """0 for one that was never counted."""
    labels = {"feature": feature, **labels}
    return metrics.registry.get_sample_value(name, labels) or 0


def alone() -> DistantStops:
    """Of a node that has its database to itself."""
    return DistantStops(None, SystemClock(), is_shared=False)


def node_beside(store, *others: DistantStops) -> DistantStops:
    """Of a node of a shared database. While it waits, the others look."""

    async def sleep(_seconds: float) -> None:
        for other in others:
            await other.look()

    return DistantStops(store.stops, SystemClock(), is_shared=True, sleep=sleep)
