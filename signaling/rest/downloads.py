"""`GET /archives/{id}/{expiry}.{signature}/archive.zip` or `archive.mp4`: the file of an archive.

The link is the credential."""

import asyncio
from pathlib import Path

from aiohttp import web

from signaling.archives.files import ArchiveFiles
from signaling.clock import Clock
from signaling.domain.archive_links import check_link, may_be_link
from signaling.domain.archiving import (
    COMPOSED_FILE,
    INDIVIDUAL_FILE,
    ArchiveRecord,
    ArchiveStatus,
)
from signaling.domain.errors import DomainError, ErrorCode, NotFound
from signaling.http.answers import Answer, error_answer
from signaling.http.runner import PatientResponse
from signaling.http.static_files import refusal_of
from signaling.storage.base import Store

SLOWEST_BYTES_PER_S = 65_536
"""A reader that is slower than this loses a long download."""
_CONTENT = {INDIVIDUAL_FILE: "application/zip", COMPOSED_FILE: "video/mp4"}


class Downloads:
    def __init__(self, store: Store, files: ArchiveFiles, clock: Clock) -> None:
        self._store, self._files, self._clock = store, files, clock

    def routes(self) -> list[web.RouteDef]:
        return [web.get(f"/archives/{{id}}/{{link}}/{name}", self.handle) for name in _CONTENT]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Errors are answers with the body of the REST API."""
        try:
            record = await self._admitted(request.match_info["id"], request.match_info["link"])
            file = self._files.file(record)
            if not request.path.endswith(f"/{record.file_name}"):
                raise NotFound(ErrorCode.ARCHIVE_NOT_FOUND)
            if not await asyncio.to_thread(_is_plain_file, file):
                raise NotFound(ErrorCode.ARCHIVE_NOT_FOUND)  # another node's
            refusal = await asyncio.to_thread(refusal_of, request, file)
            if refusal is not None:
                raise refusal
        except DomainError as refused:
            return _plain(error_answer(refused))
        return PatientResponse(
            file,
            headers={
                "Content-Type": _CONTENT[record.file_name],
                "Content-Disposition": f'attachment; filename="{record.id}{file.suffix}"',
                "Cache-Control": "private, no-store",
            },
            extra_s=record.size_bytes / SLOWEST_BYTES_PER_S,
        )

    async def _admitted(self, archive_id: str, link: str) -> ArchiveRecord:
        """Errors: `archive_not_found`, `link_expired`."""
        record = await self._store.archives.archive(archive_id) if may_be_link(link) else None
        if record is None:
            raise NotFound(ErrorCode.ARCHIVE_NOT_FOUND)
        project = await self._store.project_named(record.project_id)
        if project is None:
            raise NotFound(ErrorCode.ARCHIVE_NOT_FOUND)
        check_link(project, archive_id, link, int(self._clock.unix_s() * 1000))
        if record.status is not ArchiveStatus.AVAILABLE:
            raise NotFound(ErrorCode.ARCHIVE_NOT_FOUND)
        return record


def _is_plain_file(file: Path) -> bool:
    """Not a link: what wrote into the folder handled the bytes of participants."""
    return file.is_file() and not file.is_symlink()


def _plain(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
