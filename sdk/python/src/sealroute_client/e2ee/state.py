"""When a Subscriber counts as mismatched, and when a sender may switch keys."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sealroute_client.e2ee.keys import Outcome

MISMATCH_FAILURES: Final = 5
MISMATCH_SPAN_S: Final = 0.4
"""Shorter would call a change that still spreads a mismatch; longer lets the user wait."""
CHANGE_SPAN_S: Final = 2.0
CHANGE_GRACE_S: Final = 5.0
SWITCH_TIMEOUT_S: Final = 5.0
REPORT_EVERY_S: Final = 5.0
"""While frames keep failing, the server's counts of them are renewed this often."""


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
    """Mismatch and match of one Subscriber over its tracks (section 5.8).

    The server holds back video while it believes in a mismatch, so the first frame that
    opens on any track is reported at once; the application's match waits for all tracks.
    """

    opened: int = 0
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
            return self._on_opened(run)
        return self._on_failed(run, now_s)

    def on_secret_change(self, now_s: float) -> list[Notice]:
        """A new secret may open what failed: asks the server for the video again."""
        self._changed_s = now_s
        return self.on_probe()

    def on_probe(self) -> list[Notice]:
        for run in self._tracks.values():
            run.failures = 0
        if not self.is_reported:
            return []
        self.is_reported = False
        return [Notice.REPORT_OK]

    def _on_opened(self, run: _TrackRun) -> list[Notice]:
        self.opened += 1
        run.failures = 0
        run.has_failed = False
        notices = []
        if self.is_reported:
            self.is_reported = False
            notices.append(Notice.REPORT_OK)
        if self.is_mismatched and not any(other.has_failed for other in self._tracks.values()):
            self.is_mismatched = False
            notices.append(Notice.MATCH)
        return notices

    def _on_failed(self, run: _TrackRun, now_s: float) -> list[Notice]:
        self.failed += 1
        if run.failures == 0:
            run.since_s = now_s
        run.failures += 1
        if run.failures < MISMATCH_FAILURES or now_s - run.since_s < self._span_s(now_s):
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
            return CHANGE_SPAN_S
        return MISMATCH_SPAN_S


@dataclass(slots=True)
class SecretChange:
    """When a sender moves to a new secret: all others are ready for it, or 5 s passed."""

    hint: int
    started_s: float
    immediate: bool = False

    def is_due(self, others: Iterable[str], ready: dict[str, int], now_s: float) -> bool:
        if self.immediate or now_s >= self.started_s + SWITCH_TIMEOUT_S:
            return True
        return all(ready.get(connection) == self.hint for connection in others)
