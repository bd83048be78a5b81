"""Client tokens: the server SDKs make them offline, and clients present them when they join.

There are three kinds, recognized by their form: `T1==` (HMAC-SHA1 over the raw payload), JWT signed
with the API secret (HS256), JWT signed with the application's private key (RS256).
"""

import base64
import binascii
import hashlib
import hmac
import json
import math
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from signaling.domain import jwt_claims
from signaling.domain.errors import ErrorCode, Unauthorized
from signaling.domain.jwt_claims import LEEWAY_S, MAX_TOKEN_CHARS
from signaling.domain.projects import Project, Quotas
from signaling.domain.roles import CAPABILITIES, Capabilities, Role
from signaling.domain.session_options import SessionRecord

MAX_LIFETIME_S = 30 * 24 * 3600
MAX_CONNECTION_DATA_CHARS = 1_024
MAX_LAYOUT_CLASSES = 64
CONNECT_SCOPE = "session.connect"
ACL_PATH = "/session/**"
_T1_PREFIX = "T1=="
_T1_MAX_FIELDS = 32


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """The claims of a verified client token."""

    session_id: str
    role: Role
    expires_s: float
    connection_data: str = field(default="", repr=False)
    layout_classes: tuple[str, ...] = ()
    digest: bytes = field(default=b"", repr=False, compare=False)
    """Identifies the token without revealing it."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Permission to join: the stored Session and the rights of the token's holder."""

    session: SessionRecord
    role: Role
    expires_s: float
    connection_data: str = field(default="", repr=False)
    layout_classes: tuple[str, ...] = ()
    quotas: Quotas = field(default_factory=Quotas)
    token: bytes = field(default=b"", repr=False)
    """A digest of the client token; joins with one token are counted by it, over every protocol."""

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES[self.role]


def verify_client_token(token: str, project: Project, session_id: str, now_s: float) -> TokenClaims:
    """The claims of a client token for one session.

    Errors: `token_expired`, `token_from_future`; `authentication_failed` for any other fault.
    """
    if len(token) > MAX_TOKEN_CHARS:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    if token.startswith(_T1_PREFIX):
        claims = _verified_t1(token, project, now_s)
    else:
        claims = _verified_jwt(token, project, now_s)
    return _checked(claims, session_id, now_s)


def _verified_jwt(token: str, project: Project, now_s: float) -> jwt_claims.Claims:
    unified = "application_id" in jwt_claims.peek(token)
    claims = jwt_claims.verified(token, project, "application" if unified else "secret", now_s)
    signer = project.application_id if unified else project.api_key
    if claims.get("application_id" if unified else "iss") != signer:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    if claims.get("ist") not in (None, "project"):
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    return claims


def _verified_t1(token: str, project: Project, now_s: float) -> jwt_claims.Claims:
    """The fields of a `T1==` token under the names of the JWT claims.

    The signature covers the raw payload, because the SDKs order and escape it differently.
    """
    try:
        decoded = base64.b64decode(token[len(_T1_PREFIX) :], validate=True)
        head, _, payload = decoded.partition(b":")
        signed_by = _fields(head)
        fields = _fields(payload)
    except (binascii.Error, ValueError) as cause:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED) from cause
    # The SDKs fix the format; HMAC-SHA1 has no known forgery.
    presented = signed_by.get("sig", "").lower().encode()
    genuine = False
    for secret in project.secrets(now_s):
        expected = hmac.new(secret.encode(), payload, hashlib.sha1).hexdigest()
        genuine |= hmac.compare_digest(expected.encode(), presented)
    if not genuine or signed_by.get("partner_id") != project.api_key:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    claims: jwt_claims.Claims = dict(fields)
    for claim, name in (("iat", "create_time"), ("exp", "expire_time")):
        claims.pop(claim, None)
        if name in fields:
            claims[claim] = _seconds(fields[name])
    return claims


