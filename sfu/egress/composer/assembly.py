"""From the parts of a composed archive to its file, after an orderly end and after a kill alike."""

from collections.abc import Callable
from pathlib import Path

from sfu.egress.child import names
from sfu.egress.child.completion import check_room
from sfu.egress.child.manifest import History
from sfu.egress.child.plan import tick_us
from sfu.egress.composer.composed import ticks_of
from sfu.egress.composer.mp4 import Piece, extent_of, join


class Mp4:
    """One file with all parts. Implements `Form`."""

    file = names.COMPOSED

    def write(
        self,
        folder: Path,
        history: History,
        target: Path,
        on_progress: Callable[[], None],
        reserve_bytes: int,
    ) -> int | None:
        pieces = _pieces(folder, history, on_progress)
        if not pieces:
            return None
        # The index is moved to the front in a copy within the file.
        check_room(folder, sum(one.path.stat().st_size for one in pieces) + reserve_bytes)
        join(target, pieces, on_progress)
        return tick_us(pieces[-1].at + pieces[-1].ticks)


def _pieces(folder: Path, history: History, on_progress: Callable[[], None]) -> list[Piece]:
    """The parts that have something, each up to the beginning of the next one."""
    parts = sorted(history.parts.values(), key=lambda part: part.start_us)
    parts = [part for part in parts if (folder / part.file).is_file()]
    found: list[Piece] = []
    end: int | None = None
    for part in reversed(parts):
        at = ticks_of(part.start_us - parts[0].start_us)
        ticks = extent_of(folder / part.file, on_progress).whole_ticks
        if end is not None:
            ticks = min(ticks, end - at)
        if ticks > 0:
            found.append(Piece(folder / part.file, at, ticks))
            end = at
    return found[::-1]
