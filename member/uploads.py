"""Finished archives on their way to the customer's bucket, by the same process as those of the
server. What does not get there stays in the folder."""

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from sfu.egress.buckets import Bucket, UploadJob
from sfu.egress.uploads import BucketUploads, UploadError

log = logging.getLogger("sealroute.member")

WAITS_S = (5.0, 60.0, 600.0)
"""Before the second and each later attempt. Meanwhile the archive is one of `--max-archives`."""


@dataclass(frozen=True, slots=True)
class Uploads:
    """`allowed_networks`: where the bucket may be beside public addresses, space-separated."""

    bucket: Bucket
    uploader: BucketUploads
    allowed_networks: str = ""
    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)

    async def bring(self, project: str, archive: str, file: Path, size_bytes: int) -> bool:
        """Whether the archive is in the bucket; its folder is gone then."""
        key = f"{project}/{archive}/{file.name}"
        job = UploadJob(self.bucket, key, str(file), size_bytes, self.allowed_networks)
        for wait_s in (*WAITS_S, None):
            try:
                await self.uploader.upload(job)
            except UploadError as failure:
                log.warning("archive %s: not in the bucket: %s", archive, failure.code)
            else:
                log.info("archive %s: uploaded", archive)
                await asyncio.to_thread(shutil.rmtree, file.parent, ignore_errors=True)
                return True
            if wait_s is not None:
                await self.sleep(wait_s)
        log.error("archive %s: it stays in %s", archive, file)
        return False
