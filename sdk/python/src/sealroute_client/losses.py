"""How soon a lost transport is made again, and when no more.

Every transport takes fresh key ids, and the server says when one is lost: a server that says so
in a loop must not draw them without end (docs/e2ee.md section 2).
"""

from sealroute_client.errors import NotConnected
from sealroute_client.rules import FIRST_LOSS_S, LOSS_QUIET_S, MAX_LOSS_S, MAX_LOSSES


class LostMeanwhile(NotConnected):
    """The transport was lost between a request and the use of its answer. Whether the server took
    the request before the loss or after it cannot be told: it is made once more, over the next
    transport. No application gets this error."""

    def __init__(self) -> None:
        super().__init__("The media transport was lost meanwhile")


class LossBackoff:
    """Of one direction. Times are seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._losses = 0
        self._taken_up_s = 0.0

    def on_loss(self, now_s: float) -> float | None:
        """The delay in seconds before it is made again; None: it has been lost too often."""
        if now_s >= self._taken_up_s + LOSS_QUIET_S:
            self._losses = 0
        if self._losses >= MAX_LOSSES:
            return None
        delay_s = 0.0
        if self._losses > 0:
            delay_s = min(FIRST_LOSS_S * 2 ** (self._losses - 1), MAX_LOSS_S)
        self._losses += 1
        self._taken_up_s = max(now_s, self._taken_up_s) + delay_s
        return delay_s
