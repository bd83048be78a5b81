"""Who watches a session without being a client of it, such as an archive."""

from typing import Protocol

import structlog

log = structlog.get_logger(__name__)


class SessionWatcher(Protocol):
    def on_change(self) -> None:
        """A command was applied. It may apply further ones."""

    def on_end(self) -> None:
        """All media ends after this call."""


class Watchers:
    """The watchers of one session. What one of them fails at is not the command's failure."""

    def __init__(self) -> None:
        self._all: dict[SessionWatcher, None] = {}

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, watcher: SessionWatcher) -> None:
        self._all[watcher] = None

    def remove(self, watcher: SessionWatcher) -> None:
        self._all.pop(watcher, None)

    def on_change(self) -> None:
        for watcher in tuple(self._all):
            try:
                watcher.on_change()
            except Exception:  # its own fault; logged with its trace
                log.exception("a watcher failed")

    def on_end(self) -> None:
        for watcher in tuple(self._all):
            try:
                watcher.on_end()
            except Exception:
                log.exception("a watcher failed")
