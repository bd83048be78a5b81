"""A tap in memory: the same contract as `sfu.tap`, with events and no media."""

import asyncio
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from sfu.core_api import MediaKind
from sfu.ids import StreamId, SubscriberHandle, TransportHandle
from sfu.media_plane import MediaError, PublishedTrack, TapDump, TapListener
from sfu.rtp_parameters import CODEC_RULES
from sfu.tap import PAYLOAD_TYPES, UNPUBLISHED

from .tap_records import RecordKind, write_record


class TappableStream(Protocol):
    tracks: dict[str, PublishedTrack]


class TappableSession(Protocol):
    def find_stream(self, stream: StreamId) -> TappableStream | None: ...
    def forget_tap(self, tap: "FakeTap") -> None: ...


@dataclass
class FakeTappedStream:
    """One stream in the tap; tests read it. `forwarding`: the kinds that are passed on."""

    kinds: frozenset[MediaKind]
    forwarding: dict[MediaKind, bool] = field(default_factory=dict)


class FakeTap:
    """Tests read `streams`, `ended` and what comes out of `child_end`, and script `lose`."""

    def __init__(self, session: TappableSession, listener: TapListener) -> None:
        self.session = session
        self.listener = listener
        self.streams: dict[StreamId, FakeTappedStream] = {}
        self.ended = False
        self.handle = TransportHandle(0)
        self._silenced = False
        self._at_end: list[Callable[[], None]] = []
        self._ssrcs = count(1)
        self._core_end, self.child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    # --- what a test scripts ---------------------------------------------------------------

    def lose(self, reason: str = "reader_gone") -> None:
        """The reader closed its end, or the session ended."""
        if not self.ended:
            self._end()
            self._notify(lambda: self.listener.on_tap_closed(reason))

    # --- the contract ----------------------------------------------------------------------

    def add(
        self, stream: StreamId, kinds: frozenset[MediaKind], properties: Mapping[str, object]
    ) -> None:
        self._check_open()
        published = self.session.find_stream(stream)
        if published is None:
            raise MediaError("stream_unknown", "there is no such stream")
        if stream in self.streams:
            raise MediaError("stream_exists", "the stream is in the tap already")
        tracks = [track for track in published.tracks.values() if track.kind in kinds]
        if not tracks:
            raise MediaError("track_unknown", "the stream has no track of these kinds")
        shown = [self._description(track) for track in tracks]
        self.write({**properties, "event": "streamAdded", "stream": stream, "tracks": shown})
        self.streams[stream] = FakeTappedStream(frozenset(track.kind for track in tracks))

    def _description(self, track: PublishedTrack) -> dict[str, object]:
        return {
            "ssrc": next(self._ssrcs),
            "kind": track.kind.value,
            "codec": track.codec.value,
            "clockRate": CODEC_RULES[track.codec].clock_rate_hz,
            "payloadType": PAYLOAD_TYPES[track.codec],
            "extensions": {},
        }

    def remove(self, stream: StreamId, reason: str) -> None:
        if self.streams.pop(stream, None) is not None:
            self.write({"event": "streamRemoved", "stream": stream, "reason": reason})

    def set_forwarding(self, stream: StreamId, kind: MediaKind, forwarding: bool) -> None:
        self._check_open()
        if stream not in self.streams:
            raise MediaError("stream_unknown", "the stream is not in the tap")
        self.streams[stream].forwarding[kind] = forwarding

    def write(self, event: Mapping[str, object]) -> None:
        if not self.ended:
            encoded = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
            self._write(RecordKind.JSON, encoded)

    def when_ended(self, call: Callable[[], None]) -> None:
        self._at_end.append(call)

    def end(self) -> None:
        self._silenced = True
        if not self.ended:
            self._end()

    def close(self) -> None:
        self.end()
        self.child_end.close()

    def dump(self) -> TapDump:
        handles = {name: SubscriberHandle(0) for name in self.streams}
        return TapDump(TransportHandle(0), handles)

    # --- inside ----------------------------------------------------------------------------

    def drop_stream(self, stream: StreamId) -> None:
        """Its publisher ended."""
        if stream in self.streams:
            self.remove(stream, UNPUBLISHED)
            self._notify(lambda: self.listener.on_stream_gone(stream))

    def _check_open(self) -> None:
        if self.ended:
            raise MediaError("transport_closed", "the tap has ended")

    def _end(self) -> None:
        self._write(RecordKind.END)
        self.ended = True
        at_end, self._at_end = self._at_end, []
        for call in at_end:
            call()
        self.streams.clear()
        self._core_end.close()
        self.session.forget_tap(self)

    def _write(self, kind: RecordKind, body: bytes = b"") -> None:
        try:
            write_record(self._core_end, kind, body)
        except OSError:
            if kind is not RecordKind.END:
                self.lose()

    def _notify(self, call: Callable[[], None]) -> None:
        def unless_ended() -> None:
            if not self._silenced:
                call()

        asyncio.get_running_loop().call_soon(unless_ended)
