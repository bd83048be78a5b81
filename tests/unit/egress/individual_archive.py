"""An archive of single streams without its process, and what is in its files."""

import json
import zipfile

from sfu.egress.child.completion import complete
from sfu.egress.child.events import Began
from sfu.egress.child.individual import IndividualArchive
from sfu.egress.child.journal import Journal, read_journal
from sfu.egress.child.manifest import history_of

CREATED_MS = 1_795_240_000_000
ORIGIN_US = 5_000_000_000
MS = 1_000


class Archive:
    """One process of a job, without the process."""

    def __init__(self, folder, *, hold_ms=100, **more):
        self.folder = folder
        self.journal = Journal(folder)
        history = history_of(read_journal(folder))
        began = Began("a1", "the-session", "a name", CREATED_MS, ORIGIN_US)
        self.journal.write(began)
        history.apply(began)
        self.present = list(history.present.values())
        self.archive = IndividualArchive(folder, self.journal, history, hold_ms, **more)

    def play(self, *items):
        for item in map(shifted, items):
            now_us = item[5] if item[0] == "frame" else ORIGIN_US
            self.archive.handle_item(item, now_us)
        return self

    def finish(self):
        self.archive.close()
        self.journal.close()
        return finished(self.folder)


def shifted(item):
    """Tests count from the archive's beginning."""
    match item[0]:
        case "json":
            return (item[0], item[1] + ORIGIN_US, item[2])
        case "frame":
            return (*item[:5], item[5] + ORIGIN_US, *item[6:])
        case "lost":
            return (*item[:3], item[3] + ORIGIN_US, item[4] + ORIGIN_US, *item[5:])


def finished(folder):
    assert complete(folder) is not None
    with zipfile.ZipFile(folder / "archive.zip") as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        manifest = json.loads(archive.read(names[0]))
        archive.extractall(folder / "out")
    assert names == ["a1.json", *(file["filename"] for file in manifest["files"])]
    for file in manifest["files"]:
        assert (folder / "out" / file["filename"]).stat().st_size == file["size"]
    return manifest


def files(manifest):
    return [file["filename"] for file in manifest["files"]]


def close_to(found, expected):
    assert len(found) == len(expected)
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 1 * MS
