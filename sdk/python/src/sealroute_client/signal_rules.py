"""What a signal may be (OpenTok's limits), checked before anything is sent: of an encrypted one the
server sees too little to refuse it."""

import re
from typing import Final

from sealroute_client.errors import InvalidParameter, SignalTooLong
from sealroute_client.rules import MAX_SIGNAL_DATA_BYTES, MAX_SIGNAL_TYPE_BYTES

_TYPE: Final = re.compile(r"[A-Za-z0-9\-_~]*")


def check_signal(type_: str, data: str) -> None:
    """Errors: InvalidParameter, SignalTooLong."""
    try:
        sizes = len(type_.encode()), len(data.encode())
    except (AttributeError, UnicodeEncodeError):
        raise InvalidParameter("The type and the data of a signal must be Unicode text") from None
    if sizes[0] > MAX_SIGNAL_TYPE_BYTES or sizes[1] > MAX_SIGNAL_DATA_BYTES:
        raise SignalTooLong("A signal may have a type of 128 bytes and data of 8,192 bytes")
    if not _TYPE.fullmatch(type_):
        raise InvalidParameter('The type of a signal may hold letters, digits, "-", "_" and "~"')