def _fields(query: bytes) -> dict[str, str]:
    pairs = parse_qsl(
        query.decode(), keep_blank_values=True, errors="strict", max_num_fields=_T1_MAX_FIELDS
    )
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field appears twice")
    return fields


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError as cause:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED) from cause
    if not math.isfinite(seconds):
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    return seconds


def _checked(claims: jwt_claims.Claims, session_id: str, now_s: float) -> TokenClaims:
    if claims.get("session_id") != session_id:
        raise Unauthorized(
            ErrorCode.AUTHENTICATION_FAILED, "The token was made for another session."
        )
    if claims.get("scope") not in (None, CONNECT_SCOPE) or not _acl_admits(claims.get("acl")):
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED, "The token is not for connecting.")
    return TokenClaims(
        session_id=session_id,
        digest=_digest(claims),
        role=_role(claims),
        expires_s=_checked_expiry(claims, now_s),
        connection_data=_connection_data(claims),
        layout_classes=_layout_classes(claims.get("initial_layout_class_list")),
    )


def _digest(claims: jwt_claims.Claims) -> bytes:
    """A digest of the signed claims; the same claims can be encoded in many ways."""
    return hashlib.sha256(json.dumps(claims, sort_keys=True).encode()).digest()


def _checked_expiry(claims: jwt_claims.Claims, now_s: float) -> float:
    expires_s = jwt_claims.seconds(claims, "exp")
    if expires_s is None:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED, "The token never expires.")
    if expires_s <= now_s:
        raise Unauthorized(ErrorCode.TOKEN_EXPIRED)
    jwt_claims.check_begun(claims, now_s)
    issued_s = jwt_claims.seconds(claims, "iat")
    begin_s = now_s if issued_s is None else min(issued_s, now_s)
    if expires_s - begin_s > MAX_LIFETIME_S + LEEWAY_S:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED, "A token is valid for 30 days at most.")
    return expires_s


def _role(claims: jwt_claims.Claims) -> Role:
    value = claims.get("role", Role.PUBLISHER.value)
    try:
        return Role(str(value))
    except ValueError as cause:
        raise Unauthorized(
            ErrorCode.AUTHENTICATION_FAILED, "The token has an unknown role."
        ) from cause


def _connection_data(claims: jwt_claims.Claims) -> str:
    data = jwt_claims.text(claims, "connection_data") or ""
    if len(data) > MAX_CONNECTION_DATA_CHARS:
        raise Unauthorized(
            ErrorCode.AUTHENTICATION_FAILED,
            f"Connection data is limited to {MAX_CONNECTION_DATA_CHARS} characters.",
        )
    return data


def _layout_classes(value: object) -> tuple[str, ...]:
    """Class names from an array or a space-separated string; both are in use."""
    names = value.split() if isinstance(value, str) else ([] if value is None else value)
    if (
        not isinstance(names, list)
        or len(names) > MAX_LAYOUT_CLASSES
        or not all(jwt_claims.is_text(name) for name in names)
    ):
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    return tuple(names)


def _acl_admits(acl: object) -> bool:
    if acl is None:
        return True
    paths = acl.get("paths") if isinstance(acl, dict) else None
    return isinstance(paths, dict) and ACL_PATH in paths


def new_client_token(project: Project, claims: TokenClaims, now_s: int, nonce: int) -> str:
    """A client token as the legacy SDKs make it by default (HS256)."""
    body: dict[str, object] = {
        "iss": project.api_key,
        "ist": "project",
        "iat": now_s,
        "exp": int(claims.expires_s),
        "nonce": nonce,
        "role": claims.role.value,
        "scope": CONNECT_SCOPE,
        "session_id": claims.session_id,
    }
    if claims.connection_data:
        body["connection_data"] = claims.connection_data
    if claims.layout_classes:
        body["initial_layout_class_list"] = " ".join(claims.layout_classes)
    return jwt_claims.signed(body, project.api_secret)
