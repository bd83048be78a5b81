"""What an operator must be able to look up later: who was refused what, one line each.

Lines carry the event, a code and identities, never a credential. What a stranger claims to be is
written down only where it has the shape of a project's name.
"""

import structlog

from sfu.ids import short
from signaling.domain.errors import DomainError
from signaling.domain.features import Feature
from signaling.domain.projects import is_api_key, is_application_id
from signaling.domain.session_options import SessionRecord

_log = structlog.get_logger("audit")
UNKNOWN = "unknown"


def feature_refused(feature: Feature, reason: str, record: SessionRecord, dialect: str) -> None:
    """A feature was not started because of what the session is. `reason` is the metric's."""
    _log.warning(
        "feature refused",
        feature=feature.value,
        reason=reason,
        project=record.project_id,
        session=short(record.session_id[-12:]),
        dialect=dialect,
    )


def administered(operator: str, method: str, path: str, status: int) -> None:
    """An operator changed something over the admin API, or tried to."""
    _log.info("administered", operator=operator, method=method, path=path, status=status)


def credentials_refused(where: str, failure: DomainError, claimed: str = "") -> None:
    """A caller is not who it claims to be. `where` is the metric's: rest, websocket,
    whip, admin."""
    _log.warning(
        "credentials refused",
        where=where,
        code=failure.code.value,
        claimed_project=claimed if is_api_key(claimed) or is_application_id(claimed) else UNKNOWN,
    )
