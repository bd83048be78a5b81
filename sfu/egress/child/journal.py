"""The journal of an archive: one JSON entry a line, so that a killed process loses no line but
its last one."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from sfu.egress.child.events import Began, Came, Closed, Entry, Left, Opened, Recording
from sfu.egress.child.names import JOURNAL
from sfu.egress.control import NOT_JSON

_MAX_LINE_BYTES = 1_048_576
_MAX_ENTRIES_OF_ONE_KIND = 20_000
"""A publisher can mute and lose packets as often as it likes; its entries end here. Those that a
recovery needs are bounded by the number of files and of streams that came."""
_MAX_ENTRIES = 200_000
"""Of all streams and files together: a recovery reads them at once."""

_NEEDED = (Began, Came, Opened, Closed, Left, Recording)


class Journal:
    """Appends entries. One process has it at a time (the folder's lock)."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(
            folder / JOURNAL, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        self._count: Counter[tuple[type, str]] = Counter()
        self._total = 0
        # A process that was killed in the middle of a line leaves it without its end.
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        if end and os.pread(self._descriptor, 1, end - 1) != b"\n":
            os.write(self._descriptor, b"\n")

    def write(self, entry: Entry) -> None:
        kind = (type(entry), str(getattr(entry, "stream", getattr(entry, "file", ""))))
        self._count[kind] += 1
        self._total += 1
        is_one_too_many = self._count[kind] > _MAX_ENTRIES_OF_ONE_KIND or self._total > _MAX_ENTRIES
        if is_one_too_many and not isinstance(entry, _NEEDED):
            return
        rest = memoryview(msgspec.json.encode(entry) + b"\n")
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def read_journal(folder: Path) -> Iterator[Entry]:
    """The entries, without lines that a kill or a full disk cut short."""
    decoder = msgspec.json.Decoder(Entry)
    try:
        opened = (folder / JOURNAL).open("rb")
    except FileNotFoundError:
        return
    with opened:
        while line := opened.readline(_MAX_LINE_BYTES):
            try:
                yield decoder.decode(line)
            except NOT_JSON:
                continue
