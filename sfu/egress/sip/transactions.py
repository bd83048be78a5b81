"""Requests until they are answered, and answers until they arrived (RFC 3261 section 17); pure.

Times are µs of any clock that does not go back. Over TCP and TLS nothing is repeated.
"""

from dataclasses import dataclass

from sfu.egress.sip.messages import Response

T1_US = 500_000
T2_US = 4_000_000
GIVE_UP_US = 64 * T1_US
NEVER = 2**62


class Repetition:
    """When the same bytes are due again: after T1, then twice as late each time."""

    def __init__(self, now_us: int, *, is_reliable: bool, longest_us: int = NEVER) -> None:
        self._wait_us = T1_US
        self._longest_us = longest_us
        self.due_us = NEVER if is_reliable else now_us + T1_US

    def is_due(self, now_us: int) -> bool:
        """Asking takes the turn."""
        if now_us < self.due_us:
            return False
        self._wait_us = min(self._wait_us * 2, self._longest_us)
        self.due_us = now_us + self._wait_us
        return True

    def slow_down(self, now_us: int) -> None:
        """The server works on it (timer E of section 17.1.2.2)."""
        if self.due_us != NEVER:
            self._wait_us = self._longest_us
            self.due_us = now_us + self._longest_us

    def stop(self) -> None:
        self.due_us = NEVER


@dataclass(frozen=True, slots=True)
class Step:
    """What time brought: bytes to send again, or the end."""

    again: bytes | None = None
    is_over: bool = False


class ClientTransaction:
    """A request that this side sends. After its final response `is_answered`; an INVITE's is
    repeated by the peer until it has the ACK, which the owner sends."""

    def __init__(
        self, data: bytes, method: str, branch: str, now_us: int, *, is_reliable: bool
    ) -> None:
        self.method = method
        self.branch = branch
        self.is_answered = False
        self._data = data
        self._is_invite = method == "INVITE"
        longest_us = NEVER if self._is_invite else T2_US
        self._repetition = Repetition(now_us, is_reliable=is_reliable, longest_us=longest_us)
        self._give_up_us = now_us + GIVE_UP_US
        self.has_response = False

    @property
    def due_us(self) -> int:
        return min(self._repetition.due_us, self._give_up_us)

    def matches(self, response: Response) -> bool:
        return response.branch == self.branch and response.cseq[1] == self.method

    def handle(self, response: Response, now_us: int) -> None:
        self.has_response = True
        if response.status >= 200:
            self.is_answered = True
            self._repetition.stop()
            self._give_up_us = NEVER
        elif self._is_invite:
            self._repetition.stop()
            self._give_up_us = NEVER  # ringing has its own limit
        else:
            self._repetition.slow_down(now_us)

    def step(self, now_us: int) -> Step:
        if now_us >= self._give_up_us:
            self._give_up_us = NEVER
            self._repetition.stop()
            return Step(is_over=True)
        return Step(self._data if self._repetition.is_due(now_us) else None)


class ServerTransaction:
    """A final answer that this side sends. `needs_ack`: that to an INVITE, repeated until the ACK
    is here."""

    def __init__(self, branch: str, answer: bytes, now_us: int, *, needs_ack: bool) -> None:
        self.branch = branch
        self.answer = answer
        self.needs_ack = needs_ack
        # A 2xx is repeated over TCP as well (section 13.3.1.4).
        self._repetition = Repetition(now_us, is_reliable=not needs_ack, longest_us=T2_US)
        self._give_up_us = now_us + GIVE_UP_US

    @property
    def due_us(self) -> int:
        return min(self._repetition.due_us, self._give_up_us)

    def acknowledge(self) -> None:
        self.needs_ack = False
        self._repetition.stop()

    def step(self, now_us: int) -> Step:
        """Over without an ACK: the peer is gone (section 14.2)."""
        if now_us >= self._give_up_us:
            return Step(is_over=True)
        return Step(self.answer if self._repetition.is_due(now_us) else None)
