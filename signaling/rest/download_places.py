"""How many downloads there may be at a time: of one archive, from one network, of one project, and
of all together."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from signaling.domain.archiving import ArchiveRecord
from signaling.domain.errors import ERRORS, ErrorCode
from signaling.domain.shares import may_take
from signaling.http.client_networks import LIMITED, length_of

PART = 8
"""One archive and one network have this part of all places; a network within which others are
counted has a multiple of it."""
RETRY_S = 10


class Limit(StrEnum):
    """Which one a download is beyond: the metric's label."""

    ARCHIVE = "archive"
    NETWORK = "network"
    PROJECT = "project"
    ALL = "all"


_REFUSALS: Final = {
    Limit.ARCHIVE: (
        ErrorCode.RATE_LIMITED,
        "Too many downloads of this archive at the same time; try again later.",
    ),
    Limit.NETWORK: (
        ErrorCode.RATE_LIMITED,
        "Too many downloads from your network at the same time; try again later.",
    ),
    Limit.PROJECT: (ErrorCode.OVERLOADED, None),
    Limit.ALL: (ErrorCode.OVERLOADED, None),
}


@dataclass(slots=True)
class DownloadPlaces:
    """`most`: of all together. `count`: called with the limit of each download that is refused."""

    most: int
    count: Callable[[Limit], None]
    taken: int = 0
    _archives: Counter[str] = field(default_factory=Counter)
    _networks: Counter[str] = field(default_factory=Counter)
    _projects: Counter[str] = field(default_factory=Counter)

    def take(self, record: ArchiveRecord, networks: tuple[str, ...]) -> Callable[[], None]:
        """A place, until what is returned is called; more calls do nothing. `networks`: the
        client's, or none that are limited. Errors: `rate_limited`, `overloaded`."""
        limit = self._limit(record, networks)
        if limit is not None:
            self.count(limit)
            code, message = _REFUSALS[limit]
            raise ERRORS[code].kind(code, message)
        keys = (
            *((self._networks, name) for name in networks),
            (self._archives, record.id),
            (self._projects, record.project_id),
        )
        self.taken += 1
        for counter, key in keys:
            counter[key] += 1
        left = False

        def leave() -> None:
            nonlocal left
            if left:
                return
            left = True
            self.taken -= 1
            for counter, key in keys:
                counter[key] -= 1
                if not counter[key]:
                    del counter[key]

        return leave

    def _limit(self, record: ArchiveRecord, networks: tuple[str, ...]) -> Limit | None:
        part = max(1, self.most // PART)
        if self._archives[record.id] >= part:
            return Limit.ARCHIVE
        if any(self._networks[name] >= part * LIMITED[length_of(name)] for name in networks):
            return Limit.NETWORK
        free = self.most - self.taken
        if free <= 0:
            return Limit.ALL
        return None if may_take(self._projects[record.project_id], free) else Limit.PROJECT
