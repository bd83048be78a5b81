"""The bodies of REST answers: one type per answer, for encoding and for OpenAPI.

Ids are dashed lower-case UUIDs or opaque text, times are integers in ms since 1970, and numbers
are never text: some official SDKs check this.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from signaling.domain.archiving import ArchiveStatus, StreamMode
from signaling.domain.broadcasting import BroadcastStatus
from signaling.domain.captioning import CaptionsStatus
from signaling.domain.rendering import RenderStatus
from signaling.http.answers import Reply

Milliseconds = Annotated[int, Meta(description="Milliseconds since 1970-01-01 UTC")]


class CreatedSession(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A session that was just created."""

    session_id: str
    project_id: str
    partner_id: str
    create_dt: str
    media_server_url: str = msgspec.field(default_factory=str)
    e2ee: bool
    application_id: str | None = None


class Session(Reply, kw_only=True, omit_defaults=True):
    """A session and its options."""

    session_id: str
    project_id: str | None = None
    application_id: str | None = None
    media_mode: Literal["routed", "relayed"]
    archive_mode: Literal["manual", "always"]
    e2ee: bool
    created_at: Milliseconds


class LiveSession(Reply, kw_only=True):
    """A session with clients in it."""

    session_id: str
    media_mode: Literal["routed", "relayed"]
    e2ee: bool
    created_at: Milliseconds
    connection_count: int
    stream_count: int


class LiveSessions(Reply):
    """`count`: all of them, also those that are not on this page. `nodes_left_out`: the nodes of a
    cluster that did not answer in time, without whose sessions the list is."""

    count: int
    items: tuple[LiveSession, ...]
    nodes_left_out: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class Stream(Reply):
    """A published stream. One without video is also a "camera": the SDKs know no other value."""

    id: str
    video_type: Literal["camera", "screen", "custom"]
    name: str
    layout_class_list: tuple[str, ...]


class Streams(Reply):
    count: int
    items: tuple[Stream, ...]


class Connection(Reply, kw_only=True):
    """A client in a session."""

    connection_id: str
    connection_state: Literal["Connected"] = "Connected"
    created_at: Milliseconds


class Connections(Reply, kw_only=True, omit_defaults=True):
    count: int
    project_id: str | None = None
    application_id: str | None = None
    session_id: str
    items: tuple[Connection, ...]


class ProjectDetails(Reply, kw_only=True):
    """The answer to a mute request."""

    application_id: str
    project_id: str
    status: Literal["ACTIVE"] = "ACTIVE"
    name: str
    environment: Literal["standard"] = "standard"
    created_at: Milliseconds


class Callback(Reply):
    """A registration for events."""

    id: str
    group: str
    event: str
    url: str
    created_at: Milliseconds


class AudioConnection(Reply):
    """An audio connection, and the client that it is in the session."""

    id: str
    connection_id: str


class SipCall(Reply):
    """A SIP call that nobody has answered yet: the client that it is in the session, and the stream
    that it will have."""

    id: str
    connection_id: str
    stream_id: str
    session_id: str
    project_id: str


class ArchivedStream(Reply):
    """A stream of an archive or a broadcast in manual mode."""

    stream_id: str
    has_audio: bool
    has_video: bool


class Archive(Reply, kw_only=True):
    """An archive. `size` in bytes and `duration` in seconds are those of its file; `url` is a link
    to it for ten minutes, while it is available. `sha256sum` is in base64."""

    id: str
    status: ArchiveStatus
    name: str
    reason: str
    session_id: str
    project_id: str | msgspec.UnsetType = msgspec.UNSET
    application_id: str | msgspec.UnsetType = msgspec.UNSET
    partner_id: int
    created_at: Milliseconds
    updated_at: Milliseconds
    size: int
    duration: int
    output_mode: Literal["composed", "individual"]
    stream_mode: StreamMode
    has_audio: bool
    has_video: bool
    has_transcription: bool = False
    url: str | None
    streams: tuple[ArchivedStream, ...] = ()
    multi_archive_tag: str | msgspec.UnsetType = msgspec.UNSET
    resolution: str | msgspec.UnsetType = msgspec.UNSET
    max_bitrate: int | msgspec.UnsetType = msgspec.UNSET
    quantization_parameter: int | msgspec.UnsetType = msgspec.UNSET
    sha256sum: str
    password: str = ""
    event: Literal["archive"] = "archive"


class Archives(Reply):
    """A page of archives, newest first; `count` is the number of all."""

    count: int
    items: tuple[Archive, ...]


class HlsSettings(Reply):
    low_latency: bool
    dvr: bool


class OutputSettings(Reply, omit_defaults=True):
    hls: HlsSettings | None = None


class RtmpUrl(Reply):
    id: str
    server_url: str
    stream_name: str
    status: Literal["connecting", "live", "offline", "error"]


class BroadcastUrls(Reply, kw_only=True):
    """Where the broadcast can be seen. `hls` is the address of the playlist, from the start on."""

    hls: str | msgspec.UnsetType = msgspec.UNSET
    hls_status: Literal["connecting", "ready", "live", "ended", "error"] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    rtmp: tuple[RtmpUrl, ...] = ()


class Broadcast(Reply, kw_only=True):
    """A broadcast. `max_duration` in seconds, `max_bitrate` in bits per second."""

    id: str
    status: BroadcastStatus
    reason: str
    session_id: str
    project_id: str | msgspec.UnsetType = msgspec.UNSET
    application_id: str | msgspec.UnsetType = msgspec.UNSET
    partner_id: int
    created_at: Milliseconds
    updated_at: Milliseconds
    resolution: str
    stream_mode: StreamMode
    has_audio: bool
    has_video: bool
    max_duration: int
    max_bitrate: int | msgspec.UnsetType = msgspec.UNSET
    streams: tuple[ArchivedStream, ...] = ()
    multi_broadcast_tag: str | msgspec.UnsetType = msgspec.UNSET
    settings: OutputSettings
    broadcast_urls: BroadcastUrls
    event: Literal["broadcast"] = "broadcast"


class Broadcasts(Reply):
    """A page of broadcasts, newest first; `count` is the number of all."""

    count: int
    items: tuple[Broadcast, ...]


class Render(Reply, kw_only=True):
    """A web page that is published as a stream. `stream_id` since it is; `callback_url`: where the
    status is posted beside the registered callbacks."""

    id: str
    session_id: str
    project_id: str | msgspec.UnsetType = msgspec.UNSET
    application_id: str | msgspec.UnsetType = msgspec.UNSET
    created_at: Milliseconds
    updated_at: Milliseconds
    url: str
    resolution: str
    status: RenderStatus
    stream_id: str | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    callback_url: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    event: Literal["render"] = "render"


class Renders(Reply):
    """A page of renders, newest first; `count` is the number of all."""

    count: int
    items: tuple[Render, ...]


class StartedCaptions(Reply):
    """Captions that run from now on."""

    captions_id: str


class Captions(Reply, kw_only=True):
    """When the captions of a session ran, and never what was said. `duration` in seconds."""

    caption_id: str
    project_id: str | msgspec.UnsetType = msgspec.UNSET
    application_id: str | msgspec.UnsetType = msgspec.UNSET
    session_id: str
    status: CaptionsStatus
    created_at: Milliseconds
    updated_at: Milliseconds
    duration: int
    language_code: str
    provider: str
    reason: str | msgspec.UnsetType = msgspec.UNSET


class NoItems(Reply):
    """A page of a list that is always empty on this server."""

    count: Literal[0] = 0
    items: tuple[()] = ()
