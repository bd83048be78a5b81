"""The audit log: refusals and administration, one line each.

Lines have the event, a code and identities, never a credential. The project that an unauthenticated
caller claims is logged only if it has the form of a project id.
"""

from typing import Literal

import structlog

from sfu.ids import short
from signaling.domain.archiving import ArchiveRecord
from signaling.domain.broadcasting import BroadcastRecord
from signaling.domain.captioning import CaptionsRecord
from signaling.domain.errors import DomainError
from signaling.domain.features import Feature
from signaling.domain.projects import is_api_key, is_application_id
from signaling.domain.rendering import RenderRecord
from signaling.domain.session_options import SessionRecord

_log = structlog.get_logger("audit")
UNKNOWN = "unknown"
ArchiveAction = Literal["started", "stopped", "deleted"]
BroadcastAction = Literal["started", "stopped"]
CaptionsAction = Literal["started", "stopped"]


def feature_refused(feature: Feature, reason: str, record: SessionRecord, dialect: str) -> None:
    """A feature was refused because of the session's properties. `reason` is the metric's."""
    _log.warning(
        "feature refused",
        feature=feature.value,
        reason=reason,
        project=record.project_id,
        session=short(record.session_id[-12:]),
        dialect=dialect,
    )


def archive_changed(action: ArchiveAction, record: ArchiveRecord, dialect: str) -> None:
    """An application started, stopped or deleted an archive."""
    _log.info(
        f"archive {action}",
        project=record.project_id,
        session=short(record.session_id[-12:]),
        archive=short(record.id),
        dialect=dialect,
    )


def broadcast_changed(action: BroadcastAction, record: BroadcastRecord, dialect: str) -> None:
    """An application started or stopped a broadcast."""
    _log.info(
        f"broadcast {action}",
        project=record.project_id,
        session=short(record.session_id[-12:]),
        broadcast=short(record.id),
        dialect=dialect,
    )


def captions_changed(action: CaptionsAction, record: CaptionsRecord, dialect: str) -> None:
    """An application started or stopped captions."""
    _log.info(
        f"captions {action}",
        project=record.project_id,
        session=short(record.session_id[-12:]),
        captions=short(record.id),
        dialect=dialect,
    )


def audio_connected(session: SessionRecord, connector: str, dialect: str) -> None:
    """An application connected a session's audio to a WebSocket of its own."""
    _log.info(
        "audio connected",
        project=session.project_id,
        session=short(session.session_id[-12:]),
        connector=short(connector),
        dialect=dialect,
    )


def called(session: SessionRecord, call: str, dialect: str) -> None:
    """An application called a SIP address into a session."""
    _log.info(
        "called",
        project=session.project_id,
        session=short(session.session_id[-12:]),
        call=short(call),
        dialect=dialect,
    )


def render_changed(
    action: Literal["started", "stopped"], record: RenderRecord, dialect: str
) -> None:
    """An application began to publish a web page, or stopped."""
    _log.info(
        f"render {action}",
        project=record.project_id,
        session=short(record.session_id[-12:]),
        render=short(record.id),
        dialect=dialect,
    )


def administered(operator: str, method: str, path: str, status: int) -> None:
    """An operator changed something with the admin API, or tried to."""
    _log.info("administered", operator=operator, method=method, path=path, status=status)


def credentials_refused(where: str, failure: DomainError, claimed: str = "") -> None:
    """A caller's credentials were refused. `where` is the metric's: rest, websocket, whip,
    admin."""
    _log.warning(
        "credentials refused",
        where=where,
        code=failure.code.value,
        claimed_project=claimed if is_api_key(claimed) or is_application_id(claimed) else UNKNOWN,
    )
