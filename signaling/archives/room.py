"""Room for archives: on the disk, and of what one project may have of it.

Both are looked at in threads, for a disk may be slow. What a project has is measured and not what
recordings say of themselves: they handle the bytes of participants.
"""

import asyncio
from enum import StrEnum

from config.settings import ArchiveSettings
from signaling.archives.files import ArchiveFiles

LAST_RESERVE = 8
"""A running archive stops below this part of the space that a new one needs."""
_MB = 1_000_000


class Shortage(StrEnum):
    """Why there is no room: the metric's label."""

    DISK = "disk"
    PLACES = "places"
    QUOTA = "quota"


class Room:
    """As of the last look. Used on the event loop only."""

    def __init__(self, files: ArchiveFiles, settings: ArchiveSettings) -> None:
        self._files = files
        self._settings = settings
        self._free_bytes = 0
        self._used_bytes: dict[str, int] = {}

    async def look(self, projects: set[str]) -> None:
        """At the disk, and at what these projects have there. Errors: `OSError`."""
        self._free_bytes = await asyncio.to_thread(self._files.free_bytes)
        if self._settings.max_project_mb:
            self._used_bytes = await asyncio.to_thread(self._measured, projects)

    def _measured(self, projects: set[str]) -> dict[str, int]:
        return {project: self._files.bytes_of(project) for project in projects}

    def for_new(self, project_id: str) -> Shortage | None:
        """Why no archive of the project may start, if so."""
        return self._shortage(project_id, self._settings.min_free_mb * _MB)

    def for_running(self, project_id: str) -> Shortage | None:
        """Why no archive of the project may go on, if so."""
        return self._shortage(project_id, self._settings.min_free_mb * _MB // LAST_RESERVE)

    def _shortage(self, project_id: str, min_free_bytes: int) -> Shortage | None:
        if self._free_bytes < min_free_bytes:
            return Shortage.DISK
        most_mb = self._settings.max_project_mb
        if most_mb and self._used_bytes.get(project_id, 0) >= most_mb * _MB:
            return Shortage.QUOTA
        return None
