"""The interface of a store; SQLite and PostgreSQL pass the same contract tests."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from sfu.egress.buckets import Bucket
from signaling.domain.archiving import ArchiveRecord
from signaling.domain.broadcasting import BroadcastRecord
from signaling.domain.callbacks import Callback
from signaling.domain.captioning import CaptionsRecord
from signaling.domain.operators import Operator
from signaling.domain.projects import Project
from signaling.domain.rendering import RenderRecord
from signaling.domain.session_options import SessionRecord
from signaling.domain.stops import AskedStop
from signaling.domain.webhook_deliveries import (
    Claim,
    DeadLetter,
    NewWebhookDelivery,
    Outcome,
    QueueFigures,
    WebhookDelivery,
)
from signaling.storage.wrapping import SecretWrapper

ProjectEdit = Callable[[Project], Project]


class ProjectStore(Protocol):
    """Every method may raise `Unavailable` (`storage_unavailable`)."""

    async def add_project(self, project: Project) -> None:
        """Stores a new project. Errors: `invalid_parameter` when one of its ids is taken."""

    async def project_named(self, identity: str) -> Project | None:
        """The project with that API key or application id."""

    async def projects(self) -> tuple[Project, ...]:
        """All projects, oldest first."""

    async def change_project(self, identity: str, change: ProjectEdit) -> Project | None:
        """The project after the change, durable on return; None if it does not exist. Its ids and
        creation time do not change. Changes are serialized, so none overwrites another. Errors:
        those that `change` raises; the project is then unchanged."""

    async def remove_project(self, identity: str) -> bool:
        """Removes a project with its sessions, the records of its archives, broadcasts and renders,
        its callbacks and their waiting deliveries; False if it does not exist. A server keeps a
        project for `storage.cache_ms` after its removal."""


class SessionStore(Protocol):
    """Sessions never change and go with their project only; an acknowledged record is durable."""

    async def add_session(self, record: SessionRecord) -> None: ...
    async def session(self, session_id: str) -> SessionRecord | None: ...


class CallbackStore(Protocol):
    """Registrations of callbacks, and the outbox of their deliveries.

    The ordering key is session and origin: deliveries with the same key go out one at a time,
    oldest first, and only one claim at a time has any of a key. Times are Unix milliseconds. Every
    method may raise `Unavailable` (`storage_unavailable`).
    """

    async def add_callback(self, callback: Callback) -> None:
        """Errors: `invalid_parameter` when its project does not exist."""

    async def callbacks_of(self, project_id: str) -> tuple[Callback, ...]:
        """The registrations, oldest first; not those of one thing."""

    async def known_callbacks_of(self, project_id: str) -> tuple[Callback, ...]:
        """All that get events, mostly from memory: not older than the last `look`, and with every
        change that this process made."""

    async def remove_callback(self, project_id: str, callback_id: str) -> bool:
        """Removes a registration and its waiting deliveries; False if it does not exist."""

    def may_have_callbacks(self, project_id: str) -> bool:
        """Whether the project has a registration, from memory: as of the last `look`, and with
        everything that was added by this process. A registration of another process or node counts
        from the next `look`."""

    async def look(self, now_ms: int) -> bool:
        """Whether a delivery is due. Call it every second, for it also renews what
        `may_have_callbacks` says."""

    async def queue(self, deliveries: Sequence[NewWebhookDelivery]) -> None:
        """Durable on return, all or none. Skips deliveries that are queued already (same event and
        registration) or whose registration no longer exists."""

    async def claim(self, claim: Claim) -> tuple[WebhookDelivery, ...]:
        """The oldest delivery of each ordering key, if due, and those that follow it. What follows
        one that has failed before is left, because that will probably fail again. Deliveries of a
        key stand together, oldest first. Takes the lock for writing, so `look` first."""

    async def settle(
        self,
        outcomes: Sequence[Outcome],
        claim: Claim | None = None,
        new: Sequence[NewWebhookDelivery] = (),
    ) -> tuple[WebhookDelivery, ...]:
        """Stores outcomes, queues, and claims, in one transaction and in this order."""

    async def queue_figures(self) -> QueueFigures: ...

    async def waiting_of(self, project_id: str) -> int:
        """The number of a project's waiting deliveries."""

    async def dead_letters(self, project_id: str | None, limit: int) -> tuple[DeadLetter, ...]:
        """Deliveries that were given up, newest first."""

    async def revive(self, project_id: str | None, now_ms: int, give_up_ms: int) -> int:
        """Queues deliveries that were given up again, and returns their number."""

    async def purge_dead(self, created_before_ms: int) -> int: ...


class ArchiveStore(Protocol):
    """Every method may raise `Unavailable` (`storage_unavailable`)."""

    async def add_archive(self, record: ArchiveRecord) -> None:
        """Errors: `archive_running` when an archive of the session with the same tag records;
        `invalid_parameter` when the project does not exist."""

    async def change_archive(self, record: ArchiveRecord) -> bool:
        """Stores the record in the place of the earlier one; False if it is gone."""

    async def archive(self, archive_id: str) -> ArchiveRecord | None: ...

    async def archives_of(
        self, project_id: str, session_id: str | None, *, offset: int, limit: int
    ) -> tuple[int, tuple[ArchiveRecord, ...]]:
        """How many there are, and a page of them, newest first. With `session_id` only those of
        that session."""

    async def unfinished_archives(self) -> tuple[ArchiveRecord, ...]:
        """Those that record or whose file is being finished, of all nodes, oldest first."""

    async def archives_kept_until(self, now_ms: int) -> tuple[ArchiveRecord, ...]:
        """The available ones whose files are due to be deleted, of all nodes."""

    async def remove_archive(self, archive_id: str) -> bool:
        """False if it does not exist."""


