"""SIP calls: whom one calls, as whom, and what is told of it; pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sfu.egress.sip_jobs import CallEnd
from sfu.egress.sip_uri import MessageError, Uri
from signaling.domain.errors import BadRequest, ErrorCode

MAX_URI_CHARS = 1_024
MAX_HEADER_BYTES = 2_048
MAX_LOGIN_CHARS = 256
MAX_DIGITS = 256
MUTE_KEYS = "*6"
"""With these the telephone mutes itself, and is heard again."""
TRANSPORTS = frozenset({"udp", "tcp", "tls"})
_NAME = re.compile(r"[Xx]-[A-Za-z0-9!%*_+`'~.-]{1,126}")
_VALUE = re.compile(r"[\x20-\x7e\x80-\U0010ffff]*")
_DIGITS = re.compile(r"[0-9*#p]{1,256}")
_ANONYMOUS = "+00000000"

Word = Literal["DIALING", "RINGING", "ACTIVE", "ON_HOLD", "HANGUP"]
WORDS: Mapping[str, Word] = {
    "dialing": "DIALING",
    "ringing": "RINGING",
    "early": "RINGING",
    "active": "ACTIVE",
    "held": "ON_HOLD",
}
_REASONS = {
    "closed": (700, "normal"),
    "lost": (703, "unexpected"),
    "silent": (704, "media timeout"),
    "too_long": (705, "maximum duration exceeded"),
}


@dataclass(frozen=True, slots=True)
class CallInfo:
    """What callbacks say of a call."""

    id: str
    connection_id: str
    created_ms: int


def target_of(uri: str) -> Uri:
    """Errors: `invalid_parameter`."""
    try:
        target = Uri.parse(uri)
    except MessageError:
        raise _invalid("'sip.uri' must be a sip: or sips: address") from None
    if len(uri) > MAX_URI_CHARS or target.transport not in TRANSPORTS:
        raise _invalid("'sip.uri' must have the transport udp, tcp or tls")
    return target


def caller_of(wanted: str | None, target: Uri) -> str:
    """The URI of From. `wanted`: user@host, or a user alone. Errors: `invalid_parameter`."""
    text = (wanted or _ANONYMOUS).removeprefix("sip:")
    if "@" not in text:
        text = f"{text}@{Uri('sip', target.host)}".replace("@sip:", "@")
    try:
        Uri.parse(f"sip:{text}")
    except MessageError:
        raise _invalid("'sip.from' must have the form user@host") from None
    return f"sip:{text}"


def check_headers(headers: Mapping[str, str]) -> None:
    """Errors: `invalid_parameter`."""
    size = sum(len(name.encode()) + len(value.encode()) for name, value in headers.items())
    if size > MAX_HEADER_BYTES:
        raise _invalid(f"'sip.headers' have more than {MAX_HEADER_BYTES} bytes")
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or "\x7f" in value:
            raise _invalid("'sip.headers' must be valid headers whose names begin with X-")


def check_login(username: str, password: str) -> None:
    """Errors: `invalid_parameter`."""
    for text in (username, password):
        if len(text) > MAX_LOGIN_CHARS or not _VALUE.fullmatch(text) or "\x7f" in text:
            raise _invalid("'sip.auth' must be printable and no longer than 256 characters")


def check_digits(digits: str) -> None:
    """Errors: `digits_invalid`."""
    if not _DIGITS.fullmatch(digits):
        raise BadRequest(ErrorCode.DIGITS_INVALID)


def call_details(call: CallInfo, **more: object) -> dict[str, object]:
    """The members of a callback."""
    about = {
        "id": call.id,
        "connectionId": call.connection_id,
        "createdAt": call.created_ms,
    }
    return {"call": about, **more}


def end_details(call: CallInfo, end: CallEnd) -> dict[str, object]:
    """Of `callDestroyed`: the status of SIP where the call was refused, else the vendor's."""
    code, text = _REASONS.get(end.how, (end.status, end.reason))
    return call_details(call, reason_code=code, reason_message=text)


def _invalid(text: str) -> BadRequest:
    return BadRequest(ErrorCode.INVALID_PARAMETER, f"{text}.")
