"""The process of one upload: the job on its standard input, a word on its standard output."""

import asyncio
import os
import stat
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, S3Store

from sfu.egress.buckets import Bucket, UploadFailure, UploadJob
from sfu.egress.uploading.relay import Relay
from sfu.target_policy import TargetPolicy, networks

PART_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 2
RETRIES = {"max_retries": 2, "retry_timeout": timedelta(seconds=60)}
"""Of one request; the server begins again after minutes and hours."""
NICE = 10


def main() -> int:
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=UploadJob)
    with suppress(OSError):
        os.nice(NICE)
    answer = asyncio.run(_upload(job)) if _is_the_file(job) else "file_missing"
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    return 0


def _is_the_file(job: UploadJob) -> bool:
    """A link in its place would bring another file to the customer's bucket."""
    try:
        found = os.lstat(job.file)
    except OSError:
        return False
    is_own = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    return is_own and found.st_size == job.size_bytes


async def _upload(job: UploadJob) -> UploadFailure | None:
    relay = Relay(TargetPolicy(networks(job.allowed_networks)))
    async with relay.running() as proxy_url:
        try:
            store = store_of(job.bucket, proxy_url)
            await obstore.put_async(
                store,
                job.key,
                Path(job.file),
                use_multipart=True,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )
            stored = await obstore.head_async(store, job.key)
        except FileNotFoundError:  # what the library makes of 404
            return "no_bucket"
        except (PermissionDeniedError, UnauthenticatedError):
            return "address_refused" if relay.refused else "denied"
        except (BaseError, OSError, ValueError):
            return "address_refused" if relay.refused else "unreachable"
    return None if stored["size"] == job.size_bytes else "unreachable"


def store_of(bucket: Bucket, proxy_url: str) -> Any:  # noqa: ANN401 - it is optional to be here
    """Errors: those of the library, for settings that make no sense."""
    client = {"proxy_url": proxy_url, "allow_http": True, "timeout": timedelta(minutes=10)}
    where = {} if bucket.endpoint is None else {"endpoint": bucket.endpoint}
    if bucket.kind == "azure":
        return AzureStore(
            bucket.name,
            account_name=bucket.identity,
            account_key=bucket.secret,
            client_options=client,
            retry_config=RETRIES,
            **where,
        )
    return S3Store(
        bucket.name,
        access_key_id=bucket.identity,
        secret_access_key=bucket.secret,
        region=bucket.region,
        virtual_hosted_style_request=False,
        client_options=client,
        retry_config=RETRIES,
        **where,
    )


if __name__ == "__main__":
    sys.exit(main())
