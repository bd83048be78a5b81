"""What the operator of a member service lets it do; pure.

The server asks, and may be an attacker: it can name any session, as often as it likes and for as
long as it likes.
"""

from dataclasses import dataclass, field
from typing import Literal

Refusal = Literal["refused", "no_capacity"]

ANY = "any"
STARTS_AT_ONCE = 8
STARTS_PER_S = 0.2
"""Each costs 600,000 iterations for the keys, a command for the secret where there is one, and a
process."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`sessions`: those that may be recorded; None: all of the project, for whom there is a
    secret. `archives_max` at a time, each for `archive_s` at most."""

    sessions: frozenset[str] | None
    archives_max: int = 4
    archive_s: float = 4 * 3600.0
    min_free_bytes: int = 2_048_000_000

    @classmethod
    def of(cls, allowed: list[str], **limits: object) -> "Policy":
        """`allowed`: session ids, or `any`."""
        sessions = None if ANY in allowed else frozenset(allowed)
        return cls(sessions, **limits)  # type: ignore[arg-type]

    def allows(self, session: str) -> bool:
        return self.sessions is None or session in self.sessions


@dataclass(slots=True)
class Admission:
    """What is recorded now, and whether there may be more."""

    policy: Policy
    running: set[str] = field(default_factory=set)
    _starts: float = STARTS_AT_ONCE
    _at_s: float | None = None

    def refusal(self, archive: str, session: str, now_s: float) -> Refusal | None:
        """Why the archive is not recorded. None: it is running from now on."""
        if archive in self.running or not self.policy.allows(session):
            return "refused"
        if len(self.running) >= self.policy.archives_max or not self._takes(now_s):
            return "no_capacity"
        self.running.add(archive)
        return None

    def _takes(self, now_s: float) -> bool:
        since_s = 0.0 if self._at_s is None else max(0.0, now_s - self._at_s)
        self._at_s = now_s
        self._starts = min(STARTS_AT_ONCE, self._starts + STARTS_PER_S * since_s)
        if self._starts < 1:
            return False
        self._starts -= 1
        return True
