"""The seam between admission and broadcasts: what a job is, and what it reports."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec

from sfu.egress.composition import Layout
from sfu.egress.live_outputs import LiveOutputs


@dataclass(frozen=True, slots=True)
class BroadcastJob:
    """One broadcast. `folder` belongs to it alone, with what the HLS server serves in it;
    `layout` is as the application wrote it, `resolution` as `640x480`."""

    broadcast: str
    folder: Path
    session: str
    created_unix_ms: int
    hold_ms: int
    resolution: str
    layout: Mapping[str, object]
    has_audio: bool
    has_video: bool
    max_bitrate: int | None
    outputs: LiveOutputs


def layout_of(wanted: Mapping[str, Any]) -> Layout:
    """As the application wrote it. Errors: `msgspec.ValidationError`."""
    found = {"type": wanted["type"], "screenshare": wanted.get("screenshareType")}
    return msgspec.convert(found | {"stylesheet": wanted.get("stylesheet")}, Layout)


class BroadcastListener(Protocol):
    """Called from the event loop. After `on_finished` or `on_failed` nothing follows."""

    def on_output(self, output: str, status: str) -> None:
        """`hls` became ready, or the RTMP target of that id connecting, live, offline, error."""

    def on_finished(self) -> None: ...
    def on_failed(self, code: str, text: str) -> None:
        """Codes: child_lost, disk_full, storage."""


class RunningJob(Protocol):
    def set_layout(self, layout: Layout) -> None: ...
    def finish(self, reason: str) -> None:
        """Broadcasts what the tap still holds, then ends the outputs. Idempotent."""


@runtime_checkable
class BroadcastEgress(Protocol):
    def start_broadcast(
        self, job: BroadcastJob, media: socket.socket, listener: BroadcastListener
    ) -> RunningJob:
        """Takes over `media`, the child's end of a tap. Errors: `EgressError` no_capacity."""
