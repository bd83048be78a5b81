"""The engine of a node without others: always its own home, at no cost."""

from signaling.cluster.engine import Beat, Home, NodeRow, View

ME = 1
EPOCH = 1


class EngineAlone:
    """Implements `Engine`; it keeps nothing, and checks no limits."""

    async def join(self, row: NodeRow) -> int:  # noqa: ARG002 - as in every engine
        return ME

    async def beat(self, beat: Beat) -> View:  # noqa: ARG002
        return View(timeline=0, homes=0, rows=())

    async def certify(self, incarnation: int, seen_beat: int) -> bool:  # noqa: ARG002
        return False

    async def claim(
        self,
        session_id: str,
        project_id: str,
        limit: int | None,  # noqa: ARG002
        me: int,  # noqa: ARG002
    ) -> Home | None:
        return Home(session_id, project_id, ME, EPOCH)

    async def give(self, home: Home, to: int) -> Home | None:  # noqa: ARG002
        return None

    async def release(self, home: Home) -> bool:  # noqa: ARG002
        return True

    async def home_of(self, session_id: str) -> Home | None:  # noqa: ARG002
        return None

    async def homes_of(self, incarnation: int) -> tuple[Home, ...]:  # noqa: ARG002
        return ()

    async def nodes(self) -> tuple[NodeRow, ...]:
        return ()

    async def orphans(self) -> frozenset[int]:
        return frozenset()

    async def sweep(self, incarnations: frozenset[int]) -> int:  # noqa: ARG002
        return 0

    async def leave(self, incarnation: int) -> None:
        """Nobody has to know."""

    async def close(self) -> None:
        """Nothing is open."""
