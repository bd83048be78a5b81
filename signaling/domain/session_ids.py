"""Session ids in the format that the official SDKs parse.

`"2_" + base64url("2~{project}~{location}~{created ms}~{random}~~")` without padding. The SDKs
skip two characters, decode, and look for their project in field 1. An id is opaque otherwise: the
properties of a session are in the store.
"""

import base64
import binascii
import re

from signaling.domain.errors import BadRequest, ErrorCode

RANDOM_BYTES = 16
_PREFIX = "2_"
_SHAPE = re.compile(r"[0-9]_[A-Za-z0-9_-]{1,253}")


def new_session_id(project_id: str, location: str, now_ms: int, random_bytes: bytes) -> str:
    """An id for a session of the project. At least 16 `random_bytes` make it unguessable."""
    if len(random_bytes) < RANDOM_BYTES:
        raise ValueError("a session id needs 16 random bytes")
    fields = ("2", project_id, location, str(now_ms), random_bytes.hex(), "", "")
    return _PREFIX + base64.urlsafe_b64encode("~".join(fields).encode()).rstrip(b"=").decode()


def project_of(session_id: str) -> str:
    """The project id that a session id names.

    Errors: `invalid_session_id` when the text is not a session id.
    """
    if _SHAPE.fullmatch(session_id) is None:
        raise BadRequest(ErrorCode.INVALID_SESSION_ID)
    encoded = session_id[2:]
    try:
        text = base64.b64decode(
            encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True
        ).decode()
    except (binascii.Error, ValueError) as cause:
        raise BadRequest(ErrorCode.INVALID_SESSION_ID) from cause
    fields = text.split("~")
    if len(fields) < 5 or not fields[1]:
        raise BadRequest(ErrorCode.INVALID_SESSION_ID)
    return fields[1]
