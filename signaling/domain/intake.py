"""What one client may send, charged before anything of it is decoded; and for how long it may try.

Two buckets hold: one of messages, one of bytes. Within them a message is decoded, and what the
domain refuses of it is answered by its number. Beyond them nothing is looked at. Each refusal
takes patience, which comes back slowly: who goes on is closed.
"""

from dataclasses import dataclass, field

from signaling.domain.session_state import Bucket

HEADROOM = 2.0
"""More messages are decoded than the domain allows, so that a client that is a little too fast
learns which of its requests was refused."""
RESUMES_PER_S, RESUMES_AT_ONCE = 0.5, 10.0
"""Of one Connection. Each costs a whole `Welcome`; a network that comes and goes takes fewer."""
PATIENCE, PATIENCE_PER_S = 100.0, 1.0
"""Refusals borne at once, and how fast they are forgotten."""


@dataclass(frozen=True, slots=True)
class IntakeRates:
    messages_per_s: float
    message_burst: float
    bytes_per_s: float
    byte_burst: float


@dataclass(slots=True)
class Intake:
    """Owner: the WebSocket of one client. `now_ms` is monotonic."""

    rates: IntakeRates
    began_ms: int
    _messages: Bucket = field(init=False)
    _bytes: Bucket = field(init=False)
    _patience: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self._messages = Bucket(HEADROOM * self.rates.message_burst, self.began_ms)
        self._bytes = Bucket(self.rates.byte_burst, self.began_ms)
        self._patience = Bucket(PATIENCE, self.began_ms)

    def admits(self, size: int, now_ms: int) -> bool:
        """Whether a message of so many bytes may be decoded."""
        rates = self.rates
        burst = HEADROOM * rates.message_burst
        return self._messages.takes(
            now_ms, HEADROOM * rates.messages_per_s, burst
        ) and self._bytes.takes(now_ms, rates.bytes_per_s, rates.byte_burst, float(size))

    def bears(self, now_ms: int) -> bool:
        """Notes a refusal. False: it was one too many."""
        return self._patience.takes(now_ms, PATIENCE_PER_S, PATIENCE)
