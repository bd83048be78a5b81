"""Archives of an end-to-end encrypted session: one of its connections records it. Pure.

The server has nothing that it could record. What it says of an archive is believed where it names a
connection that this client sees as well, for then the application can show who records.
"""

from collections.abc import Container, Mapping
from typing import Any, Final

MAX_ARCHIVES: Final = 100
"""At a time. A session has ten of them at most."""


class MemberArchives:
    """Those that were announced and have not stopped."""

    def __init__(self) -> None:
        self._recording: set[str] = set()

    def believes(self, message: Mapping[str, Any], present: Container[str]) -> bool:
        """Whether `archiveStarted` or `archiveStopped` can be true. `present`: the connections
        that are known, the own one too."""
        archive = str(message["id"])
        if message["t"] == "archiveStopped":
            known = archive in self._recording
            self._recording.discard(archive)
            return known
        recorder = message.get("recorder")
        if recorder is None or recorder not in present or len(self._recording) >= MAX_ARCHIVES:
            return False
        self._recording.add(archive)
        return True
