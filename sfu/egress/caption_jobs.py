"""The seam between admission and captions: what is captioned, and what is reported."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

LANGUAGES = ("en-US",)
"""Of the recognizer that is installed with the server."""


@dataclass(frozen=True, slots=True)
class CaptionJob:
    """`partials`: what is recognized is reported before the end of a phrase too."""

    language: str
    partials: bool


class CaptionListener(Protocol):
    """Called from the event loop. After `on_over` nothing follows."""

    def on_caption(self, stream: str, text: str, *, is_final: bool) -> None:
        """`stream` is as the process calls it: it may be none of the tap's."""

    def on_another_process(self) -> None:
        """It knows nothing of the streams in the tap."""

    def on_over(self) -> None:
        """Its processes died again and again."""


class CaptionRun(Protocol):
    def leave(self) -> None:
        """Ends it, without another call of the listener. Idempotent."""


class CaptionEgress(Protocol):
    @property
    def languages(self) -> Sequence[str]: ...

    def start(self, job: CaptionJob, media: socket.socket, listener: CaptionListener) -> CaptionRun:
        """`media`: the child's end of a tap, which stays the caller's. Errors: `EgressError`
        no_capacity."""

    async def load(self) -> None:
        """Begins to load what all captions need, so that the first ones are not late."""

    def counters(self) -> Mapping[str, int]: ...
    async def close(self) -> None: ...
