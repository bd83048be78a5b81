"""How far the DTLS of a transport has come."""

from enum import StrEnum


class DtlsState(StrEnum):
    HANDSHAKING = "handshaking"
    CONNECTED = "connected"
    CLOSED = "closed"
    FAILED = "failed"