class BucketStore(Protocol):
    """Where finished archives go. Every method may raise `Unavailable` (`storage_unavailable`)."""

    async def bucket(self, project_id: str) -> Bucket | None:
        """That of a project, by its API key; None: its archives stay on the node."""

    async def set_bucket(self, project_id: str, bucket: Bucket | None) -> None:
        """Errors: `invalid_parameter` when the project does not exist."""


class BroadcastStore(Protocol):
    """Every method may raise `Unavailable` (`storage_unavailable`)."""

    async def add_broadcast(self, record: BroadcastRecord) -> None:
        """Errors: `broadcast_running` when a broadcast of the session with the same tag runs;
        `invalid_parameter` when the project does not exist."""

    async def change_broadcast(self, record: BroadcastRecord) -> bool:
        """Stores the record in the place of the earlier one; False if it is gone."""

    async def broadcast(self, broadcast_id: str) -> BroadcastRecord | None: ...

    async def broadcasts_of(
        self, project_id: str, session_id: str | None, *, offset: int, limit: int
    ) -> tuple[int, tuple[BroadcastRecord, ...]]:
        """How many there are, and a page of them, newest first. With `session_id` only those of
        that session."""

    async def running_broadcasts(self) -> tuple[BroadcastRecord, ...]:
        """Of all nodes, oldest first."""

    async def remove_broadcast(self, broadcast_id: str) -> bool:
        """False if it does not exist."""


class RenderStore(Protocol):
    """Every method may raise `Unavailable` (`storage_unavailable`)."""

    async def add_render(self, record: RenderRecord) -> None:
        """Errors: `invalid_parameter` when the project does not exist."""

    async def change_render(self, record: RenderRecord) -> bool:
        """Stores the record in the place of one that runs; False if that is gone or has ended."""

    async def render(self, render_id: str) -> RenderRecord | None: ...

    async def renders_of(
        self, project_id: str, session_id: str | None, *, offset: int, limit: int
    ) -> tuple[int, tuple[RenderRecord, ...]]:
        """How many there are, and a page of them, newest first. With `session_id` only those of
        that session."""

    async def running_renders(self) -> tuple[RenderRecord, ...]:
        """Of all nodes, oldest first."""

    async def forget_callbacks(self, ended_before_ms: int) -> int:
        """Removes the callbacks of single renders that ended before, and have nothing left to be
        delivered."""


class CaptionsStore(Protocol):
    """Every method may raise `Unavailable` (`storage_unavailable`)."""

    async def add_captions(self, record: CaptionsRecord) -> None:
        """Errors: `captions_running` when the session is captioned; `invalid_parameter` when the
        project does not exist."""

    async def change_captions(self, record: CaptionsRecord) -> bool:
        """Stores the record in the place of the earlier one; False if it is gone."""

    async def captions(self, captions_id: str) -> CaptionsRecord | None: ...

    async def remove_captions(self, captions_id: str) -> bool:
        """False if they do not exist."""

    async def forget_callbacks(self, ended_before_ms: int) -> int:
        """Removes the callbacks of single captions that ended before, and have nothing left to be
        delivered."""


class StopStore(Protocol):
    """Every method may raise `Unavailable` (`storage_unavailable`)."""

    async def add_stop(self, stop: AskedStop) -> None: ...

    async def has_stop(self, stop_id: str) -> bool:
        """Whether nobody has removed it yet."""

    async def stops_of(self, object_ids: Collection[str]) -> tuple[AskedStop, ...]: ...

    async def remove_stop(self, stop_id: str) -> bool:
        """False if it does not exist."""

    async def forget_stops(self, asked_before_ms: int) -> int:
        """Removes older ones."""

    async def beat(self, node: str, now_ms: int) -> None:
        """Changes the row of a node, which `remove_stop` removes."""

    async def beats(self) -> Mapping[str, int]:
        """The rows of all nodes, with the time of each."""


class OperatorStore(Protocol):
    """Every method may raise `Unavailable` (`storage_unavailable`)."""

    async def add_operator(self, operator: Operator) -> None:
        """Errors: `invalid_parameter` when the name is taken."""

    async def operator_with(self, token_hash: str) -> Operator | None: ...

    async def operators(self) -> tuple[Operator, ...]:
        """Oldest first."""

    async def remove_operator(self, name: str) -> bool:
        """False if there is no operator with that name."""


class Store(ProjectStore, SessionStore, Protocol):
    @property
    def archives(self) -> ArchiveStore: ...
    @property
    def broadcasts(self) -> BroadcastStore: ...
    @property
    def buckets(self) -> BucketStore: ...
    @property
    def captions(self) -> CaptionsStore: ...
    @property
    def callbacks(self) -> CallbackStore: ...
    @property
    def operators(self) -> OperatorStore: ...
    @property
    def renders(self) -> RenderStore: ...
    @property
    def stops(self) -> StopStore: ...
    @property
    def wrapper(self) -> SecretWrapper:
        """What wraps secrets at rest, also those that are in files beside the database."""

    async def check_writing(self) -> None:
        """Checks that new sessions can be stored, at the cost of storing one.

        Errors: `storage_unavailable`.
        """

    async def rewrap_secrets(self) -> int:
        """Wraps every secret with the newest key, and returns the number of projects."""

    async def close(self) -> None: ...
