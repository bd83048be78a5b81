"""JSON Web Tokens of both kinds. The credential's kind determines the one allowed algorithm.

The token's own header never does (RFC 8725 section 3.1). The callers check the times.

The libraries are imported where they are used, because with what they import they take 11 MB: a
server has them from the first token of an application on.
"""

import base64
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeGuard

from signaling.domain.errors import ErrorCode, Unauthorized
from signaling.domain.projects import Project

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from jwt.types import Options

MAX_TOKEN_CHARS = 8_192
# Application servers' clocks may be this far ahead or behind.
LEEWAY_S = 30
MAX_EXACT = 2**53
"""Exclusive bound of numeric claims, so that every JSON reader reads the same value (RFC 7493)."""

Claims = dict[str, object]
Kind = Literal["secret", "application"]

_SIGNATURE_ONLY: "Options" = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")
# What `json`, the key loader and, beside its own errors, the library can raise on untrusted bytes.
_MALFORMED = (ValueError, TypeError, KeyError, RecursionError)


def signed(claims: Mapping[str, object], secret: str) -> str:
    """A token of the kind `secret`."""
    import jwt  # noqa: PLC0415 - see above

    return jwt.encode(dict(claims), secret, algorithm="HS256")


def peek(token: str) -> Claims:
    """The claims of a token without verification: only good for finding the project."""
    parts = token.split(".")
    if len(token) > MAX_TOKEN_CHARS or len(parts) != 3:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    try:
        body = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = json.loads(body)
    except _MALFORMED as cause:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED) from cause
    if not isinstance(claims, dict):
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    return claims


def verified(token: str, project: Project, kind: Kind, now_s: float) -> Claims:
    """The claims of a token that is signed with one of the project's currently valid keys.

    `secret`: HS256 with the API secret. `application`: RS256 with the application's key.
    Errors: `authentication_failed` for any fault.
    """
    if len(token) > MAX_TOKEN_CHARS:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    if kind == "secret":
        return _of_secret(token, project.secrets(now_s))
    return _of_application(token, [_public_key(pem) for pem in project.public_keys()])


def _of_secret(token: str, secrets: Sequence[str]) -> Claims:
    """HS256 (RFC 7515) without the library, whose look at each character takes longer than all
    else that a token needs. Every client has one."""
    signed_part, _, signature_part = token.rpartition(".")
    header_part, _, claims_part = signed_part.partition(".")
    try:
        header = json.loads(_bytes_of(header_part))
        signature, body = _bytes_of(signature_part), _bytes_of(claims_part)
        if not _is_plain_hs256(header):
            raise ValueError("another kind of token")
        genuine = False
        for secret in secrets:
            expected = hmac.digest(secret.encode(), signed_part.encode(), "sha256")
            genuine |= hmac.compare_digest(expected, signature)
        claims = json.loads(body) if genuine else None
    except _MALFORMED as cause:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED) from cause
    if not isinstance(claims, dict):
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    return claims


def _is_plain_hs256(header: object) -> bool:
    """No extension that a reader has to know (RFC 7515 section 4.1.11), as a body outside."""
    return (
        isinstance(header, dict)
        and header.get("alg") == "HS256"
        and "crit" not in header
        and header.get("b64", True) is not False
        and isinstance(header.get("kid", ""), str)
    )


def _bytes_of(part: str) -> bytes:
    """One part of a token. Raises `ValueError` for all but the one way to write its bytes, with or
    without padding."""
    if _BASE64URL.fullmatch(part) is None or ("=" in part and len(part) % 4):
        raise ValueError("not base64url")
    plain = part.rstrip("=")
    found = base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4))
    if base64.urlsafe_b64encode(found).rstrip(b"=") != plain.encode():
        raise ValueError("not base64url")
    return found


def _of_application(token: str, keys: Sequence["RSAPublicKey"]) -> Claims:
    import jwt  # noqa: PLC0415 - see above

    if not keys:
        raise Unauthorized(
            ErrorCode.AUTHENTICATION_FAILED, "The project has no public key registered."
        )
    for key in keys:
        try:
            claims: Claims = jwt.decode(token, key, algorithms=["RS256"], options=_SIGNATURE_ONLY)
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, *_MALFORMED) as cause:
            raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED) from cause
        return claims
    raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)


@lru_cache(maxsize=256)
def _public_key(pem: str) -> "RSAPublicKey":
    """The key of a PEM, cached: parsing costs more than checking a signature."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        key = load_pem_public_key(pem.encode())
    except _MALFORMED as cause:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED) from cause
    if not isinstance(key, RSAPublicKey):
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    return key


def seconds(claims: Claims, name: str) -> float | None:
    """A time claim in Unix seconds, or None when it is absent (RFC 7519 section 2, NumericDate)."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    # False for NaN, too; a float cannot represent every larger integer.
    if not -MAX_EXACT < value < MAX_EXACT:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    return float(value)


def text(claims: Claims, name: str) -> str | None:
    """A text claim, or None when it is absent."""
    value = claims.get(name)
    if value is None or is_text(value):
        return value
    raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)


def is_text(value: object) -> TypeGuard[str]:
    """Whether the value is a string that UTF-8 can encode: JSON can express a lone surrogate."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_begun(claims: Claims, now_s: float) -> None:
    """Refuses a token that was issued in the future or is not valid yet."""
    for name in ("iat", "nbf"):
        begin_s = seconds(claims, name)
        if begin_s is not None and begin_s > now_s + LEEWAY_S:
            raise Unauthorized(ErrorCode.TOKEN_FROM_FUTURE)
