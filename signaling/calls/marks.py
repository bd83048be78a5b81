"""Which SIP calls run on this node: a file for each, which a kill leaves behind.

Nothing of a call is in the database. The file has what the last callback of the call needs.
"""

import asyncio
import json
import uuid
from pathlib import Path
from typing import NamedTuple

from signaling.domain.sip_calling import CallInfo


class MarkedCall(NamedTuple):
    """`session`: its id."""

    session: str
    info: CallInfo


class CallMarks:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def add(self, call: MarkedCall) -> None:
        """Errors: `OSError`."""
        await asyncio.to_thread(self._add, call)

    async def remove(self, call_id: str) -> None:
        """Idempotent. Errors: `OSError`."""
        await asyncio.to_thread((self._folder / call_id).unlink, missing_ok=True)

    async def all(self) -> dict[str, MarkedCall | None]:
        """By the id of each call; None: it was killed while it wrote, before anybody heard of the
        call. What else lies there is not ours. Errors: `OSError`."""
        return await asyncio.to_thread(self._all)

    def _add(self, call: MarkedCall) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = call.info
        text = json.dumps([call.session, info.connection_id, info.created_ms])
        (path := self._folder / info.id).touch(mode=0o600)
        path.write_text(text)

    def _all(self) -> dict[str, MarkedCall | None]:
        if not self._folder.is_dir():
            return {}
        return {one.name: _read(one) for one in self._folder.iterdir() if _is_id(one.name)}


def _read(path: Path) -> MarkedCall | None:
    try:
        session, connection, created_ms = json.loads(path.read_text())
        return MarkedCall(str(session), CallInfo(path.name, str(connection), int(created_ms)))
    except (ValueError, TypeError):
        return None


def _is_id(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
