"""The seam between admission and renders: what one is, and what it reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class NodeAddresses:
    """Where the publishing tab reaches this server. `media`: what clients are told, and where that
    is on this machine; empty where media goes over UDP alone."""

    http: Address
    secure: bool
    media: Mapping[Address, Address]


@dataclass(frozen=True, slots=True)
class RenderJob:
    """`url`: of the page; `token`: of the client that publishes it; `name`: of the stream."""

    url: str = field(repr=False)
    api_key: str
    session: str
    token: str = field(repr=False)
    name: str
    width: int
    height: int
    node: NodeAddresses


@dataclass(frozen=True, slots=True)
class RenderEnd:
    """`page`: it cannot be shown, for the reason in `text`; `refused`: the session does not take
    it, the same; `start`: no browser began; `crashed`: they did again and again; `unpublished`:
    the session ended the stream or the client; `process`:
    this server's own process is gone."""

    how: Literal["page", "refused", "start", "crashed", "unpublished", "process"]
    text: str = ""


class RenderListener(Protocol):
    """Called from the event loop. After `on_over` nothing follows."""

    def on_published(self, connection: str, stream: str) -> None:
        """As the process says: nothing of it is checked."""

    def on_crashed(self) -> None:
        """Another browser begins; what was published is not any more."""

    def on_beat(self) -> None:
        """Every second."""

    def on_over(self, end: RenderEnd) -> None: ...


class RenderRun(Protocol):
    def leave(self) -> None:
        """Ends it, without another call of the listener. Idempotent."""


class RenderEgress(Protocol):
    def start(self, job: RenderJob, listener: RenderListener) -> RenderRun:
        """Errors: `EgressError` no_capacity."""

    def counters(self) -> Mapping[str, int]: ...
    async def close(self) -> None: ...
