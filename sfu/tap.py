"""A tap over the compiled core: a session's clear media for another process of this host."""

import json
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from sfu import core_api
from sfu.client_records import PublishedStream, SessionStreams
from sfu.core_api import Codec, DownTrackParameters, Extension, MediaKind, StreamState
from sfu.ids import StreamId, SubscriberHandle, TransportHandle
from sfu.media_plane import MediaError, TapDump, TapListener
from sfu.rtp_parameters import CODEC_RULES, NegotiatedMedia

PAYLOAD_TYPES: Mapping[Codec, int] = {
    Codec.OPUS: 111,
    Codec.VP8: 96,
    Codec.VP9: 98,
    Codec.H264: 102,
    Codec.AV1: 45,
}
EXTENSION_IDS: Mapping[Extension, int] = {
    Extension.AUDIO_LEVEL: 1,
    Extension.VIDEO_ORIENTATION: 2,
}
"""The others describe a network; the core would leave them out as well."""

UNPUBLISHED = "unpublished"
"""Why a stream left the tap without a call: its publisher ended."""


@dataclass(slots=True)
class TappedStream:
    """One stream in the tap: its subscription in the core."""

    tap: "NativeTap"
    published: PublishedStream
    handle: SubscriberHandle

    def publisher_ended(self) -> None:
        self.tap.lose_stream(self.published.stream, in_core=True)

    def subscribe_failed(self) -> None:
        self.tap.lose_stream(self.published.stream, in_core=False)

    def stream_state(self, state: StreamState) -> None:
        """The core has no estimate for a tap, so it reports none."""


