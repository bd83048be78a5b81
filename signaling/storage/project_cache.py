"""Projects for a moment in memory: every join and every event asks for its project."""

from dataclasses import dataclass, field

from signaling.clock import Clock
from signaling.domain.projects import Project
from signaling.storage.base import ProjectStore

MAX_CACHED = 10_000


@dataclass
class ProjectCache:
    """Caches projects briefly. Absence is not cached, so that a project created by the command line
    works at once. Used on the event loop only."""

    store: ProjectStore
    clock: Clock
    lifetime_s: float
    _known: dict[str, tuple[float, Project]] = field(default_factory=dict)

    async def project_named(self, identity: str) -> Project | None:
        now_s = self.clock.monotonic_s()
        entry = self._known.get(identity)
        if entry is not None and entry[0] > now_s:
            return entry[1]
        project = await self.store.project_named(identity)
        if project is not None and self.lifetime_s > 0:
            if len(self._known) >= MAX_CACHED:
                self._known.clear()
            self._known[identity] = (now_s + self.lifetime_s, project)
        return project
