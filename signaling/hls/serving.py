"""`GET /hls/{id}/{key}/{file}`: live playlists and their parts, for players of any web page.

The key in the path is the credential, so no path is ever logged.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from sfu.egress.blocking_reload import Answer, Wanted, answer, wanted_of
from signaling.hls.folders import PLAYLIST_FILE, BroadcastFolder, Folders, Part

log = structlog.get_logger(__name__)

LOOK_S = 0.02
"""How often a playlist is looked at while somebody waits for it: one look for all who wait."""
WAIT_TARGETS = 3
"""Target durations after which who waits is told to come again."""
MAX_WAITING = 10_000
FORGET_S = 60.0
_HLS = "/hls/{id}/{key}/{file}"
_PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Date, Content-Length",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
    "Server": "Sealroute",
}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "86400",
}
_NEVER_KEPT = {"Cache-Control": "no-store"}
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}
"""A part has its name alone for good."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HlsServing:
    """`fetched` is called with the id of each broadcast whose playlist was fetched, once."""

    def __init__(self, folders: Folders, fetched: Callable[[str], None]) -> None:
        self._folders = folders
        self._fetched = fetched
        self._known: set[str] = set()
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._waiting = 0

    def app(self) -> web.Application:
        app = web.Application(client_max_size=0)
        app.router.add_get("/healthz", self._health)
        app.router.add_get(_HLS, self._get)
        app.router.add_route("OPTIONS", _HLS, self._preflight)
        app.on_response_prepare.append(_add_headers)
        return app

    async def forget_gone(self) -> None:
        """Runs until it is cancelled."""
        while True:
            await asyncio.sleep(FORGET_S)
            self._known &= self._folders.forget_gone()

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _preflight(self, _request: web.Request) -> web.Response:
        return web.Response(status=204, headers=_PREFLIGHT)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        given = request.match_info
        folder = self._folders.find(given["id"], given["key"])
        if folder is None:
            return _refused(404)
        try:
            if given["file"] == PLAYLIST_FILE:
                return await self._playlist(folder, wanted_of(request.query))
            return await self._part(folder, Part(given["file"]))
        except ValueError:
            is_playlist = given["file"] == PLAYLIST_FILE
            return _refused(400 if is_playlist else 404)
        except OSError:
            return _refused(503)

    async def _playlist(self, folder: BroadcastFolder, wanted: Wanted | None) -> web.StreamResponse:
        if not folder.look() or folder.position is None:
            return _refused(404)  # it begins in a moment; players try again
        self._report(folder.broadcast)
        decided = answer(folder.position, wanted)
        if decided is Answer.REFUSE:
            return _refused(400)
        if wanted is not None and decided is Answer.WAIT and not await self._wait(folder, wanted):
            return _refused(503)
        return web.Response(body=folder.playlist, content_type=_PLAYLIST_TYPE, headers=_NEVER_KEPT)

    async def _part(self, folder: BroadcastFolder, part: Part) -> web.StreamResponse:
        content = self._folders.content(folder, part)
        if content is None and part.segment is not None and part.part is not None:
            # The part that the playlist hints at: it is asked for before it is there.
            wanted = Wanted(part.segment, part.part)
            if folder.look() and folder.position is not None:
                hinted = (folder.position.segment, folder.position.parts)
                if hinted == (wanted.segment, wanted.part) and not folder.position.ended:
                    await self._wait(folder, wanted)
                    content = self._folders.content(folder, part)
        if content is None:
            return _refused(404)
        return web.Response(body=content, content_type="video/mp4", headers=_KEPT)

    def _report(self, broadcast: str) -> None:
        if broadcast not in self._known:
            self._known.add(broadcast)
            self._fetched(broadcast)

    async def _wait(self, folder: BroadcastFolder, wanted: Wanted) -> bool:
        """Whether it came in time."""
        if self._waiting >= MAX_WAITING or folder.position is None:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_TARGETS * folder.position.target_s):
                while not folder.position.has(wanted):
                    await self._change_of(folder)
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    async def _change_of(self, folder: BroadcastFolder) -> None:
        """Until the playlist has changed. One task looks at it, for all who wait."""
        name = folder.broadcast
        changed = self._changed.get(name)
        if changed is None:
            changed = self._changed[name] = asyncio.Event()
            self._looks[name] = asyncio.create_task(self._look(folder, changed))
        await changed.wait()

    async def _look(self, folder: BroadcastFolder, changed: asyncio.Event) -> None:
        before = folder.position
        try:
            while folder.position is before and self._waiting:
                await asyncio.sleep(LOOK_S)
                folder.look()
        except OSError:
            log.warning("a playlist cannot be read")
            await asyncio.sleep(1.0)
        finally:
            del self._changed[folder.broadcast], self._looks[folder.broadcast]
            changed.set()


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _refused(status: int) -> web.Response:
    return web.Response(status=status, headers=_NEVER_KEPT)
