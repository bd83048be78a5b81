"""Streams: from the offer to their end."""

from typing import Literal

import msgspec

from sfu.ids import StreamId
from signaling.domain.commands import FromClient, MediaPublished, MediaRefused, StreamLive
from signaling.domain.effects import (
    Broadcast,
    DeclareKidsMedia,
    Effects,
    ForwardStream,
    Notify,
    PublishMedia,
    Send,
    UnpublishMedia,
)
from signaling.domain.errors import ErrorCode, error, sdk_error
from signaling.domain.session_state import SessionState, Stream
from signaling.protocol import messages as m

FORMAT = "e2ee/1"
EndReason = Literal[
    "clientDisconnected",
    "forceDisconnected",
    "forceUnpublished",
    "mediaStopped",
    "networkDisconnected",
]


def handle_publish(state: SessionState, command: FromClient, now_ms: int) -> Effects:
    """Errors: `permission_denied`, `stream_limit`, `e2ee_required`; later those of the media."""
    del now_ms
    request = command.message
    assert isinstance(request, m.Publish)  # noqa: S101 - the table of handlers chose by type
    if not state.members[command.connection].capabilities.publish:
        raise error(ErrorCode.PERMISSION_DENIED)
    own = sum(found.owner == command.connection for found in state.streams.values())
    if own >= state.limits.streams_per_connection:
        raise error(ErrorCode.STREAM_LIMIT)
    unsealed = request.e2ee_format != FORMAT or not all(t.kids for t in request.tracks)
    if state.e2ee and unsealed:
        raise error(ErrorCode.E2EE_REQUIRED)
    kinds = {track.kind for track in request.tracks}
    stream = StreamId(command.fresh_id)
    state.streams[stream] = Stream(
        info=m.StreamInfo(
            stream_id=stream,
            connection_id=command.connection,
            creation_time=command.now_unix_ms,
            name=request.name,
            has_audio=request.has_audio and "audio" in kinds,
            has_video=request.has_video and "video" in kinds,
            video_type=request.video_type,
            video_dimensions=request.video_dimensions,
            frame_rate=request.frame_rate,
        ),
        owner=command.connection,
        mids={track.mid: track.kind for track in request.tracks},
        hints={track.mid: _hints(track.kids) for track in request.tracks},
        layout_classes=state.layout_classes.get(command.connection, ()),
    )
    return [PublishMedia(command.connection, stream, request)]


def _hints(kids: tuple[bytes, ...]) -> frozenset[bytes]:
    return frozenset(kid[-2:] for kid in kids)


def handle_published(state: SessionState, command: MediaPublished, now_ms: int) -> Effects:
    del now_ms
    found = state.streams.get(command.stream)
    if found is None:
        return []
    codecs = {track.kind: track.codec for track in command.tracks}
    found.info = msgspec.structs.replace(found.info, codecs=codecs)
    published = m.Published(
        re=command.request,
        stream_id=command.stream,
        answer=command.answer,
        tracks=command.tracks,
    )
    return [Send(command.connection, published)]


def handle_live(state: SessionState, command: StreamLive, now_ms: int) -> Effects:
    del now_ms
    found = state.streams.get(command.stream)
    if found is None or found.live:
        return []
    found.live = True
    effects: Effects = [
        Broadcast(m.StreamCreated(stream=found.info)),
        Notify("streamCreated", command.stream),
    ]
    return effects + (mute(found) if state.mute_forced else [])


def mute(found: Stream) -> Effects:
    """Tells the publisher and holds its audio back in the core until it complies."""
    if "audio" not in found.mids.values():
        return []
    found.muted = True
    stream = StreamId(found.info.stream_id)
    return [
        Send(found.owner, m.MuteForced(active=True, stream_id=stream)),
        ForwardStream(found.owner, stream, "audio", forwarding=False),
    ]


def handle_refused(state: SessionState, command: MediaRefused, now_ms: int) -> Effects:
    del now_ms
    effects: Effects = []
    if command.stream is not None:
        state.streams.pop(command.stream, None)
    if command.subscriber is not None:
        state.deliveries.pop(command.subscriber, None)
    if command.connection in state.members:
        failed = error(command.code)
        name, number = sdk_error(failed.code, command.tag)
        effects.append(
            Send(
                command.connection,
                m.Error(
                    code=failed.code.value,
                    name=name,
                    number=number,
                    message=failed.message,
                    re=command.request,
                ),
            )
        )
    return effects


def handle_unpublish(state: SessionState, command: FromClient, now_ms: int) -> Effects:
    del now_ms
    request = command.message
    assert isinstance(request, m.Unpublish)  # noqa: S101 - the table of handlers chose by type
    state.own_stream(command.connection, request.stream_id)
    effects = end_stream(state, StreamId(request.stream_id), "clientDisconnected")
    return [*effects, Send(command.connection, m.Ok(re=request.id))]


def end_stream(state: SessionState, name: StreamId, reason: EndReason) -> Effects:
    found = state.streams.pop(name)
    for gone in [n for n, d in state.deliveries.items() if d.stream == name]:
        del state.deliveries[gone]
    effects: Effects = [UnpublishMedia(found.owner, name)]
    if found.live:
        effects.append(Broadcast(m.StreamDestroyed(stream_id=name, reason=reason)))
        effects.append(Notify("streamDestroyed", name, reason))
    return effects


def handle_update(state: SessionState, command: FromClient, now_ms: int) -> Effects:
    del now_ms
    request = command.message
    assert isinstance(request, m.UpdateStream)  # noqa: S101 - the table of handlers chose by type
    found = state.own_stream(command.connection, request.stream_id)
    stream = StreamId(request.stream_id)
    changes = {
        name: value
        for name in ("has_audio", "has_video", "video_dimensions")
        if (value := getattr(request, name)) is not None
    }
    found.info = msgspec.structs.replace(found.info, **changes)
    effects: Effects = []
    if request.has_audio is not None and found.muted:
        found.muted = False
        effects.append(ForwardStream(found.owner, stream, "audio", forwarding=True))
    changed = m.StreamPropertyChanged(stream_id=stream, **changes)
    return [*effects, Broadcast(changed), Send(command.connection, m.Ok(re=request.id))]


def handle_declare(state: SessionState, command: FromClient, now_ms: int) -> Effects:
    """The core asks for one key frame itself when a hint is new."""
    del now_ms
    request = command.message
    assert isinstance(request, m.DeclareKids)  # noqa: S101 - the table of handlers chose by type
    found = state.own_stream(command.connection, request.stream_id)
    if request.mid not in found.mids:
        raise error(ErrorCode.TRACK_UNKNOWN)
    found.hints[request.mid] = _hints(request.kids)
    declare = DeclareKidsMedia(
        command.connection,
        StreamId(request.stream_id),
        request.mid,
        request.kids,
        request.id,
    )
    return [declare, Send(command.connection, m.Ok(re=request.id))]
