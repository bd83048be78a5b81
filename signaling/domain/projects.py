"""A Project: the tenant that sessions belong to, with its two kinds of credentials."""

import re
import uuid
from dataclasses import dataclass, field

from signaling.domain.errors import BadRequest, ErrorCode

MIN_RSA_BITS = 2048
MAX_NAME_CHARS = 255
# The Java and .NET SDKs hold an API key in a signed 32-bit integer.
API_KEY_MIN = 10_000_000
API_KEY_LIMIT = 2**31
_API_KEY = re.compile(r"[1-9][0-9]{0,9}")
_API_SECRET = re.compile(r"[0-9a-f]{40}")
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----\n?", re.DOTALL)
MAX_PUBLIC_KEYS = 8
SECRET_BYTES = 20


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits of a project; None means that only the server's own limit applies."""

    sessions: int | None = None
    connections: int | None = None
    publish_bps: int | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """`e2ee_enabled` is the add-on switch: whether the project may create end-to-end encrypted
    sessions. `e2ee_by_default`: sessions are encrypted unless the request says otherwise.

    `previous_secret` is valid beside the new one until `previous_secret_until_ms`.
    `public_key_pem` is a concatenation of PEMs. `allowed_origins` is space-separated; empty allows
    every origin. `max_sessions` limits sessions with clients in them (on one node),
    `max_connections` the connections of one session, and `max_publish_bps` the bits per second of
    each video that a client publishes; None means that only the server's own limit applies.

    A project has two names: REST paths and session ids carry either the API key (legacy SDKs)
    or the application id (unified SDKs).
    """

    api_key: str
    api_secret: str = field(repr=False)
    application_id: str
    name: str = ""
    e2ee_enabled: bool = False
    public_key_pem: str | None = field(default=None, repr=False)
    created_ms: int = 0
    previous_secret: str | None = field(default=None, repr=False)
    previous_secret_until_ms: int | None = None
    e2ee_by_default: bool = False
    allowed_origins: str = ""
    max_sessions: int | None = None
    max_connections: int | None = None
    max_publish_bps: int | None = None

    def is_named(self, identity: str) -> bool:
        return identity in (self.api_key, self.application_id)

    def secrets(self, unix_s: float) -> tuple[str, ...]:
        """The API secrets that are valid now, the newest first."""
        until_ms = self.previous_secret_until_ms or 0
        if self.previous_secret is None or unix_s * 1_000 >= until_ms:
            return (self.api_secret,)
        return (self.api_secret, self.previous_secret)

    def public_keys(self) -> tuple[str, ...]:
        """The PEMs of the application's public keys, oldest first."""
        return tuple(_PEM.findall(self.public_key_pem or ""))

    @property
    def quotas(self) -> Quotas:
        return Quotas(self.max_sessions, self.max_connections, self.max_publish_bps)

    def allows_origin(self, origin: str | None) -> bool:
        """Whether a page of this origin may join. Clients other than browsers send no origin."""
        allowed = self.allowed_origins.split()
        return origin is None or not allowed or origin in allowed


def new_project(
    *,
    random_bytes: bytes,
    now_ms: int,
    name: str = "",
    e2ee_enabled: bool = False,
    public_key_pem: str | None = None,
) -> Project:
    """A project with fresh identities from at least 44 random bytes.

    Errors: `invalid_parameter` for a bad name or public key.
    """
    if len(random_bytes) < 44:
        raise ValueError("a project needs 44 random bytes")
    span = API_KEY_LIMIT - API_KEY_MIN
    api_key = API_KEY_MIN + int.from_bytes(random_bytes[:8], "big") % span
    return Project(
        api_key=str(api_key),
        api_secret=random_bytes[8:28].hex(),
        application_id=str(uuid.UUID(bytes=random_bytes[28:44], version=4)),
        name=checked_name(name),
        e2ee_enabled=e2ee_enabled,
        public_key_pem=None if public_key_pem is None else checked_public_key(public_key_pem),
        created_ms=now_ms,
    )


def checked_name(name: str) -> str:
    if len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, "A project name is one line of up to 255 characters."
        )
    return name


def checked_public_key(pem: str) -> str:
    """The PEM of an RSA public key of at least 2048 bits, without surrounding whitespace.

    Errors: `invalid_parameter` for anything else, notably a private key.
    """
    text = pem.strip()
    if "PRIVATE KEY" in text:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            "This is a private key. Keep it secret; the server needs the public key.",
        )
    # Imported where they are used: 8 MB that an idle server does not need.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as cause:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, "The public key is not a valid PEM."
        ) from cause
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_RSA_BITS:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER,
            f"The public key must be RSA with at least {MIN_RSA_BITS} bits.",
        )
    return text + "\n"


def is_api_key(text: str) -> bool:
    return _API_KEY.fullmatch(text) is not None and int(text) < API_KEY_LIMIT


def is_application_id(text: str) -> bool:
    """Lower-case dashed UUID, as the unified SDKs write it."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
