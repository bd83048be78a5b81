"""JSON Web Tokens of both kinds, verified with one algorithm that the credential's kind decides.

The token's own header never chooses (RFC 8725 section 3.1). Times are checked by the callers,
which know what time it is.
"""

import base64
import json
from functools import lru_cache
from typing import Literal, TypeGuard

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.types import Options

from signaling.domain.errors import ErrorCode, Unauthorized
from signaling.domain.projects import Project

MAX_TOKEN_CHARS = 8_192
# Clocks of application servers drift; this is how far they may be ahead or behind.
LEEWAY_S = 30
MAX_EXACT = 2**53
"""Numbers of claims are below: every JSON reader takes them for the same (RFC 7493)."""

Claims = dict[str, object]
Kind = Literal["secret", "application"]

_SIGNATURE_ONLY: Options = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
# What the library, `json` and the key loader can raise on bytes that a stranger chose.
_MALFORMED = (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError)


def peek(token: str) -> Claims:
    """The claims of a token that nobody has verified: good for finding the project, no more."""
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
    """The claims of a token that the project signed, with any of its keys that are valid now.

    `secret`: HS256 with the API secret. `application`: RS256 with the application's key.
    Errors: `authentication_failed`, whatever is wrong with it.
    """
    by_secret = kind == "secret"
    keys: list[str | RSAPublicKey] = [
        *(project.secrets(now_s) if by_secret else map(_public_key, project.public_keys()))
    ]
    if not keys:
        raise Unauthorized(
            ErrorCode.AUTHENTICATION_FAILED, "The project has no public key registered."
        )
    if len(token) > MAX_TOKEN_CHARS:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    for key in keys:
        try:
            claims: Claims = jwt.decode(
                token, key, algorithms=["HS256" if by_secret else "RS256"], options=_SIGNATURE_ONLY
            )
        except jwt.InvalidSignatureError:
            continue
        except _MALFORMED as cause:
            raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED) from cause
        return claims
    raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)


@lru_cache(maxsize=256)
def _public_key(pem: str) -> RSAPublicKey:
    """The key of a PEM. Reading it costs more than checking a signature with it."""
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
    # False for NaN, too; a larger integer is none that a float can hold.
    if not -MAX_EXACT < value < MAX_EXACT:
        raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)
    return float(value)


def text(claims: Claims, name: str) -> str | None:
    """A claim that is a text, or None when it is absent."""
    value = claims.get(name)
    if value is None or is_text(value):
        return value
    raise Unauthorized(ErrorCode.AUTHENTICATION_FAILED)


def is_text(value: object) -> TypeGuard[str]:
    """Whether others can be told of it: JSON can spell half a surrogate pair, UTF-8 can not."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_begun(claims: Claims, now_s: float) -> None:
    """Refuses a token issued in the future or not valid yet."""
    for name in ("iat", "nbf"):
        begin_s = seconds(claims, name)
        if begin_s is not None and begin_s > now_s + LEEWAY_S:
            raise Unauthorized(ErrorCode.TOKEN_FROM_FUTURE)
