"""Digest authentication towards SIP servers (RFC 3261 section 22, RFC 8760); pure."""

import hashlib
import re
from dataclasses import dataclass, field

from sfu.egress.sip.messages import Headers
from sfu.egress.sip_uri import split_outside_quotes, unquoted

_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_LETTERS = re.compile(r"[\x20-\x7e\x80-\U0010ffff]*")
ANSWER_OF = {401: ("www-authenticate", "Authorization")}
ANSWER_OF[407] = ("proxy-authenticate", "Proxy-Authorization")
"""By status: where the challenge is, and where its answer goes."""


@dataclass(frozen=True, slots=True)
class Login:
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    realm: str
    nonce: str
    algorithm: str = "MD5"
    opaque: str | None = None
    has_qop: bool = False
    is_stale: bool = False


def challenge_of(headers: Headers, name: str) -> Challenge | None:
    """The first that can be answered: a server lists what it prefers first (RFC 8760 section 2.4).
    Qop `auth-int` alone cannot: our bodies change on their way."""
    for line in headers.lines(name):
        found = _challenge(line)
        if found is not None:
            return found
    return None


def _challenge(line: str) -> Challenge | None:
    scheme, _, rest = line.partition(" ")
    if scheme.lower() != "digest":
        return None
    fields: dict[str, str] = {}
    for part in split_outside_quotes(rest, ","):
        name, _, value = part.partition("=")
        fields[name.strip().lower()] = unquoted(value)
    algorithm = fields.get("algorithm", "MD5").upper()
    qop = [one.strip().lower() for one in fields.get("qop", "").split(",") if one.strip()]
    readable = all(_LETTERS.fullmatch(value) for value in fields.values())
    if algorithm not in _HASHES or "nonce" not in fields or (qop and "auth" not in qop):
        return None
    if not readable:
        return None
    return Challenge(
        realm=fields.get("realm", ""),
        nonce=fields["nonce"],
        algorithm=algorithm,
        opaque=fields.get("opaque"),
        has_qop=bool(qop),
        is_stale=fields.get("stale", "").lower() == "true",
    )


def authorization(
    login: Login, challenge: Challenge, method: str, uri: str, count: int, cnonce: str
) -> str:
    """`count`: how often this nonce was used, from 1."""

    def hashed(text: str) -> str:
        return _HASHES[challenge.algorithm](text.encode()).hexdigest()

    secret = hashed(f"{login.username}:{challenge.realm}:{login.password}")
    wanted = hashed(f"{method}:{uri}")
    number = f"{count:08x}"
    fields = [
        f"username={_quoted(login.username)}",
        f"realm={_quoted(challenge.realm)}",
        f"nonce={_quoted(challenge.nonce)}",
        f"uri={_quoted(uri)}",
        f"algorithm={challenge.algorithm}",
    ]
    if challenge.has_qop:
        answer = hashed(f"{secret}:{challenge.nonce}:{number}:{cnonce}:auth:{wanted}")
        fields += [f'cnonce="{cnonce}"', "qop=auth", f"nc={number}"]
    else:
        answer = hashed(f"{secret}:{challenge.nonce}:{wanted}")
    if challenge.opaque is not None:
        fields.append(f"opaque={_quoted(challenge.opaque)}")
    return f'Digest {", ".join(fields)}, response="{answer}"'


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
