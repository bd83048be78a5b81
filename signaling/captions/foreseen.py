"""Loads the recognizers before captions start: the first ones of a server would wait for them.

Somebody who wants to read captions says so with a subscription, mostly before the application
starts them. Recognizers take memory for good, so a server where nobody does has none.
"""

import asyncio
from collections.abc import Awaitable, Callable

from signaling.sessions.actor import SessionActor


class ForeseenCaptions:
    """`load`: begins to load, and does nothing the second time. `on_session` is called with each
    session that clients come to."""

    def __init__(self, load: Callable[[], Awaitable[None]]) -> None:
        self._load = load
        self._loading: asyncio.Task[None] | None = None

    def on_session(self, session: SessionActor) -> None:
        if self._loading is None and session.state.hears_media:
            session.watch(_Watcher(session, self))

    def begin(self) -> None:
        if self._loading is None:
            self._loading = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        await self._load()

    async def close(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)


class _Watcher:
    """One session, until somebody asks. Implements `SessionWatcher`."""

    def __init__(self, session: SessionActor, foreseen: ForeseenCaptions) -> None:
        self._session = session
        self._foreseen = foreseen

    def on_change(self) -> None:
        if self._session.state.captions_asked:
            self._session.unwatch(self)
            self._foreseen.begin()

    def on_end(self) -> None:
        self._session.unwatch(self)
