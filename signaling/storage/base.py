"""What the control plane asks of a store; SQLite and others keep the same contract tests."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from signaling.domain.callbacks import Callback
from signaling.domain.operators import Operator
from signaling.domain.projects import Project
from signaling.domain.session_options import SessionRecord
from signaling.domain.webhook_deliveries import (
    DeadLetter,
    NewWebhookDelivery,
    Outcome,
    QueueFigures,
    WebhookDelivery,
)

ProjectEdit = Callable[[Project], Project]


class ProjectStore(Protocol):
    """Every method may raise `Unavailable` (`storage_unavailable`)."""

    async def add_project(self, project: Project) -> None:
        """Keeps a new project. Errors: `invalid_parameter` when one of its names is taken."""

    async def project_named(self, identity: str) -> Project | None:
        """The project with that API key or application id."""

    async def projects(self) -> tuple[Project, ...]:
        """All projects, oldest first."""

    async def change_project(self, identity: str, change: ProjectEdit) -> Project | None:
        """The project after the change, durable on return; all but its names and its birth may
        change. One change at a time: none undoes another. None: no such project. Errors: what the
        change raises, and then nothing is changed."""


class SessionStore(Protocol):
    """Sessions never change and are never deleted: a record that was acknowledged is durable."""

    async def add_session(self, record: SessionRecord) -> None: ...
    async def session(self, session_id: str) -> SessionRecord | None: ...


class CallbackStore(Protocol):
    """Registrations, and the outbox of what is to be delivered to them.

    A lane is a session and an origin; its deliveries go out one at a time, oldest first. Times
    are Unix milliseconds. Every method may raise `Unavailable` (`storage_unavailable`).
    """

    async def add_callback(self, callback: Callback) -> None:
        """Errors: `invalid_parameter` when its project does not exist."""

    async def callbacks_of(self, project_id: str) -> tuple[Callback, ...]:
        """Oldest first."""

    async def remove_callback(self, project_id: str, callback_id: str) -> bool:
        """With everything that waits for it. False: the project has no such registration."""

    async def queue(self, deliveries: Sequence[NewWebhookDelivery]) -> None:
        """Durable on return, all or none. What is queued already (same event, same registration)
        is passed over; so is what nobody is registered for any more."""

    async def claim(
        self, now_ms: int, *, hidden_until_ms: int, limit: int, but_origins: Collection[str]
    ) -> tuple[WebhookDelivery, ...]:
        """Heads of lanes that are due, hidden from other claims until then or until settled."""

    async def settle(self, outcomes: Sequence[Outcome]) -> None: ...

    async def queue_figures(self) -> QueueFigures: ...

    async def waiting_of(self, project_id: str) -> int:
        """How many deliveries of a project are not settled yet."""

    async def dead_letters(self, project_id: str | None, limit: int) -> tuple[DeadLetter, ...]:
        """Given up, newest first."""

    async def revive(self, project_id: str | None, now_ms: int, give_up_ms: int) -> int:
        """Queues what was given up once more; how many there were."""

    async def purge_dead(self, created_before_ms: int) -> int: ...


class OperatorStore(Protocol):
    """Every method may raise `Unavailable` (`storage_unavailable`)."""

    async def add_operator(self, operator: Operator) -> None:
        """Errors: `invalid_parameter` when the name is taken."""

    async def operator_with(self, token_hash: str) -> Operator | None: ...

    async def operators(self) -> tuple[Operator, ...]:
        """Oldest first."""

    async def remove_operator(self, name: str) -> bool:
        """False: there is none of that name."""


class Store(ProjectStore, SessionStore, Protocol):
    @property
    def callbacks(self) -> CallbackStore: ...
    @property
    def operators(self) -> OperatorStore: ...

    async def check_writing(self) -> None:
        """Whether new sessions can be stored; costs as much as one.

        Errors: `storage_unavailable`.
        """

    async def seal_all(self) -> int:
        """Seals every secret with the newest key; how many projects there are."""

    async def close(self) -> None: ...
