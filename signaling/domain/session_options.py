"""The options of `POST /session/create` and their valid combinations."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from signaling.domain.errors import BadRequest, ErrorCode


class MediaMode(StrEnum):
    ROUTED = "routed"
    RELAYED = "relayed"


class ArchiveMode(StrEnum):
    MANUAL = "manual"
    ALWAYS = "always"


RESOLUTIONS = frozenset({"640x480", "480x640", "1280x720", "720x1280", "1920x1080", "1080x1920"})
MAX_ARCHIVE_NAME_CHARS = 80

# `routed` and `relayed` are not documented, but one official SDK sends them.
_MEDIA_MODES = {
    "disabled": MediaMode.ROUTED,
    "routed": MediaMode.ROUTED,
    "enabled": MediaMode.RELAYED,
    "relayed": MediaMode.RELAYED,
    "always": MediaMode.RELAYED,
}
ModeT = TypeVar("ModeT", MediaMode, ArchiveMode)
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """The properties of a Session. None of them, above all `e2ee`, changes after creation."""

    media_mode: MediaMode = MediaMode.ROUTED
    archive_mode: ArchiveMode = ArchiveMode.MANUAL
    e2ee: bool = False
    archive_name: str | None = None
    archive_resolution: str | None = None
    location: str = ""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A Session as the store keeps it. `project_id` is the API key of its Project."""

    session_id: str
    project_id: str
    options: SessionOptions
    created_ms: int


def parse_session_options(
    fields: Mapping[str, object], *, e2ee_default: bool = False
) -> SessionOptions:
    """Options from the fields of a create request; unknown fields are ignored.

    Errors: `invalid_parameter`, `archive_needs_routed` and the `e2ee_…` codes. An unreadable
    `e2ee` is refused; the session is never created without encryption instead.
    """
    e2ee = _read_e2ee(fields, default=e2ee_default)
    media_mode = _choice(fields, "p2p.preference", _MEDIA_MODES, MediaMode.ROUTED)
    archive_mode = _choice(
        fields, "archiveMode", {mode.value: mode for mode in ArchiveMode}, ArchiveMode.MANUAL
    )
    _check_modes(media_mode, archive_mode, e2ee=e2ee)
    always = archive_mode is ArchiveMode.ALWAYS
    return SessionOptions(
        media_mode=media_mode,
        archive_mode=archive_mode,
        e2ee=e2ee,
        archive_name=_archive_name(_text(fields, "archiveName"), always=always),
        archive_resolution=_archive_resolution(_text(fields, "archiveResolution"), always=always),
        location=_location(_text(fields, "location")),
    )


def _check_modes(media_mode: MediaMode, archive_mode: ArchiveMode, *, e2ee: bool) -> None:
    relayed = media_mode is MediaMode.RELAYED
    always = archive_mode is ArchiveMode.ALWAYS
    if e2ee and relayed:
        raise BadRequest(ErrorCode.E2EE_NEEDS_ROUTED)
    if e2ee and always:
        raise BadRequest(ErrorCode.E2EE_NEVER_ARCHIVED)
    if always and relayed:
        raise BadRequest(ErrorCode.ARCHIVE_NEEDS_ROUTED)


def _read_e2ee(fields: Mapping[str, object], *, default: bool) -> bool:
    value = fields.get("e2ee")
    if "e2ee" not in fields:
        return default
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUTH:
        return _TRUTH[value.lower()]
    raise BadRequest(ErrorCode.E2EE_UNREADABLE)


def _text(fields: Mapping[str, object], name: str) -> str | None:
    """A text field. Empty, null and the text `null`, which one SDK writes, count as absent."""
    value = fields.get(name)
    if value is None or value in ("", "null"):
        return None
    if not isinstance(value, str):
        raise BadRequest(ErrorCode.INVALID_PARAMETER, f"'{name}' must be a string.")
    return value


def _choice(
    fields: Mapping[str, object], name: str, choices: Mapping[str, ModeT], default: ModeT
) -> ModeT:
    value = _text(fields, name)
    if value is None:
        return default
    if value not in choices:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, f"'{name}' must be one of {', '.join(choices)}."
        )
    return choices[value]


def _archive_name(value: str | None, *, always: bool) -> str | None:
    if value is not None and not always:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, "'archiveName' is only for archiveMode 'always'."
        )
    if value is not None and len(value) > MAX_ARCHIVE_NAME_CHARS:
        raise BadRequest(ErrorCode.INVALID_PARAMETER, "'archiveName' has more than 80 characters.")
    if value is not None and not _is_storable(value):
        raise BadRequest(ErrorCode.INVALID_PARAMETER, "'archiveName' is not valid Unicode text.")
    return value


def _is_storable(text: str) -> bool:
    """JSON can express a lone surrogate, UTF-8 cannot; databases do not store NUL."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _archive_resolution(value: str | None, *, always: bool) -> str | None:
    if value is not None and not always:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, "'archiveResolution' is only for archiveMode 'always'."
        )
    if value is not None and value not in RESOLUTIONS:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            f"'archiveResolution' must be one of {', '.join(sorted(RESOLUTIONS))}.",
        )
    return value


def _location(value: str | None) -> str:
    if value is None:
        return ""
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError as cause:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, "'location' must be an IPv4 address."
        ) from cause
