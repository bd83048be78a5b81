"""Writes a broadcast as a live playlist and its parts into a folder, from which the HLS server
serves it. A player sees a file as a whole or not at all: each gets its name when it is complete."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sfu.egress.child import fragments
from sfu.egress.child.playlist import (
    HEADER_FILE,
    PLAYLIST_FILE,
    Playlist,
    PlaylistRules,
    part_name,
    segment_name,
)
from sfu.egress.child.segmenter import Part, Segmenter
from sfu.egress.child.tracks import Packet, Tracks
from sfu.egress.live_outputs import HlsTarget

_UNFINISHED = ".unfinished"
_MODE = 0o600
WINDOW = 6
"""Segments of a playlist that is not for looking back."""


def rules_of(target: HlsTarget) -> PlaylistRules:
    window = max(WINDOW, target.dvr_s * 1000 // target.segment_ms)
    return PlaylistRules(
        target_s=-(-target.segment_ms // 1000),
        part_us=None if target.part_ms is None else target.part_ms * 1000,
        window=None if target.grows else window,
    )


class HlsOutput:
    """`zero_unix_ms`: the wall clock at the beginning of the encoders' time. `on_ready` is called
    when the first segment of the playlist is there."""

    def __init__(
        self,
        folder: Path,
        tracks: Tracks,
        target: HlsTarget,
        zero_unix_ms: int,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        """Errors: `OSError`."""
        self._folder = folder
        self._zero_unix_ms = zero_unix_ms
        self._on_ready = on_ready
        part_us = None if target.part_ms is None else target.part_ms * 1000
        self._segmenter = Segmenter(tracks, target.segment_ms * 1000, part_us)
        self._has_parts = part_us is not None
        self._size_bytes = 0
        self._playlist = self._restored(rules_of(target))
        self._write(HEADER_FILE, fragments.header(tracks))

    @property
    def size_bytes(self) -> int:
        """Of all that was written."""
        return self._size_bytes

    def write(self, packet: Packet) -> None:
        """Errors: `OSError`."""
        part = self._segmenter.add(packet)
        if part is not None:
            self._add(part)

    def close(self) -> None:
        """Errors: `OSError`."""
        part = self._segmenter.finish()
        if part is not None:
            self._add(part)
        self._playlist.end()
        self._show()

    def _restored(self, rules: PlaylistRules) -> Playlist:
        """Goes on where a process that died has stopped."""
        try:
            found = Playlist.restored(rules, (self._folder / PLAYLIST_FILE).read_text())
        except (FileNotFoundError, ValueError):
            return Playlist(rules)
        number, _ = found.next_name
        if self._has_parts and not (self._folder / segment_name(number - 1)).exists():
            self._join(number - 1, found.parts_of_last)
        return found

    def _add(self, part: Part) -> None:
        number, index = self._playlist.next_name
        was_empty = self._playlist.is_empty
        name = part_name(number, index) if self._has_parts else segment_name(number)
        self._write(name, part.data)
        self._playlist.add(
            part.duration_us,
            self._zero_unix_ms + part.at_us // 1000,
            independent=part.independent,
            ends_segment=part.ends_segment,
        )
        if part.ends_segment and self._has_parts:
            self._join(number, self._playlist.parts_of_last)
        self._show()
        for old in self._playlist.expire():
            with suppress(FileNotFoundError):
                (self._folder / old).unlink()
        if part.ends_segment and was_empty:
            self._on_ready()

    def _join(self, number: int, parts: list[str]) -> None:
        """The whole segment, for players that do not take parts."""
        content = b"".join((self._folder / part).read_bytes() for part in parts)
        self._write(segment_name(number), content)

    def _show(self) -> None:
        self._write(PLAYLIST_FILE, self._playlist.render().encode())

    def _write(self, name: str, content: bytes) -> None:
        unfinished = self._folder / (name + _UNFINISHED)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        unfinished.replace(self._folder / name)
        self._size_bytes += len(content)
