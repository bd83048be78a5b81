"""When a Subscriber counts as mismatched, and when a sender may switch keys."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from sealroute_client.e2ee.identity import Outcome
from sealroute_client.rules import (
    CHANGE_GRACE_S,
    MISMATCH_FAILURES,
    MISMATCH_SPAN_S,
    REPORT_EVERY_S,
    SPAN_AFTER_CHANGE_S,
    SWITCH_AFTER_S,
)


class Notice(StrEnum):
    """For the application (MISMATCH, MATCH) and for the server (REPORT_…)."""

    MISMATCH = "mismatch"
    MATCH = "match"
    REPORT_MISMATCH = "report_mismatch"
    REPORT_OK = "report_ok"


@dataclass(slots=True)
class _TrackRun:
    failures: int = 0
    since_s: float = 0.0
    has_failed: bool = False


@dataclass(slots=True)
class DecryptionState:
    """Mismatch and match of one Subscriber over its tracks (section 8).

    The server holds back video while it believes in a mismatch, so the first frame that
    opens on any track is reported at once; the application's match waits for all tracks.
    """

    decrypted: int = 0
    failed: int = 0
    is_mismatched: bool = False
    is_reported: bool = False
    _tracks: dict[str, _TrackRun] = field(default_factory=dict)
    _changed_s: float | None = None
    _reported_s: float = 0.0

    def on_frame(self, track: str, outcome: Outcome, now_s: float) -> list[Notice]:
        if outcome is Outcome.REPLAY:
            return []
        run = self._tracks.setdefault(track, _TrackRun())
        if outcome is Outcome.OK:
            return self._on_decrypted(run)
        return self._on_failed(run, now_s)

    def on_secret_change(self, now_s: float) -> list[Notice]:
        """A new secret may decrypt what failed: asks the server for the video again."""
        self._changed_s = now_s
        return self.on_probe()

    def on_probe(self) -> list[Notice]:
        for run in self._tracks.values():
            run.failures = 0
        if not self.is_reported:
            return []
        self.is_reported = False
        return [Notice.REPORT_OK]

    def _on_decrypted(self, run: _TrackRun) -> list[Notice]:
        self.decrypted += 1
        run.failures = 0
        run.has_failed = False
        notices: list[Notice] = []
        if self.is_reported:
            # The video that comes back now gets the whole span again.
            notices += self.on_probe()
        if self.is_mismatched and not any(other.has_failed for other in self._tracks.values()):
            self.is_mismatched = False
            notices.append(Notice.MATCH)
        return notices

    def _on_failed(self, run: _TrackRun, now_s: float) -> list[Notice]:
        self.failed += 1
        if run.failures == 0:
            run.since_s = now_s
        run.failures += 1
        failing_s = round(now_s - run.since_s, 6)
        if run.failures < MISMATCH_FAILURES or failing_s < self._span_s(now_s):
            return []
        run.has_failed = True
        notices = []
        if not self.is_mismatched:
            self.is_mismatched = True
            notices.append(Notice.MISMATCH)
        if not self.is_reported or now_s - self._reported_s >= REPORT_EVERY_S:
            self.is_reported = True
            self._reported_s = now_s
            notices.append(Notice.REPORT_MISMATCH)
        return notices

    def _span_s(self, now_s: float) -> float:
        if self._changed_s is not None and now_s < self._changed_s + CHANGE_GRACE_S:
            return SPAN_AFTER_CHANGE_S
        return MISMATCH_SPAN_S


class KeySwitch:
    """When the senders of a client move to a new secret (section 9): the one rule.

    All others that announced a hint and are present have announced the new one, or 5 s passed.
    Secrets go by their hints here.
    """

    def __init__(self, hint: int) -> None:
        self.current = hint
        self.newest = hint
        self._announced: dict[str, int] = {}
        self._deadline_s: float | None = None

    @property
    def deadline_s(self) -> float | None:
        """When a pending switch is due at the latest."""
        return self._deadline_s

    def announced(self, connection: str, hint: int) -> None:
        self._announced[connection] = hint

    def left(self, connection: str) -> None:
        self._announced.pop(connection, None)

    def keep_only(self, present: Iterable[str]) -> None:
        """After a resume: connections that are missing have left."""
        kept = set(present)
        self._announced = {c: hint for c, hint in self._announced.items() if c in kept}

    def set(self, hint: int, now_s: float, *, immediate: bool = False) -> None:
        """A second change while one is pending does not prolong the use of the old key."""
        self.newest = hint
        if hint == self.current:
            self._deadline_s = None
        elif immediate:
            self._deadline_s = now_s
        elif self._deadline_s is None:
            self._deadline_s = now_s + SWITCH_AFTER_S

    def take_due(self, now_s: float) -> bool:
        """True once for each switch that is due."""
        if self._deadline_s is None:
            return False
        all_ready = all(hint == self.newest for hint in self._announced.values())
        if now_s < self._deadline_s and not all_ready:
            return False
        self.current, self._deadline_s = self.newest, None
        return True
