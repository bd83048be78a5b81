"""Which renders are this node's: a file for each, made before its record is stored."""

import asyncio
import uuid
from pathlib import Path

_ONLY_OWNER = 0o700


class RenderMarks:
    """A running record without its mark here belongs to another node."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def make(self, render_id: str) -> None:
        """Errors: `OSError`."""
        await asyncio.to_thread(self._make, render_id)

    def _make(self, render_id: str) -> None:
        self._root.mkdir(mode=_ONLY_OWNER, parents=True, exist_ok=True)
        (self._root / render_id).touch(mode=0o600)

    async def remove(self, render_id: str) -> None:
        await asyncio.to_thread((self._root / render_id).unlink, missing_ok=True)

    async def all(self) -> list[str]:
        """The ids of this node's renders. What else lies there is not ours."""
        return await asyncio.to_thread(
            lambda: [one.name for one in self._root.glob("*") if _is_id(one.name)]
        )


def _is_id(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
