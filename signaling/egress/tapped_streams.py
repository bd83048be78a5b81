"""The streams in a tap: after each command the streams that it should hold are compared with those
that it holds, so that nothing depends on which command changed them."""

from collections.abc import Callable

import structlog

from sfu.core_api import MediaKind
from sfu.ids import StreamId
from sfu.media_plane import MediaError
from signaling.domain.archived_streams import ArchivedStream
from signaling.egress.recorders import StreamFeed

log = structlog.get_logger(__name__)


class TappedStreams:
    """Of one tap. What the plane refuses is about a stream that is just ending."""

    def __init__(self, tap: StreamFeed) -> None:
        self._tap = tap
        self._streams: dict[StreamId, ArchivedStream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def __contains__(self, name: StreamId) -> bool:
        return name in self._streams

    def update(self, wanted: dict[StreamId, ArchivedStream]) -> None:
        before, self._streams = self._streams, wanted
        if before == wanted:
            return
        for name in before.keys() - wanted.keys():
            self._remove(name)
        for name, stream in wanted.items():
            if name not in before:
                self._add(name, stream)
            elif stream != before[name]:
                self._change(name, before[name], stream)

    def add_again(self, reason: str) -> None:
        """Another process learns of the streams as if they had just come."""
        for name, stream in self._streams.items():
            self._remove(name, reason)
            self._add(name, stream)

    def _remove(self, name: StreamId, reason: str = "unpublished") -> None:
        self._call(lambda tap: tap.remove(name, reason))

    def _add(self, name: StreamId, stream: ArchivedStream) -> None:
        kinds = frozenset(MediaKind(kind) for kind in stream.recorded)
        properties = {**stream.properties, "layoutClassList": list(stream.layout_classes)}
        self._call(lambda tap: tap.add(name, kinds, properties))
        for kind, is_recorded in stream.recorded.items():
            if not is_recorded:
                self._forward(name, kind, forwarding=False)
            if not stream.sent[kind]:
                self._say_muted(name, kind, muted=True)

    def _change(self, name: StreamId, before: ArchivedStream, now: ArchivedStream) -> None:
        for kind in now.recorded:
            if now.recorded[kind] != before.recorded[kind]:
                self._forward(name, kind, forwarding=now.recorded[kind])
            if now.sent[kind] != before.sent[kind]:
                self._say_muted(name, kind, muted=not now.sent[kind])
        if now.layout_classes != before.layout_classes:
            classes = {"stream": name, "layoutClassList": list(now.layout_classes)}
            self._call(lambda tap: tap.write({"event": "layoutClassList", **classes}))

    def _forward(self, name: StreamId, kind: str, *, forwarding: bool) -> None:
        self._call(lambda tap: tap.set_forwarding(name, MediaKind(kind), forwarding))

    def _say_muted(self, name: StreamId, kind: str, *, muted: bool) -> None:
        said = {"event": "muted", "stream": name, "kind": kind, "muted": muted}
        self._call(lambda tap: tap.write(said))

    def _call(self, call: Callable[[StreamFeed], None]) -> None:
        try:
            call(self._tap)
        except MediaError as refused:
            log.info("tap refused", code=refused.code)
