"""The recorders of an end-to-end encrypted session: members that say so themselves. Pure.

The server has nothing that it could record, and is not believed. A member that holds the secret can
record, seen or not; one that says so is shown as long as it is there.
"""

import json
from collections.abc import Iterator
from typing import Final

from sealroute_client.events import ArchiveStarted, ArchiveStopped
from sealroute_client.rules import (
    ARCHIVE_STARTED_SIGNAL,
    ARCHIVE_STOPPED_SIGNAL,
    MAX_MEMBER_ARCHIVES,
)

MAX_ID: Final = 64
LEFT: Final = "recorderLeft"
"""Why an archive is over, by the word of the server alone."""
_MAX_NOTICE: Final = 256
"""Characters of the data of such a signal; longer ones are an application's own."""


class MemberArchives:
    """Those that members of the session record now."""

    def __init__(self) -> None:
        self._recording: dict[str, dict[str, None]] = {}
        """By connection, in their order."""

    def take(
        self, sender: str, signal_type: str, data: str
    ) -> ArchiveStarted | ArchiveStopped | None:
        """What an encrypted signal of a member changes, if anything: newcomers get what others
        know already."""
        if signal_type not in (ARCHIVE_STARTED_SIGNAL, ARCHIVE_STOPPED_SIGNAL):
            return None
        archive = _id_in(data)
        recording = self._recording.get(sender, {})
        if archive is None:
            return None
        if signal_type == ARCHIVE_STOPPED_SIGNAL:
            if archive not in recording:
                return None
            del recording[archive]
            return ArchiveStopped(archive, sender)
        if archive in recording or len(recording) >= MAX_MEMBER_ARCHIVES:
            return None
        self._recording.setdefault(sender, {})[archive] = None
        return ArchiveStarted(archive, sender)

    def leave(self, connection: str) -> Iterator[ArchiveStopped]:
        """Of a member that the server says is gone; only the member knows whether it stopped."""
        for archive in self._recording.pop(connection, {}):
            yield ArchiveStopped(archive, connection, LEFT)


def _id_in(data: str) -> str | None:
    if len(data) > _MAX_NOTICE:
        return None
    try:
        notice = json.loads(data)
    except ValueError:
        return None
    archive = notice.get("id") if isinstance(notice, dict) else None
    return archive if isinstance(archive, str) and 0 < len(archive) <= MAX_ID else None