class NativeTap:
    """Implements `Tap`. The core owns its end of the socket pair, and writes every record: so all
    of them have one order."""

    def __init__(self, session: SessionStreams, listener: TapListener) -> None:
        plane = session.context
        self.handle = TransportHandle(plane.router.next_handle())
        self._plane = plane
        self._session = session
        self._listener = listener
        self._streams: dict[StreamId, TappedStream] = {}
        self._ssrcs = count(1)
        self._ended = False
        self._silenced = False
        self._at_end: list[Callable[[], None]] = []
        core_end, self.child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            # From here on the descriptor is the core's, even if it refuses the command.
            command = core_api.OpenTap(session.handle, self.handle, core_end.detach())
            plane.router.submit(command)
        except BaseException:
            self.child_end.close()
            raise
        plane.taps[self.handle] = self

    def add(
        self, stream: StreamId, kinds: frozenset[MediaKind], properties: Mapping[str, object]
    ) -> None:
        self._check_open()
        published = self._session.streams.get(stream)
        if published is None:
            raise MediaError("stream_unknown", "there is no such stream")
        if stream in self._streams:
            raise MediaError("stream_exists", "the stream is in the tap already")
        media = [one for one in published.media.values() if one.kind in kinds]
        if not media:
            raise MediaError("track_unknown", "the stream has no track of these kinds")
        down_tracks = tuple(self._down_tracks(media))
        tracks = [_description(one, track) for one, track in zip(media, down_tracks, strict=True)]
        self.write({**properties, "event": "streamAdded", "stream": stream, "tracks": tracks})
        self._subscribe(published, down_tracks)

    def _down_tracks(self, media: Sequence[NegotiatedMedia]) -> Iterator[DownTrackParameters]:
        for one in media:
            ssrc = next(self._ssrcs)
            yield DownTrackParameters(
                mid=str(ssrc),
                up_track_mid=one.mid,
                ssrc=ssrc,
                rtx_ssrc=None,
                payload_type=PAYLOAD_TYPES[one.codec.codec],
                rtx_payload_type=None,
                extensions={
                    kind: number for kind, number in EXTENSION_IDS.items() if kind in one.extensions
                },
                nack=False,
            )

    def _subscribe(
        self, published: PublishedStream, down_tracks: tuple[DownTrackParameters, ...]
    ) -> None:
        handle = SubscriberHandle(self._plane.router.next_handle())
        tapped = TappedStream(self, published, handle)
        self._plane.router.submit(
            core_api.Subscribe(
                self._session.handle,
                handle,
                self._session.handle_of(published),
                self.handle,
                down_tracks,
            )
        )
        self._streams[published.stream] = tapped
        self._plane.subscribers[handle] = tapped
        published.subscriptions[handle] = tapped

    def remove(self, stream: StreamId, reason: str) -> None:
        tapped = self._forget(stream)
        if tapped is not None:
            self._plane.submit_ending(core_api.Unsubscribe(tapped.handle))
            self._write_removed(stream, reason)

    def _forget(self, stream: StreamId) -> TappedStream | None:
        tapped = self._streams.pop(stream, None)
        if tapped is not None:
            del self._plane.subscribers[tapped.handle]
            del tapped.published.subscriptions[tapped.handle]
        return tapped

    def _write_removed(self, stream: StreamId, reason: str) -> None:
        self.write({"event": "streamRemoved", "stream": stream, "reason": reason})

    def set_forwarding(self, stream: StreamId, kind: MediaKind, forwarding: bool) -> None:
        self._check_open()
        if stream not in self._streams:
            raise MediaError("stream_unknown", "the stream is not in the tap")
        handle = self._streams[stream].handle
        self._plane.router.submit(core_api.SetDownTrackForwarding(handle, kind, forwarding))

    def write(self, event: Mapping[str, object]) -> None:
        if self._ended:
            return
        encoded = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        self._plane.submit_ending(core_api.WriteTap(self.handle, encoded))

    def when_ended(self, call: Callable[[], None]) -> None:
        self._at_end.append(call)

    def end(self) -> None:
        self._silenced = True
        self._end_in_core()

    def _end_in_core(self) -> None:
        if self._end():
            self._plane.submit_ending(core_api.CloseTransport(self.handle))

    def close(self) -> None:
        self.end()
        self.child_end.close()

    def dump(self) -> TapDump:
        return TapDump(self.handle, {name: one.handle for name, one in self._streams.items()})

    def _check_open(self) -> None:
        if self._ended:
            raise MediaError("transport_closed", "the tap has ended")

    def _end(self) -> bool:
        """Forgets everything; what the core has of it ends with its transport. False: it has ended
        already."""
        if self._ended:
            return False
        for stream in list(self._streams):
            self._forget(stream)
        self._ended = True
        at_end, self._at_end = self._at_end, []
        for call in at_end:
            call()
        del self._plane.taps[self.handle]
        self._session.forget_tap(self.handle)
        return True

    # --- what the session and the core report --------------------------------------------------

    def lose_stream(self, stream: StreamId, *, in_core: bool) -> None:
        """A stream's publisher ended, or the core refused the subscription."""
        tapped = self._forget(stream)
        if tapped is None:
            return
        if in_core:
            self._plane.submit_ending(core_api.Unsubscribe(tapped.handle))
        self._write_removed(stream, UNPUBLISHED)
        self._notify(lambda: self._listener.on_stream_gone(stream))

    def tap_failed(self, reason: str) -> None:
        if self._end():
            self._notify(lambda: self._listener.on_tap_closed(reason))

    def tap_lost(self, reason: str) -> None:
        if not self._ended:
            self._end_in_core()
            self._notify(lambda: self._listener.on_tap_closed(reason))

    def _notify(self, call: Callable[[], None]) -> None:
        """Calls the listener later, on the loop: never from within one of its own calls, and not
        after it has ended the tap."""

        def unless_ended() -> None:
            if not self._silenced:
                call()

        self._plane.scheduler.call_soon(unless_ended)


def _description(media: NegotiatedMedia, track: DownTrackParameters) -> dict[str, object]:
    """A track as the reader learns of it."""
    codec = media.codec.codec
    return {
        "ssrc": track.ssrc,
        "kind": media.kind.value,
        "codec": codec.value,
        "clockRate": CODEC_RULES[codec].clock_rate_hz,
        "payloadType": track.payload_type,
        "extensions": {kind.value: number for kind, number in track.extensions.items()},
    }
