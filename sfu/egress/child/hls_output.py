"""Writes a broadcast as a live playlist and its parts into a folder, from which the HLS server
serves it. A player sees a file as a whole or not at all: each gets its name when it is complete."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
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

_UNFINISHED = ".unfinished"
_MODE = 0o600
WINDOW = 6
"""Segments of a playlist that is not for looking back."""


@dataclass(frozen=True, slots=True)
class HlsRules:
    """`part_ms`: only for low latency. `dvr_s`: how far back players can seek, 0 not at all;
    `grows`: nothing leaves the playlist, because the broadcast ends before."""

    segment_ms: int = 2_000
    part_ms: int | None = None
    dvr_s: int = 0
    grows: bool = False

    @property
    def playlist(self) -> PlaylistRules:
        window = max(WINDOW, self.dvr_s * 1000 // self.segment_ms)
        return PlaylistRules(
            target_s=-(-self.segment_ms // 1000),
            part_us=None if self.part_ms is None else self.part_ms * 1000,
            window=None if self.grows else window,
        )


class HlsOutput:
    """`zero_unix_ms`: the wall clock at the beginning of the encoders' time. `on_segment` is called
    when the first segment of the playlist is there."""

    def __init__(
        self,
        folder: Path,
        tracks: Tracks,
        rules: HlsRules,
        zero_unix_ms: int,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        """Errors: `OSError`."""
        self._folder = folder
        self._zero_unix_ms = zero_unix_ms
        self._on_ready = on_ready
        part_us = None if rules.part_ms is None else rules.part_ms * 1000
        self._segmenter = Segmenter(tracks, rules.segment_ms * 1000, part_us)
        self._has_parts = part_us is not None
        self._size_bytes = 0
        self._playlist = self._restored(rules.playlist)
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
