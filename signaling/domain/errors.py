"""Every refusal of the control plane: one tree of exceptions, one table of codes.

The class is the kind of failure, the code the exact one, with its message. `ERRORS` maps each code
to what REST, the WebSocket and the SDKs show beside it; a test makes sure that it is complete.
"""

# ruff: noqa: N818 - the kinds are named as in docs/architecture.md

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

# Who raises an error imports its code from here too.
from signaling.domain.error_codes import ErrorCode as ErrorCode  # noqa: PLC0414


class DomainError(Exception):
    """A refusal with a stable code. Raise one of the kinds below, or `error(code)`."""

    def __init__(self, code: ErrorCode | str, message: str | None = None) -> None:
        self.code = ErrorCode(code)
        self.message = message or self.code.message
        super().__init__(f"{self.code.value}: {self.message}")


class BadRequest(DomainError):
    """The request cannot be understood or asks for something impossible."""


class MethodNotAllowed(BadRequest):
    """The resource exists, but only for the methods in `allowed`."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allowed = tuple(allowed)
        super().__init__(ErrorCode.METHOD_NOT_ALLOWED)


class Unauthorized(DomainError):
    """The credential is missing, not valid, or not sufficient."""


class NotFound(DomainError):
    """No such thing exists, or the caller may not know of it."""


class Conflict(DomainError):
    """The request does not fit the current state or mode."""


class Refused(DomainError):
    """A policy or a limit forbids it for every caller."""


class PeerProtocolError(DomainError):
    """The peer violated the protocol, with the message `request_id` if known."""

    request_id: int | None = None


class Unavailable(DomainError):
    """The server cannot do this now, or not at all."""


class SdkError(NamedTuple):
    """An error as the SDKs raise it."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """How one failure is reported.

    `rest_code` is the number in a REST error body; `close_code` closes the WebSocket if the failure
    ends the join (and only then); `sdk` is what the SDKs raise.
    """

    kind: type[DomainError]
    http_status: int
    rest_code: int
    close_code: int
    sdk: SdkError


# Close codes are 4000 + the HTTP status with the same meaning. Exceptions: those of RFC 6455, and
# a flood, which clients must be able to distinguish from a single refusal.
MESSAGE_TOO_BIG = 1009
FLOOD = 4430
INTERNAL_ERROR = 1011
SERVICE_RESTART = 1012


def _row(
    kind: type[DomainError],
    http_status: int,
    sdk: SdkError,
    *,
    rest_code: int | None = None,
    close_code: int | None = None,
) -> ErrorRow:
    return ErrorRow(
        kind=kind,
        http_status=http_status,
        rest_code=http_status if rest_code is None else rest_code,
        close_code=4000 + http_status if close_code is None else close_code,
        sdk=sdk,
    )


_AUTHENTICATION = SdkError("OT_AUTHENTICATION_ERROR", 1004)
_SESSION_ID = SdkError("OT_INVALID_SESSION_ID", 1005)
_CONNECT = SdkError("OT_CONNECT_FAILED", 1006)
_PARAMETER = SdkError("OT_INVALID_PARAMETER", 1011)
_PERMISSION = SdkError("OT_PERMISSION_DENIED", 1500)
_STREAM = SdkError("OT_STREAM_NOT_FOUND", 1604)
_LIMIT = SdkError("OT_STREAM_LIMIT_EXCEEDED", 1605)
_DESCRIPTION = SdkError("OT_SET_REMOTE_DESCRIPTION_FAILED", 1601)
_PUBLISH = SdkError("OT_STREAM_CREATE_FAILED", 1500)
_SERVER = SdkError("OT_UNEXPECTED_SERVER_RESPONSE", 2000)
_NOT_FOUND = SdkError("OT_NOT_FOUND", 1011)
_NOT_SUPPORTED = SdkError("OT_NOT_SUPPORTED", 1011)

E2EE_CODE = 15900
ROUTED_CODE = 15008

_E = ErrorCode
ERRORS: dict[ErrorCode, ErrorRow] = {
    _E.INVALID_MESSAGE: _row(PeerProtocolError, 400, _PARAMETER),
    _E.MESSAGE_TOO_LARGE: _row(PeerProtocolError, 413, _PARAMETER, close_code=MESSAGE_TOO_BIG),
    _E.SECRET_REFUSED: _row(PeerProtocolError, 400, _PARAMETER),
    _E.AUTHENTICATION_FAILED: _row(Unauthorized, 403, _AUTHENTICATION),
    _E.TOKEN_EXPIRED: _row(Unauthorized, 403, _AUTHENTICATION),
    _E.TOKEN_FROM_FUTURE: _row(Unauthorized, 403, _AUTHENTICATION),
    _E.RESUME_UNKNOWN: _row(Conflict, 410, SdkError("OT_NOT_CONNECTED", 1010)),
    _E.INVALID_SESSION_ID: _row(BadRequest, 400, _SESSION_ID),
    _E.SESSION_UNKNOWN: _row(NotFound, 404, _SESSION_ID),
    _E.PERMISSION_DENIED: _row(Unauthorized, 403, _PERMISSION),
    _E.NOT_CONNECTED: _row(Conflict, 409, SdkError("OT_NOT_CONNECTED", 1010)),
    _E.STREAM_NOT_FOUND: _row(NotFound, 404, _STREAM),
    _E.CONNECTION_NOT_FOUND: _row(NotFound, 404, _NOT_FOUND),
    _E.SUBSCRIBER_NOT_FOUND: _row(NotFound, 404, SdkError("OT_NOT_FOUND", 1112)),
    _E.CONNECTION_LIMIT: _row(Refused, 409, SdkError("OT_CONNECTION_LIMIT_EXCEEDED", 1027)),
    _E.SESSION_LIMIT: _row(Refused, 409, SdkError("OT_CONNECTION_LIMIT_EXCEEDED", 1027)),
    _E.ORIGIN_REFUSED: _row(Unauthorized, 403, _AUTHENTICATION),
    _E.STREAM_LIMIT: _row(Refused, 409, _LIMIT),
    _E.SUBSCRIBER_LIMIT: _row(Refused, 409, _LIMIT),
    _E.RATE_LIMITED: _row(Refused, 429, SdkError("OT_RATE_LIMIT_EXCEEDED", 1550)),
    _E.MESSAGE_FLOOD: _row(
        Refused, 429, SdkError("OT_RATE_LIMIT_EXCEEDED", 1550), close_code=FLOOD
    ),
    _E.SIGNAL_TOO_LONG: _row(BadRequest, 413, SdkError("OT_INVALID_PARAMETER", 1413)),
    _E.SIGNAL_NOT_ENCRYPTED: _row(Refused, 409, SdkError("OT_INVALID_PARAMETER", 1413)),
    _E.INVALID_PARAMETER: _row(BadRequest, 400, _PARAMETER),
    _E.E2EE_UNSUPPORTED: _row(Refused, 409, SdkError("OT_UNSUPPORTED_BROWSER", 1006)),
    _E.E2EE_REQUIRED: _row(Refused, 409, SdkError("OT_STREAM_CREATE_FAILED", 6000)),
    _E.CODEC_UNSUPPORTED: _row(Refused, 409, SdkError("OT_UNABLE_TO_SUBSCRIBE", 1600)),
    _E.SERVER_SHUTDOWN: _row(Unavailable, 503, _CONNECT, close_code=SERVICE_RESTART),
    _E.OVERLOADED: _row(Unavailable, 503, _CONNECT),
    _E.HOME_AWAY: _row(Unavailable, 503, _CONNECT),
    _E.INTERNAL: _row(Unavailable, 500, _SERVER, close_code=INTERNAL_ERROR),
    _E.SDP_INVALID: _row(BadRequest, 400, _DESCRIPTION),
    _E.SDP_TOO_LARGE: _row(BadRequest, 413, _DESCRIPTION),
    _E.TRACK_UNKNOWN: _row(BadRequest, 400, _PARAMETER),
    _E.STREAM_UNKNOWN: _row(NotFound, 404, _STREAM),
    _E.STREAM_EXISTS: _row(Conflict, 409, _PUBLISH),
    _E.KIDS_MISSING: _row(Refused, 409, SdkError("OT_STREAM_CREATE_FAILED", 6000)),
    _E.ANSWER_UNEXPECTED: _row(PeerProtocolError, 409, _PARAMETER),
    _E.SETUP_INVALID: _row(BadRequest, 400, _DESCRIPTION),
    _E.FINGERPRINT_UNSUPPORTED: _row(BadRequest, 400, _DESCRIPTION),
    _E.SSRC_CONFLICT: _row(Conflict, 409, _PUBLISH),
    _E.SUBSCRIPTIONS_EXHAUSTED: _row(Refused, 409, _LIMIT),
    _E.TRANSPORT_CLOSED: _row(Conflict, 409, SdkError("OT_ICE_WORKFLOW_FAILED", 1006)),
    _E.CREDENTIALS_INVALID: _row(Unauthorized, 403, _AUTHENTICATION),
    _E.CREDENTIALS_CLOCK: _row(Unauthorized, 403, _AUTHENTICATION),
    _E.PROJECT_MISMATCH: _row(Unauthorized, 403, _AUTHENTICATION, rest_code=-1),
    _E.NOT_FOUND: _row(NotFound, 404, _NOT_FOUND),
    _E.METHOD_NOT_ALLOWED: _row(BadRequest, 405, _NOT_SUPPORTED),
    _E.UPGRADE_INVALID: _row(BadRequest, 400, _PARAMETER),
    _E.CONTENT_TYPE_INVALID: _row(BadRequest, 415, _PARAMETER),
    _E.EXPECTATION_FAILED: _row(BadRequest, 417, _NOT_SUPPORTED),
    _E.RANGE_INVALID: _row(BadRequest, 416, _PARAMETER),
    _E.PRECONDITION_MISSING: _row(BadRequest, 428, _PARAMETER),
    _E.PRECONDITION_FAILED: _row(Conflict, 412, _PARAMETER),
    _E.ICE_RESTART_UNSUPPORTED: _row(BadRequest, 422, _NOT_SUPPORTED),
    _E.BODY_INVALID: _row(BadRequest, 400, _PARAMETER),
    _E.BODY_TOO_LARGE: _row(BadRequest, 413, _PARAMETER),
    _E.SESSION_NOT_FOUND: _row(NotFound, 404, _SESSION_ID),
    _E.NOBODY_CONNECTED: _row(NotFound, 404, _NOT_FOUND),
    _E.SIGNAL_DATA_MISSING: _row(BadRequest, 400, _PARAMETER, rest_code=15202),
    _E.DIGITS_INVALID: _row(BadRequest, 400, _PARAMETER),
    _E.SIP_LEG_NOT_FOUND: _row(NotFound, 404, _NOT_FOUND),
    _E.ARCHIVE_NEEDS_ROUTED: _row(BadRequest, 400, _NOT_SUPPORTED),
    _E.E2EE_NEEDS_ROUTED: _row(BadRequest, 400, _NOT_SUPPORTED, rest_code=15901),
    _E.E2EE_NEVER_ARCHIVED: _row(BadRequest, 400, _NOT_SUPPORTED, rest_code=15902),
    _E.E2EE_UNREADABLE: _row(BadRequest, 400, _PARAMETER, rest_code=15903),
    _E.E2EE_NOT_ENABLED: _row(BadRequest, 400, _NOT_SUPPORTED, rest_code=15904),
    _E.FEATURE_NEEDS_CLEAR_MEDIA: _row(Refused, 409, _NOT_SUPPORTED, rest_code=E2EE_CODE),
    # 400: the SDKs read 409 here as "captions have been started already".
    _E.CAPTIONS_NEED_CLEAR_MEDIA: _row(Refused, 400, _NOT_SUPPORTED, rest_code=E2EE_CODE),
    _E.FEATURE_NEEDS_ROUTED: _row(Refused, 409, _NOT_SUPPORTED, rest_code=ROUTED_CODE),
    _E.FEATURE_UNAVAILABLE: _row(Unavailable, 501, _NOT_SUPPORTED, rest_code=15950),
    _E.NO_CAPACITY: _row(Unavailable, 503, _SERVER, rest_code=15951),
    _E.ARCHIVE_QUOTA: _row(Refused, 409, _SERVER, rest_code=15954),
    _E.CONNECT_FAILED: _row(BadRequest, 400, _PARAMETER, rest_code=15953),
    _E.ARCHIVE_NOT_FOUND: _row(NotFound, 404, _NOT_FOUND),
    _E.ARCHIVE_RUNNING: _row(Conflict, 409, _PARAMETER),
    _E.ARCHIVE_NOT_RECORDING: _row(Conflict, 409, _PARAMETER),
    _E.ARCHIVE_NOT_DELETABLE: _row(Conflict, 409, _PARAMETER),
    _E.STREAM_MODE_AUTO: _row(BadRequest, 405, _NOT_SUPPORTED),
    _E.LINK_EXPIRED: _row(Unauthorized, 403, _PERMISSION),
    _E.BROADCAST_NOT_FOUND: _row(NotFound, 404, _NOT_FOUND),
    _E.BROADCAST_RUNNING: _row(Conflict, 409, _PARAMETER),
    _E.BROADCAST_NOT_RUNNING: _row(Conflict, 409, _PARAMETER),
    _E.ADDRESS_REFUSED: _row(BadRequest, 400, _PARAMETER, rest_code=15952),
    _E.INVALID_STYLESHEET: _row(BadRequest, 400, _PARAMETER, rest_code=15955),
    _E.RENDER_NOT_FOUND: _row(NotFound, 404, _NOT_FOUND),
    _E.CALL_NOT_FOUND: _row(NotFound, 404, _NOT_FOUND),
    _E.CAPTIONS_RUNNING: _row(Conflict, 409, _PARAMETER),
    _E.CAPTIONS_NOT_FOUND: _row(NotFound, 404, _NOT_FOUND),
    _E.CALLBACK_NOT_FOUND: _row(NotFound, 404, _NOT_FOUND),
    _E.STORAGE_UNAVAILABLE: _row(Unavailable, 503, _SERVER),
}

# The SDKs name some failures after the request: (code, tag of the request) → name, number.
ERRORS_BY_REQUEST: dict[tuple[ErrorCode, str], SdkError] = {
    (_E.CODEC_UNSUPPORTED, "publish"): SdkError("OT_STREAM_CREATE_FAILED", 1500),
    (_E.PERMISSION_DENIED, "signal"): SdkError("OT_PERMISSION_DENIED", 1510),
    (_E.PERMISSION_DENIED, "forceDisconnect"): SdkError("OT_PERMISSION_DENIED", 1520),
    (_E.PERMISSION_DENIED, "forceUnpublish"): SdkError("OT_PERMISSION_DENIED", 1530),
    (_E.PERMISSION_DENIED, "forceMuteStream"): SdkError("OT_PERMISSION_DENIED", 1540),
    (_E.PERMISSION_DENIED, "forceMuteAll"): SdkError("OT_PERMISSION_DENIED", 1540),
    (_E.PERMISSION_DENIED, "subscribe"): SdkError("OT_UNABLE_TO_SUBSCRIBE", 1600),
    (_E.STREAM_NOT_FOUND, "forceUnpublish"): SdkError("OT_INVALID_PARAMETER", 1535),
}


REFUSED_TOKENS = frozenset({_E.AUTHENTICATION_FAILED, _E.TOKEN_EXPIRED, _E.TOKEN_FROM_FUTURE})
"""Failures of the client token itself."""


def error(code: ErrorCode | str, message: str | None = None) -> DomainError:
    """The exception for a code."""
    return ERRORS[ErrorCode(code)].kind(code, message)


def sdk_error(code: ErrorCode, request: str | None = None) -> SdkError:
    """What the SDKs raise for a code and the tag of the request, if any."""
    by_request = None if request is None else ERRORS_BY_REQUEST.get((code, request))
    return by_request or ERRORS[code].sdk
