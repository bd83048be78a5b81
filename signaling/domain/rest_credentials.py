"""REST credentials: `X-OPENTOK-AUTH` (HS256) of legacy projects, `Bearer` (RS256) of unified ones.

Client tokens are signed with the same keys and are refused here. Every failure is the same
`credentials_invalid` (403, because some SDKs take a 401 for success), except for wrong times in a
credential with a valid signature (`credentials_clock`).
"""

from dataclasses import dataclass

from signaling.domain import jwt_claims
from signaling.domain.errors import ErrorCode, Unauthorized
from signaling.domain.jwt_claims import LEEWAY_S, Claims, Kind
from signaling.domain.projects import Project

# The documented maximum is 300 s, and one official SDK uses all of it.
LEGACY_MAX_LIFETIME_S = 305
# Unified SDKs default to 900 s and let the application set more.
UNIFIED_MAX_LIFETIME_S = 24 * 3600


_COMPARE = "compare the clock of the machine that made it with the server's."
_TELLING = frozenset({ErrorCode.CREDENTIALS_CLOCK})
"""Failures reported as they are, because only the project's own signature leads to them. All other
failures say no more than that the credential is not valid."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential as presented, with the project that it claims to come from."""

    kind: Kind
    token: str
    claimed_project: str


def read_credential(opentok_auth: str | None, authorization: str | None) -> Credential:
    """The credential in a request's headers, not verified yet."""
    try:
        if opentok_auth is not None:
            return _claimed("secret", opentok_auth.strip(), "iss")
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() == "bearer":
            return _claimed("application", token.strip(), "application_id")
    except Unauthorized as cause:
        raise Unauthorized(ErrorCode.CREDENTIALS_INVALID) from cause
    raise Unauthorized(ErrorCode.CREDENTIALS_INVALID, "The request has no credentials.")


def _claimed(kind: Kind, token: str, claim: str) -> Credential:
    project = jwt_claims.peek(token).get(claim)
    if not isinstance(project, str):
        raise Unauthorized(ErrorCode.CREDENTIALS_INVALID)
    return Credential(kind, token, project)


def new_rest_token(project: Project, now_s: int) -> str:
    """A credential as the legacy SDKs make it, for operator commands."""
    claims = {"iss": project.api_key, "ist": "project", "iat": now_s, "exp": now_s + 180}
    return jwt_claims.signed(claims, project.api_secret)


def verify_credential(credential: Credential, project: Project, now_s: float) -> None:
    """Passes when the project signed the credential for REST and it is fresh."""
    try:
        claims = jwt_claims.verified(credential.token, project, credential.kind, now_s)
        _check_owner(claims, credential.kind, project)
        _check_times(claims, credential.kind, now_s)
    except Unauthorized as cause:
        if cause.code in _TELLING:
            raise
        raise Unauthorized(ErrorCode.CREDENTIALS_INVALID) from cause


def _check_owner(claims: Claims, kind: Kind, project: Project) -> None:
    if kind == "secret":
        own = claims.get("iss") == project.api_key
    else:
        own = claims.get("application_id") == project.application_id
    # Some SDKs put `ist` into the JOSE header, so it may be missing here.
    for_project = claims.get("ist") in (None, "project")
    client_token = "session_id" in claims or claims.get("scope") is not None
    if not own or not for_project or client_token:
        raise Unauthorized(ErrorCode.CREDENTIALS_INVALID)


def _check_times(claims: Claims, kind: Kind, now_s: float) -> None:
    issued_s, expires_s = jwt_claims.seconds(claims, "iat"), jwt_claims.seconds(claims, "exp")
    longest_s = LEGACY_MAX_LIFETIME_S if kind == "secret" else UNIFIED_MAX_LIFETIME_S
    if issued_s is None or expires_s is None:
        raise Unauthorized(ErrorCode.CREDENTIALS_INVALID)
    begin_s = jwt_claims.seconds(claims, "nbf")
    ahead_s = max(issued_s, issued_s if begin_s is None else begin_s) - now_s
    if ahead_s > LEEWAY_S:
        raise Unauthorized(
            ErrorCode.CREDENTIALS_CLOCK,
            f"The credential was issued {ahead_s:.0f} s in the future: {_COMPARE}",
        )
    if expires_s + LEEWAY_S <= now_s:
        raise Unauthorized(
            ErrorCode.CREDENTIALS_CLOCK,
            f"The credential expired {now_s - expires_s:.0f} s ago: make one for each request, "
            f"and {_COMPARE}",
        )
    if expires_s - issued_s > longest_s:
        raise Unauthorized(ErrorCode.CREDENTIALS_INVALID)
