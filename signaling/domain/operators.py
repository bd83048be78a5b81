"""Operators: accounts that may administer projects remotely."""

import hashlib
import re
from dataclasses import dataclass, field

from signaling.domain.errors import BadRequest, ErrorCode

TOKEN_MARK = "sealroute_operator_"  # noqa: S105 - a mark for secret scanners, not a secret
TOKEN_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")


@dataclass(frozen=True, slots=True)
class Operator:
    """`token_hash`: SHA-256 in hexadecimal. A token has 256 random bits, so a fast hash will do."""

    name: str
    token_hash: str = field(repr=False)
    created_ms: int = 0


def new_operator(name: str, *, random_bytes: bytes, now_ms: int) -> tuple[Operator, str]:
    """The operator and its token, which is shown only once. Errors: `invalid_parameter`."""
    if _NAME.fullmatch(name) is None:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            "A name has up to 64 letters, digits, '.', '_', '@' or '-'.",
        )
    if len(random_bytes) < TOKEN_BYTES:
        raise ValueError("a token needs more random bytes")
    token = TOKEN_MARK + random_bytes[:TOKEN_BYTES].hex()
    return Operator(name, token_hash(token), now_ms), token


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
