"""Links to the files of archives: a link is enough to download the file until it expires.

They are signed with a key that is derived from the project's secret, so they need no storage, and
any node of the project can check them.
"""

import hashlib
import hmac

from signaling.domain.errors import ErrorCode, NotFound, error
from signaling.domain.projects import Project

LINK_S = 600
"""Long enough to begin a download; a link may end up in somebody's log."""
_CONTEXT = b"sealroute archive link v1"
_MAX_EXPIRY_DIGITS = 12


def link_path(project: Project, archive_id: str, now_s: int, file_name: str) -> str:
    """The path of a link that is valid from now on."""
    expiry = str(now_s + LINK_S)
    signature = _signature(project.api_secret, archive_id, expiry)
    return f"/archives/{archive_id}/{expiry}.{signature}/{file_name}"


def check_link(project: Project, archive_id: str, link: str, now_ms: int) -> None:
    """`link` is `expiry.signature`. Errors: `archive_not_found` for a signature that is not the
    project's, `link_expired`."""
    expiry, _, given = link.partition(".")
    secrets = [project.api_secret]
    if project.previous_secret is not None and now_ms < (project.previous_secret_until_ms or 0):
        secrets.append(project.previous_secret)
    own = [_signature(secret, archive_id, expiry).encode() for secret in secrets]
    if True not in [hmac.compare_digest(one, given.encode()) for one in own]:
        raise NotFound(ErrorCode.ARCHIVE_NOT_FOUND)
    if int(expiry) * 1000 <= now_ms:
        raise error(ErrorCode.LINK_EXPIRED)


def may_be_link(link: str) -> bool:
    """Whether a text has the form of a link, before anything is read for it."""
    expiry, _, signature = link.partition(".")
    return (
        0 < len(expiry) <= _MAX_EXPIRY_DIGITS
        and expiry.isascii()
        and expiry.isdigit()
        and len(signature) == hashlib.sha256().digest_size * 2
        and signature.isascii()
    )


def _signature(secret: str, archive_id: str, expiry: str) -> str:
    key = hmac.new(secret.encode(), _CONTEXT, hashlib.sha256).digest()
    return hmac.new(key, f"{archive_id}.{expiry}".encode(), hashlib.sha256).hexdigest()
