"""`python -m bench.egress.recorder composed|individual FOLDER FILE…`: our recorder, fed from files
as fast as it takes them. Frames come as a reader of the tap gives them."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import msgspec

from sfu.egress.child.completion import complete
from sfu.egress.child.events import Began
from sfu.egress.child.individual import IndividualArchive
from sfu.egress.child.journal import Journal, read_journal
from sfu.egress.child.kinds import Archive
from sfu.egress.child.manifest import history_of
from sfu.egress.composer.assembly import Mp4
from sfu.egress.composer.composed import ComposedArchive, ComposedJob
from sfu.egress.composer.kind import open_encoders
from sfu.egress.composition import Composition, Layout

ORIGIN_US = 1_000_000_000
HOLD_MS = 400
WANTED = Composition(1_280, 720, Layout("bestFit"), bitrate_bps=2_000_000)
_CODECS = {"video": ("vp8", 33_333, 90_000), "audio": ("opus", 20_000, 48_000)}


def items(number: int, file: Path) -> Iterator[tuple[Any, ...]]:
    """The events and frames of one person."""
    ssrcs = {"video": 2 * number + 1, "audio": 2 * number + 2}
    tracks = [
        {"ssrc": ssrc, "kind": kind, "codec": _CODECS[kind][0], "clockRate": _CODECS[kind][2]}
        for kind, ssrc in ssrcs.items()
    ]
    added = {"event": "streamAdded", "stream": f"person-{number}", "tracks": tracks}
    yield ("json", ORIGIN_US, msgspec.json.encode(added))
    with av.open(str(file)) as container:
        for packet in container.demux():
            if packet.pts is None or packet.time_base is None:
                continue
            kind = packet.stream.type
            codec, lasts_us, _ = _CODECS[kind]
            at_us = ORIGIN_US + round(packet.pts * packet.time_base * 1_000_000)
            size = (640, 480) if kind == "video" and packet.is_keyframe else (0, 0)
            key = bool(packet.is_keyframe)
            data = bytes(packet)
            yield ("frame", ssrcs[kind], kind, codec, key, at_us, lasts_us, data, 0, *size, None)


def run(kind: str, folder: Path, files: list[Path]) -> None:
    journal, history = Journal(folder), history_of(read_journal(folder))
    began = Began("bench", "session", "", 1_795_240_000_000, ORIGIN_US)
    journal.write(began)
    history.apply(began)
    archive: Archive
    if kind == "composed":
        job = ComposedJob(HOLD_MS, WANTED, open_encoders(WANTED))
        archive = ComposedArchive(folder, journal, history, job)
    else:
        archive = IndividualArchive(folder, journal, history, HOLD_MS)
    media = [one for number, file in enumerate(files) for one in items(number, file)]
    media.sort(key=lambda one: one[5] if one[0] == "frame" else one[1])
    for one in media:
        at_us = one[5] if one[0] == "frame" else one[1]
        archive.handle_item(one, at_us)
        archive.handle_time(at_us)
        archive.take_wanted_key_frames()
    archive.close()
    journal.close()
    if kind == "composed":
        complete(folder, form=Mp4())
    else:
        complete(folder)


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), [Path(one) for one in sys.argv[3:]])
