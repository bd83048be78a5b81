"""Which streams of a session an archive or a broadcast holds, and what of each; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sfu.ids import StreamId
from signaling.domain.archiving import MAX_STREAMS, StreamMode
from signaling.domain.session_state import SessionState, Stream


class StreamChoice(Protocol):
    """An archive or a broadcast: what it takes of a session."""

    @property
    def stream_mode(self) -> StreamMode: ...
    @property
    def has_audio(self) -> bool: ...
    @property
    def has_video(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Selection:
    """What an application asked for of one stream of an archive in manual mode."""

    has_audio: bool = True
    has_video: bool = True

    def has(self, kind: str) -> bool:
        return self.has_audio if kind == "audio" else self.has_video


@dataclass(frozen=True, slots=True)
class ArchivedStream:
    """`kinds`: the media in the file, by kind: whether it is recorded now, and whether its
    publisher sends it now. `properties` do not change while the stream lasts."""

    recorded: Mapping[str, bool]
    sent: Mapping[str, bool]
    layout_classes: tuple[str, ...]
    properties: Mapping[str, object]


def archived_streams(
    state: SessionState, record: StreamChoice, selected: Mapping[StreamId, Selection]
) -> dict[StreamId, ArchivedStream]:
    """By id, the oldest first; a stream without a kind that the archive holds is left out."""
    holds = {"audio": record.has_audio, "video": record.has_video}
    kinds = [kind for kind, is_held in holds.items() if is_held]
    found: dict[StreamId, ArchivedStream] = {}
    for name, stream in state.streams.items():
        selection = _selection(record, selected, name)
        own = [kind for kind in kinds if kind in stream.mids.values()]
        if not stream.live or selection is None or not own:
            continue
        found[name] = _archived(state, stream, {kind: selection.has(kind) for kind in own})
        if len(found) == MAX_STREAMS:
            break
    return found


def _selection(
    record: StreamChoice, selected: Mapping[StreamId, Selection], name: StreamId
) -> Selection | None:
    return Selection() if record.stream_mode is StreamMode.AUTO else selected.get(name)


def _archived(state: SessionState, stream: Stream, recorded: dict[str, bool]) -> ArchivedStream:
    info = stream.info
    sent = {"audio": info.has_audio, "video": info.has_video}
    return ArchivedStream(
        recorded=recorded,
        sent={kind: sent[kind] for kind in recorded},
        layout_classes=stream.layout_classes,
        properties={
            "createdAt": info.creation_time,
            "connectionData": state.connections[stream.owner].info.data,
            "videoType": info.video_type,
            "name": info.name,
        },
    )
