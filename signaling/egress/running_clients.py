"""The running clients of one feature: how many there may be, and what is counted of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from sfu.egress.jobs import EgressError
from sfu.media_plane import MediaError
from signaling.domain.errors import DomainError, ErrorCode, Unavailable, error
from signaling.domain.features import Feature
from signaling.metrics import Metrics

_BLAMES = {
    "connect_failed": ErrorCode.CONNECT_FAILED,
    "child_lost": ErrorCode.OVERLOADED,
}
"""What a caller hears of a process. Anything else means that there is no room for one."""


class EndingClient(Protocol):
    """`leave` ends it, which calls `RunningClients.remove`; it does so once, however it ends."""

    @property
    def id(self) -> str: ...
    @property
    def project(self) -> str: ...
    def leave(self) -> None: ...


Client = TypeVar("Client", bound=EndingClient)
Egress = TypeVar("Egress")


@dataclass(frozen=True, slots=True)
class Room:
    """`no_room`: what a caller reads when there is none."""

    clients: int
    per_project: int
    no_room: str


class RunningClients(Generic[Client]):
    """Used on the event loop only."""

    def __init__(self, feature: Feature, room: Room, metrics: Metrics) -> None:
        self._room = room
        self._running: dict[str, Client] = {}
        self._metrics = metrics
        self._feature = feature.value

    @contextmanager
    def starting(self, client: Client) -> Iterator[None]:
        """The client runs from now on. It leaves if the block fails. Errors: `no_capacity`."""
        self._check_room(client.project)
        self._running[client.id] = client
        self._metrics.egress_running.labels(self._feature).inc()
        try:
            yield
        except BaseException as cause:
            client.leave()
            self._count_failure(cause.code.value if isinstance(cause, DomainError) else "cancelled")
            raise
        self._metrics.egress_starts.labels(self._feature).inc()

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """What media and processes refuse, as a caller reads it."""
        try:
            yield
        except (MediaError, EgressError) as refused:
            raise self._refusal(refused) from refused

    def remove(self, client: Client, failure: str | None) -> None:
        """`failure`: what is counted, unless it ended as it should."""
        if self._running.pop(client.id, None) is None:
            return
        self._metrics.egress_running.labels(self._feature).dec()
        if failure is not None:
            self._count_failure(failure)

    def find(self, name: str) -> Client | None:
        return self._running.get(name)

    def projects(self) -> dict[str, str]:
        """The project of each, by its id."""
        return {one.id: one.project for one in self._running.values()}

    def all(self) -> list[Client]:
        return list(self._running.values())

    def leave(self) -> None:
        """Ends all."""
        for client in self.all():
            client.leave()

    def _check_room(self, project: str) -> None:
        of_project = sum(one.project == project for one in self._running.values())
        if of_project >= self._room.per_project or len(self._running) >= self._room.clients:
            raise Unavailable(ErrorCode.NO_CAPACITY, self._room.no_room)

    def _refusal(self, refused: MediaError | EgressError) -> DomainError:
        if isinstance(refused, EgressError):
            blame = _BLAMES.get(refused.code)
            if blame is not None:
                return error(blame)
            return Unavailable(ErrorCode.NO_CAPACITY, self._room.no_room)
        if refused.code == "clear_media_required":
            return error(ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA)
        return error(ErrorCode.OVERLOADED)

    def _count_failure(self, reason: str) -> None:
        self._metrics.egress_failures.labels(self._feature, reason).inc()


def available(egress: Egress | None, *, enabled: bool) -> Egress:
    """What starts processes here. Errors: `feature_unavailable` if nothing does."""
    if egress is None or not enabled:
        raise Unavailable(ErrorCode.FEATURE_UNAVAILABLE)
    return egress
