"""What brings archives to buckets, in memory: `objects` has what is there, by its key.

While `is_away` says so, an upload fails with `failure`.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from sfu.egress.buckets import UploadFailure, UploadJob
from sfu.egress.uploads import UploadError


class FakeUploader:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.jobs: list[UploadJob] = []
        self.failure: UploadFailure = "unreachable"
        self.is_away: Callable[[], bool] = lambda: False

    async def upload(self, job: UploadJob) -> None:
        self.jobs.append(job)
        if self.is_away():
            raise UploadError(self.failure)
        self.objects[job.key] = await asyncio.to_thread(Path(job.file).read_bytes)
