"""Totals of the plane itself, beside those of the core: one row each.

The label of a total, if it has one, follows a dot in `MediaPlane.counters()`.
"""

from collections.abc import Mapping
from enum import StrEnum


class PlaneCounter(StrEnum):
    HANDSHAKES = "handshakes"
    TRANSPORTS_LOST = "transports_lost"
    COMMANDS_FAILED = "commands_failed"
    COMMANDS_AFTER_CORE_END = "commands_after_core_end"
    ICE_RESTARTS = "ice_restarts"
    DTLS_BEFORE_ICE = "dtls_before_ice"
    DTLS_DISCARDED_RECORDS = "dtls_discarded_records"

    def of(self, label: str) -> str:
        """The name of the total for one value of its label."""
        return f"{self.value}.{label}"


HELP: Mapping[PlaneCounter, str] = {
    PlaneCounter.HANDSHAKES: "DTLS handshakes, by how they ended.",
    PlaneCounter.TRANSPORTS_LOST: "Transports that ended without being closed by either side.",
    PlaneCounter.COMMANDS_FAILED: "Commands that conflicted with the core's state.",
    PlaneCounter.COMMANDS_AFTER_CORE_END: "Commands that ended something after its core had ended.",
    PlaneCounter.ICE_RESTARTS: "ICE restarts.",
    PlaneCounter.DTLS_BEFORE_ICE: "DTLS records that arrived before a valid check.",
    PlaneCounter.DTLS_DISCARDED_RECORDS: "DTLS records that a handshake discarded as malformed.",
}
LABELS: Mapping[PlaneCounter, str] = {
    PlaneCounter.HANDSHAKES: "result",
    PlaneCounter.TRANSPORTS_LOST: "reason",
    PlaneCounter.COMMANDS_FAILED: "command",
}
