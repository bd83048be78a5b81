"""What differs between the recordings that a process can make; the process itself is the same."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from sfu.egress.child import completion
from sfu.egress.child.individual import IndividualArchive
from sfu.egress.child.journal import Journal
from sfu.egress.child.manifest import History
from sfu.egress.composition import Layout
from sfu.egress.control import IgnoredReason, JobLine, OutputLine

INDIVIDUAL_MEMORY_BYTES = 1_073_741_824
"""50 streams that all wait for a part take 650 MB."""


class Archive(Protocol):
    """What is recorded of a tap. Errors of all calls: `OSError` of the disk."""

    @property
    def first_us(self) -> int | None: ...
    @property
    def recorded_ms(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def ignored(self) -> Counter[IgnoredReason]: ...
    @property
    def is_behind(self) -> bool:
        """It has more to do than it did in the last turn."""

    @property
    def is_full(self) -> bool:
        """It takes nothing more until it has caught up."""

    def restore(self, added: dict[str, Any], host_us: int) -> bool: ...
    def handle_item(self, item: tuple[Any, ...], host_us: int) -> None: ...
    def handle_time(self, host_us: int) -> None: ...
    def set_layout(self, layout: Layout, host_us: int) -> None: ...
    def pause(self, host_us: int) -> None: ...
    def resume(self, host_us: int) -> list[int]: ...
    def take_wanted_key_frames(self) -> list[int]: ...
    def take_reports(self) -> list[OutputLine]:
        """What its outputs became since the last call."""

    def sync(self) -> None: ...
    def close(self) -> None: ...
    def abandon(self) -> None: ...


class Kind(Protocol):
    """One kind of recording."""

    @property
    def memory_bytes(self) -> int:
        """What a process takes beyond what it begins with."""

    @property
    def form(self) -> completion.Form | None:
        """None: what it writes is complete at any time, and no file is made of it."""

    @property
    def needs_network(self) -> bool: ...

    def of(self, job: JobLine) -> "Kind":
        """The kind of this job."""

    def prepare(self, job: JobLine) -> None:
        """What has to be there before the process gives up what it can; no media yet."""

    def open(
        self, job: JobLine, journal: Journal, history: History, beat: Callable[[], None]
    ) -> Archive: ...


class Individual:
    """A file for each stream. Implements `Kind`."""

    memory_bytes = INDIVIDUAL_MEMORY_BYTES
    form = completion.ZIP
    needs_network = False

    def of(self, job: JobLine) -> Kind:  # noqa: ARG002 - there is one kind
        return self

    def prepare(self, job: JobLine) -> None: ...

    def open(
        self, job: JobLine, journal: Journal, history: History, beat: Callable[[], None]
    ) -> Archive:
        return IndividualArchive(Path(job.folder), journal, history, job.hold_ms, beat)


INDIVIDUAL = Individual()
