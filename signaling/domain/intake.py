"""Limits on what one client sends, charged before a message is decoded.

Two token buckets apply, one for messages and one for bytes. Within them a message is decoded, and
a refusal of the domain answers the request's id. Beyond them a message is not even decoded. A third
bucket counts refusals: a client that keeps exceeding its limits is disconnected.
"""

from dataclasses import dataclass, field

from signaling.domain.session_state import Bucket

HEADROOM = 2.0
"""Multiple of the domain's message rate that is still decoded, so that a client slightly over the
limit learns which of its requests was refused."""
RESUMES_PER_S, RESUMES_AT_ONCE = 0.5, 10.0
"""Resumes of one Connection. Each costs a complete `Welcome`; an unstable network needs fewer."""
PATIENCE, PATIENCE_PER_S = 100.0, 1.0
"""How many refusals a client may collect, and how fast they expire."""


@dataclass(frozen=True, slots=True)
class IntakeRates:
    messages_per_s: float
    message_burst: float
    bytes_per_s: float
    byte_burst: float


@dataclass(slots=True)
class Intake:
    """The buckets of one client's WebSocket. `now_ms` is monotonic."""

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
        """Whether a message of `size` bytes may be decoded."""
        rates = self.rates
        burst = HEADROOM * rates.message_burst
        return self._messages.takes(
            now_ms, HEADROOM * rates.messages_per_s, burst
        ) and self._bytes.takes(now_ms, rates.bytes_per_s, rates.byte_burst, float(size))

    def tolerates(self, now_ms: int) -> bool:
        """Counts a refusal; False when the client must be disconnected."""
        return self._patience.takes(now_ms, PATIENCE_PER_S, PATIENCE)
