"""Finished archives on their way to the bucket of their project.

Until one is there its status is `stopped`. A bucket that is away is tried again, five times within
a day; then the file stays here, and the archive is `available` like any other. What a server did
not bring there before it stopped, the next start begins again: the files are in their folders.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from sfu.egress.buckets import Bucket, UploadJob
from sfu.egress.uploads import BucketUploads, UploadError
from sfu.ids import short
from signaling.archives.parts import ArchiveParts
from signaling.domain.archiving import ArchiveEvent, ArchiveRecord
from signaling.domain.buckets import object_key
from signaling.domain.errors import Unavailable

log = structlog.get_logger(__name__)

WAITS_S = (60.0, 600.0, 6 * 3_600.0, 17 * 3_600.0)
"""Before the second and each later attempt; about a day in all."""
PATIENCE_MS = 24 * 3_600_000
"""After this an attempt that fails is the last one, whatever was tried before a restart."""
_STORAGE_S = 5.0
Change = Callable[[ArchiveRecord, ArchiveEvent], Awaitable[None]]


class Uploads:
    """`change` applies an event to an archive, stores and reports it."""

    def __init__(
        self, parts: ArchiveParts, uploader: BucketUploads | None, change: Change, allowed: str
    ) -> None:
        self._parts = parts
        self._uploader = uploader
        self._change = change
        self._allowed = allowed
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def offer(self, record: ArchiveRecord) -> None:
        """A stopped archive whose file is complete. One that is under way already stays so."""
        if record.id not in self._tasks:
            task = self._tasks[record.id] = asyncio.create_task(self._bring(record))
            task.add_done_callback(lambda _: self._tasks.pop(record.id, None))

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _bring(self, record: ArchiveRecord) -> None:
        try:
            event = await self._attempts(record)
            while True:
                try:
                    await self._change(record, event)
                    break
                except Unavailable:
                    await self._parts.sleep(_STORAGE_S)
            if event is ArchiveEvent.FILE_KEPT:
                await self._parts.files.delete(record)
        except Exception:
            log.exception("an archive is not uploaded", archive=short(record.id))

    async def _attempts(self, record: ArchiveRecord) -> ArchiveEvent:
        """What becomes of it in the end."""
        for wait_s in (*WAITS_S, None):
            try:
                bucket = await self._parts.store.buckets.bucket(record.project_id)
                if bucket is None or self._uploader is None:
                    return ArchiveEvent.FILE_DONE  # it is not to go anywhere any more
                await self._uploader.upload(self._job(record, bucket))
            except UploadError as failure:
                code: str = failure.code
            except Unavailable:
                code = "storage_unavailable"
            else:
                self._count("uploaded")
                return ArchiveEvent.FILE_KEPT
            self._count(code)
            is_last = wait_s is None or self._age_ms(record) >= PATIENCE_MS
            log.warning(
                "an archive is not in its bucket", archive=short(record.id), code=code, last=is_last
            )
            if wait_s is None or is_last:
                break
            await self._parts.sleep(wait_s)
        self._count("given_up")
        return ArchiveEvent.FILE_DONE

    def _age_ms(self, record: ArchiveRecord) -> int:
        """Since it stopped."""
        return self._parts.unix_ms() - record.updated_ms

    def _job(self, record: ArchiveRecord, bucket: Bucket) -> UploadJob:
        file = str(self._parts.files.file(record).absolute())
        return UploadJob(bucket, object_key(record), file, record.size_bytes, self._allowed)

    def _count(self, result: str) -> None:
        self._parts.metrics.archive_uploads.labels(result).inc()
