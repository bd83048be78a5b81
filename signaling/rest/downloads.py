"""`GET /archives/{id}/{expiry}.{signature}/archive.zip` or `archive.mp4`: the file of an archive.

The link is the credential."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from aiohttp import web

from config.settings import HttpSettings
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
from signaling.http.client_networks import (
    LIMITED,
    client_networks,
    is_client_of_proxy,
    length_of,
    networks_of,
)
from signaling.http.patient_response import PatientResponse
from signaling.http.static_files import refusal_of
from signaling.rest.download_places import RETRY_S, DownloadPlaces
from signaling.storage.base import Store

T = TypeVar("T")
SLOWEST_BYTES_PER_S = 65_536
"""A reader that is slower than this loses a long download."""
_CONTENT = {INDIVIDUAL_FILE: "application/zip", COMPOSED_FILE: "video/mp4"}
READERS = 4
"""Threads that read files: a disk that is slow, or hangs, holds up nothing but downloads."""
DiskWork = Callable[[], T]
_LATER = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED})


@dataclass(frozen=True, slots=True)
class DownloadParts:
    """What downloads work with. `files`: of the archives of this node."""

    store: Store
    files: ArchiveFiles
    clock: Clock
    http: HttpSettings
    places: DownloadPlaces


class Downloads:
    """`close` it when nobody downloads any more."""

    def __init__(self, parts: DownloadParts) -> None:
        self._store, self._files, self._clock = parts.store, parts.files, parts.clock
        self._places = parts.places
        self._proxies = networks_of(parts.http.trusted_proxies)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="download")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def routes(self) -> list[web.RouteDef]:
        return [web.get(f"/archives/{{id}}/{{link}}/{name}", self.handle) for name in _CONTENT]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Errors are answers with the body of the REST API."""
        try:
            record = await self._admitted(request.match_info["id"], request.match_info["link"])
            if not request.path.endswith(f"/{record.file_name}"):
                raise NotFound(ErrorCode.ARCHIVE_NOT_FOUND)
            leave = self._places.take(record, self._networks(request))
            try:
                return await self._response(request, record, leave)
            except BaseException:
                leave()
                raise
        except DomainError as refused:
            return _plain(_answer(refused))

    def _networks(self, request: web.Request) -> tuple[str, ...]:
        """Those of the client that are limited."""
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ()))
        networks = client_networks(request.remote, forwarded, self._proxies)
        if is_client_of_proxy(networks, self._proxies):
            return ()
        return tuple(name for name in networks if length_of(name) in LIMITED)

    async def _response(
        self, request: web.Request, record: ArchiveRecord, leave: Callable[[], None]
    ) -> PatientResponse:
        file = self._files.file(record)
        if not await self._on_disk(partial(_is_plain_file, file)):
            raise NotFound(ErrorCode.ARCHIVE_NOT_FOUND)  # another node's
        refusal = await self._on_disk(partial(refusal_of, request, file))
        if refusal is not None:
            raise refusal

        def over(_: object = None) -> None:
            leave()
            request.task.remove_done_callback(over)

        # Of a client that has gone by now nobody prepares the answer.
        request.task.add_done_callback(over)
        return PatientResponse(
            file,
            headers={
                "Content-Type": _CONTENT[record.file_name],
                "Content-Disposition": f'attachment; filename="{record.id}{file.suffix}"',
                "Cache-Control": "private, no-store",
            },
            extra_s=record.size_bytes / SLOWEST_BYTES_PER_S,
            threads=self._threads,
            on_over=over,
        )

    async def _on_disk(self, work: DiskWork[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

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


def _answer(refused: DomainError) -> Answer:
    answer = error_answer(refused)
    return replace(answer, retry_after_s=RETRY_S) if refused.code in _LATER else answer


def _plain(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
