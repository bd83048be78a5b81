"""Features that need unencrypted media, and their refusals on encrypted or relayed Sessions."""

from enum import StrEnum

from signaling.domain.errors import DomainError, ErrorCode, error
from signaling.domain.session_options import MediaMode, SessionOptions


class Feature(StrEnum):
    ARCHIVE = "archive"
    BROADCAST = "broadcast"
    RENDER = "render"
    SIP = "sip"
    AUDIO_CONNECTOR = "audio_connector"
    CAPTIONS = "captions"


_IS_UNSUPPORTED = "is not supported in end-to-end encrypted sessions."
_ARE_UNSUPPORTED = "are not supported in end-to-end encrypted sessions."

# Feature → (code on an encrypted Session, message there, verb for the message on a relayed one).
REFUSALS: dict[Feature, tuple[ErrorCode, str, str]] = {
    Feature.ARCHIVE: (
        ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA,
        f"Archiving {_IS_UNSUPPORTED}",
        "initiate archives",
    ),
    Feature.BROADCAST: (
        ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA,
        f"Broadcasting {_IS_UNSUPPORTED}",
        "initiate broadcasts",
    ),
    Feature.RENDER: (
        ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA,
        f"Experience Composer {_IS_UNSUPPORTED}",
        "initiate renders",
    ),
    Feature.SIP: (
        ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA,
        f"SIP calls {_ARE_UNSUPPORTED}",
        "initiate SIP calls",
    ),
    Feature.AUDIO_CONNECTOR: (
        ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA,
        f"Audio Connector {_IS_UNSUPPORTED}",
        "connect audio",
    ),
    Feature.CAPTIONS: (
        ErrorCode.CAPTIONS_NEED_CLEAR_MEDIA,
        f"Live captions {_ARE_UNSUPPORTED}",
        "start captions",
    ),
}


def refusal(feature: Feature, options: SessionOptions) -> tuple[str, DomainError] | None:
    """Why a feature cannot start on a Session: the reason for the metric, and the error."""
    code, message, verb = REFUSALS[feature]
    if options.e2ee:
        return "e2ee", error(code, message)
    if options.media_mode is MediaMode.RELAYED:
        text = f"Only routed sessions are allowed to {verb}."
        return "relayed", error(ErrorCode.FEATURE_NEEDS_ROUTED, text)
    return None
