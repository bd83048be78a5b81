"""Who calls: the project whose credential a request has."""

from collections.abc import Mapping

from signaling import audit
from signaling.authenticator import Authenticator
from signaling.domain.errors import ErrorCode, Unauthorized
from signaling.domain.projects import Project
from signaling.domain.rest_credentials import Credential, read_credential
from signaling.metrics import Metrics


async def identify(
    headers: Mapping[str, str],
    authenticator: Authenticator,
    metrics: Metrics,
    named: str | None = None,
) -> tuple[Credential, Project]:
    """`named`: the project that the path names.

    Errors: `credentials_invalid`, `project_mismatch`; both are counted and audited."""
    claimed = ""
    try:
        credential = read_credential(headers.get("X-OPENTOK-AUTH"), headers.get("Authorization"))
        claimed = credential.claimed_project
        project = await authenticator.project_of_request(credential)
        _check_named(project, named)
    except Unauthorized as refused:
        metrics.authentication_failures.labels("rest", refused.code.value).inc()
        audit.credentials_refused("rest", refused, claimed)
        raise
    return credential, project


def _check_named(project: Project, named: str | None) -> None:
    if named is not None and not project.is_named(named):
        raise Unauthorized(ErrorCode.PROJECT_MISMATCH)
