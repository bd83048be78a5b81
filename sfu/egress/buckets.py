"""Where finished archives go: a bucket, and the upload of one file to it."""

from dataclasses import dataclass, field
from typing import Literal

BucketKind = Literal["s3", "azure"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """`name`: the bucket, or the container of Azure; `identity`: the id of the access key, or the
    account. `endpoint`: where it is, unless it is the vendor's own."""

    kind: BucketKind
    name: str
    identity: str
    secret: str = field(repr=False)
    region: str = "us-east-1"
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class UploadJob:
    """`key`: the name of the object; `allowed_networks`: where it may go beside public addresses,
    space-separated."""

    bucket: Bucket
    key: str
    file: str
    size_bytes: int
    allowed_networks: str = ""


UploadFailure = Literal["address_refused", "denied", "unreachable", "no_bucket", "file_missing"]
