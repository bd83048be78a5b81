"""Where the finished archives of a project go: checks of what an operator says of a bucket."""

import re
from urllib.parse import urlsplit

from sfu.egress.buckets import Bucket
from signaling.domain.archiving import ArchiveRecord
from signaling.domain.errors import BadRequest, ErrorCode

MAX_SECRET_CHARS = 1_024
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_IDENTITY = re.compile(r"[\x21-\x7e]{1,256}")
_REGION = re.compile(r"[a-z0-9-]{1,64}")


def checked_bucket(bucket: Bucket) -> Bucket:
    """Errors: `invalid_parameter`. Whether the credentials are good, the first upload says."""
    if not _BUCKET.fullmatch(bucket.name):
        raise _wrong("The name of a bucket has 3 to 63 small letters, digits, dots and dashes.")
    if not _IDENTITY.fullmatch(bucket.identity):
        raise _wrong("The id of the access key, or the name of the account, is missing.")
    if not 1 <= len(bucket.secret) <= MAX_SECRET_CHARS or not bucket.secret.isascii():
        raise _wrong("The secret of the access key is missing.")
    if not _REGION.fullmatch(bucket.region):
        raise _wrong("A region is a word such as eu-central-1.")
    if bucket.endpoint is not None:
        _check_endpoint(bucket.endpoint)
    return bucket


def _check_endpoint(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        is_one = parts.scheme in ("https", "http") and parts.hostname and parts.port != 0
    except ValueError:  # of brackets that are no address, and of ports that are none
        is_one = False
    if not is_one or parts.username:
        raise _wrong("An endpoint is a URL such as https://minio.example.com:9000.")


def object_key(record: ArchiveRecord) -> str:
    """As the vendor names it: by project and archive."""
    return f"{record.project_id}/{record.id}/{record.file_name}"


def described_bucket(bucket: Bucket | None) -> dict[str, object]:
    """Without the secret."""
    if bucket is None:
        return {"storage": "local"}
    return {
        "storage": bucket.kind,
        "bucket": bucket.name,
        "identity": bucket.identity,
        "region": bucket.region if bucket.kind == "s3" else None,
        "endpoint": bucket.endpoint,
    }


def _wrong(text: str) -> BadRequest:
    return BadRequest(ErrorCode.INVALID_PARAMETER, text)
