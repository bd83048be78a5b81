"""Streams: from the offer to their end."""

from typing import Any

import msgspec

from sfu.ids import StreamId
from signaling.domain.announcing import announce
from signaling.domain.commands import (
    FromClient,
    MediaPublished,
    MediaRefused,
    StreamLive,
    StreamSpeaks,
)
from signaling.domain.effects import (
    Broadcast,
    Effects,
    EventName,
    ForwardStream,
    Notify,
    PublishMedia,
    Send,
    UnpublishMedia,
)
from signaling.domain.encryption import hints_of, missed_hints
from signaling.domain.errors import ErrorCode, error, sdk_error
from signaling.domain.session_state import SessionState, Stream
from signaling.protocol import messages as m


def handle_publish(state: SessionState, command: FromClient[m.Publish], now_ms: int) -> Effects:
    """Errors: `stream_limit`, `e2ee_required`; later those of the media plane. A relayed session
    has no media on the server: the stream is live at once, and an offer is `invalid_parameter`."""
    request = command.message
    if state.relayed and request.offer:
        raise error(ErrorCode.INVALID_PARAMETER, "A relayed session takes no offer.")
    if len(state.connections[command.connection].streams) >= state.limits.streams_per_connection:
        raise error(ErrorCode.STREAM_LIMIT)
    check_encryption(request, e2ee=state.e2ee)
    kinds = {track.kind for track in request.tracks}
    stream = StreamId(command.fresh_id)
    published = Stream(
        info=m.StreamInfo(
            stream_id=stream,
            connection_id=command.connection,
            creation_time=command.now_unix_ms,
            name=request.name,
            initials=request.initials,
            has_audio=request.has_audio and "audio" in kinds,
            has_video=request.has_video and "video" in kinds,
            video_type=request.video_type,
            video_dimensions=request.video_dimensions,
            frame_rate=request.frame_rate,
            has_captions=request.has_captions and "audio" in kinds and state.hears_media,
        ),
        owner=command.connection,
        mids={track.mid: track.kind for track in request.tracks},
        hints={track.mid: hints_of(track.kids) for track in request.tracks},
        layout_classes=state.layout_classes.get(command.connection, ()),
    )
    state.add_stream(stream, published)
    missed = missed_hints(state, command.connection)
    if not state.relayed:
        return [*missed, PublishMedia(command.connection, stream, request)]
    done = m.Published(re=request.id, stream_id=stream, answer="", tracks=())
    return [
        *missed,
        Send(command.connection, done),
        *handle_live(state, StreamLive(stream), now_ms),
    ]


def check_encryption(request: m.Publish, *, e2ee: bool) -> None:
    """Errors: `e2ee_required`."""
    encrypted = request.e2ee_format == m.E2EE_FORMAT and all(t.kids for t in request.tracks)
    if e2ee and not encrypted:
        raise error(ErrorCode.E2EE_REQUIRED)


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
    return [*announce(state, command.connection), Send(command.connection, published)]


def handle_live(state: SessionState, command: StreamLive, now_ms: int) -> Effects:
    del now_ms
    found = state.streams.get(command.stream)
    if found is None or found.live:
        return []
    found.live = True
    effects: Effects = [
        Broadcast(m.StreamCreated(stream=found.info)),
        _notice(state, found, "streamCreated"),
    ]
    return effects + (mute(found) if state.mute_forced else [])


def handle_speaking(state: SessionState, command: StreamSpeaks, now_ms: int) -> Effects:
    del now_ms
    found = state.streams.get(command.stream)
    if found is None or not found.live:
        return []
    return [Broadcast(m.ActiveSpeaker(stream_id=command.stream))]


def mute(found: Stream) -> Effects:
    """Notifies all clients, and stops the audio in the core until the publisher complies."""
    if "audio" not in found.mids.values():
        return []
    if not found.muted:
        found.complied = not found.info.has_audio
    found.muted = True
    stream = StreamId(found.info.stream_id)
    effects: Effects = [
        Send(found.owner, m.MuteForced(active=True, stream_id=stream)),
        ForwardStream(found.owner, stream, "audio", forwarding=False),
    ]
    if found.info.has_audio:
        found.info = msgspec.structs.replace(found.info, has_audio=False)
        effects.append(Broadcast(m.StreamPropertyChanged(stream_id=stream, has_audio=False)))
    return effects


def handle_refused(state: SessionState, command: MediaRefused, now_ms: int) -> Effects:
    """Undoes what the refused request made; a stream that is live already ends (`mediaStopped`)."""
    del now_ms
    effects: Effects = []
    if command.stream is not None and command.stream in state.streams:
        effects += end_stream(state, command.stream, "mediaStopped")
    if command.subscriber is not None:
        state.drop_subscriber(command.subscriber)
    if command.connection in state.connections:
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


def handle_unpublish(state: SessionState, command: FromClient[m.Unpublish], now_ms: int) -> Effects:
    del now_ms
    request = command.message
    state.own_stream(command.connection, request.stream_id)
    effects = end_stream(state, StreamId(request.stream_id), "clientDisconnected")
    return [*effects, Send(command.connection, m.Ok(re=request.id))]


def end_stream(state: SessionState, name: StreamId, reason: m.EndReason) -> Effects:
    found = state.drop_stream(name)
    effects: Effects = [UnpublishMedia(found.owner, name)]
    if found.live:
        effects.append(Broadcast(m.StreamDestroyed(stream_id=name, reason=reason)))
        effects.append(_notice(state, found, "streamDestroyed", reason))
    return effects


def _notice(
    state: SessionState, found: Stream, event: EventName, reason: m.EndReason | None = None
) -> Notify:
    publisher = state.connections[found.owner].info
    return Notify(event, found.info.stream_id, reason, publisher, found.info)


def handle_update(state: SessionState, command: FromClient[m.UpdateStream], now_ms: int) -> Effects:
    """Errors: `stream_not_found`, `permission_denied`."""
    del now_ms
    request = command.message
    found = state.own_stream(command.connection, request.stream_id)
    stream = StreamId(request.stream_id)
    changes = _changes(found, request, is_clear=state.hears_media)
    effects: Effects = []
    if request.has_audio is not None and found.muted:
        effects = _answer_mute(state, found, has_audio=request.has_audio)
        if found.muted:
            changes.pop("has_audio", None)
    found.info = msgspec.structs.replace(found.info, **changes)
    if changes and found.live:
        effects.append(Broadcast(m.StreamPropertyChanged(stream_id=stream, **changes)))
    return [*effects, Send(command.connection, m.Ok(re=request.id))]


def _changes(found: Stream, request: m.UpdateStream, *, is_clear: bool) -> dict[str, Any]:
    """The requested changes, without those of a kind that the stream has no track of. `is_clear`:
    the server could caption it."""
    kinds = found.mids.values()
    asked = {
        "has_audio": request.has_audio if "audio" in kinds else None,
        "has_video": request.has_video if "video" in kinds else None,
        "video_dimensions": request.video_dimensions if "video" in kinds else None,
        "has_captions": request.has_captions if "audio" in kinds and is_clear else None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _answer_mute(state: SessionState, found: Stream, *, has_audio: bool) -> Effects:
    """A muted publisher changed its audio: it complies, unmutes, or receives `MuteForced` again.

    A publisher may unmute only after it complied, and not while all streams are muted.
    """
    stream = StreamId(found.info.stream_id)
    if not has_audio:
        found.complied = True
        return []
    if state.mute_forced or not found.complied:
        return [Send(found.owner, m.MuteForced(active=True, stream_id=stream))]
    found.muted = False
    return [ForwardStream(found.owner, stream, "audio", forwarding=True)]
