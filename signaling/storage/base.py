"""What the control plane asks of a store; SQLite and others keep the same contract tests."""

from typing import Protocol

from signaling.domain.projects import Project
from signaling.domain.session_options import SessionRecord


class ProjectStore(Protocol):
    """Every method may raise `Unavailable` (`storage_unavailable`)."""

    async def add_project(self, project: Project) -> None:
        """Keeps a new project. Errors: `invalid_parameter` when one of its names is taken."""

    async def project_named(self, identity: str) -> Project | None:
        """The project with that API key or application id."""

    async def projects(self) -> tuple[Project, ...]:
        """All projects, oldest first."""

    async def replace_project(self, project: Project) -> bool:
        """Replaces what may change: name, add-on switch, public key. False: no such project."""


class SessionStore(Protocol):
    """Sessions never change and are never deleted: a record that was acknowledged is durable."""

    async def add_session(self, record: SessionRecord) -> None: ...
    async def session(self, session_id: str) -> SessionRecord | None: ...


class Store(ProjectStore, SessionStore, Protocol):
    async def close(self) -> None: ...
