"""Names of files, made of ids; pure. An id never becomes a path."""

import hashlib
import re
from collections.abc import Container

JOURNAL = "journal.jsonl"
RESULT = "result.json"
LOCK = "lock"
ARCHIVE = "archive.zip"
COMPOSED = "archive.mp4"
UNFINISHED = ".unfinished"
"""The ending of a file that is renamed when it is complete."""

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_PART_NUMBERS = 10_000


def stem_of(name: str) -> str:
    """The id itself where a file can have that name, else a digest of it."""
    if _SAFE.fullmatch(name):
        return name
    return f"id-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:32]}"


def part_name(stream: str, video_codec: str | None, used: Container[str]) -> str:
    """The next free name of a stream's file: `stream.webm`, `stream-2.webm`, and so on; H.264 is
    in `.mkv`, because WebM does not have it. Raises `OSError` when there are too many."""
    stem = stem_of(stream)
    other, ending = ("webm", "mkv") if video_codec == "h264" else ("mkv", "webm")
    for number in range(1, _PART_NUMBERS):
        name = stem if number == 1 else f"{stem}-{number}"
        if f"{name}.{ending}" not in used and f"{name}.{other}" not in used:
            return f"{name}.{ending}"
    raise ValueError("the stream has too many parts")


def manifest_name(archive: str) -> str:
    return f"{stem_of(archive)}.json"


def composed_part_name(number: int) -> str:
    """The file of the process with that number, counted from 1."""
    return f"part-{number}.mp4"
