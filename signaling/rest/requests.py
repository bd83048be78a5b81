"""The bodies of REST requests: one type per body, for checking and for OpenAPI.

Unknown members are ignored, and null counts as absent everywhere: the official SDKs send both.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from sfu.egress.composition import MAX_STYLESHEET_CHARS
from signaling.domain.broadcasting import MAX_KEY_CHARS, MAX_RTMP, MAX_URL_CHARS
from signaling.domain.errors import BadRequest, ErrorCode
from signaling.rest.bodies import Fields

MAX_LAYOUT_ITEMS = 3_000
MAX_LAYOUT_CLASSES = 64
MAX_EXCLUDED = 3_000
MAX_STREAMS = 3_000
MAX_NAME_CHARS = 1_000
"""Of an archive: its name goes to every client of the session."""
DEFAULT_PAGE = 50
MAX_OUTPUT_ID_CHARS = 256

Shape = TypeVar("Shape", bound=msgspec.Struct)
Text = Annotated[str, Meta(min_length=1)]
Url = Annotated[str, Meta(min_length=15, max_length=2_048)]
MaxDuration = Annotated[int, Meta(ge=60, le=36_000, description="Seconds")]
Bitrate = Annotated[int, Meta(ge=100_000, le=6_000_000, description="Bits per second")]
Resolution = Literal["640x480", "480x640", "1280x720", "720x1280", "1920x1080", "1080x1920"]
StreamIds = Annotated[list[str], Meta(max_length=MAX_STREAMS)]


class Body(msgspec.Struct, rename="camel", kw_only=True):
    """A JSON object of a request."""


class CreateSession(
    msgspec.Struct,
    kw_only=True,
    rename={"media_mode": "p2p.preference", "archive_mode": "archiveMode"}
    | {"archive_name": "archiveName", "archive_resolution": "archiveResolution"},
):
    """The fields of a session, as a form or as JSON. This type only documents them: the SDKs write
    them in so many ways that `parse_session_options` reads them."""

    media_mode: Annotated[
        Literal["disabled", "enabled"],
        Meta(description="disabled: routed by the server; enabled: relayed between the clients"),
    ] = "disabled"
    archive_mode: Literal["manual", "always"] = "manual"
    e2ee: Annotated[
        bool, Meta(description="Whether the clients encrypt end to end; needs a routed session")
    ] = False
    archive_name: Annotated[str, Meta(max_length=80)] = ""
    archive_resolution: Resolution | Literal[""] = ""
    location: Annotated[str, Meta(description="An IPv4 address near the clients")] = ""


class Signal(Body):
    """`type` has up to 128 bytes, `data` up to 8,192."""

    data: str | None = None
    type: str | None = None


class StreamLayout(Body):
    """The new layout classes of a stream."""

    id: Text
    layout_class_list: Annotated[list[str], Meta(max_length=MAX_LAYOUT_CLASSES)] | None = None


class StreamLayouts(Body):
    """Streams with their new layout classes."""

    items: Annotated[list[StreamLayout], Meta(max_length=MAX_LAYOUT_ITEMS)]


class MuteAll(Body):
    """Legacy and unified SDKs name the list of excluded streams differently."""

    active: bool | None = None
    excluded_streams: Annotated[list[str], Meta(max_length=MAX_EXCLUDED)] | None = None
    excluded_stream_ids: Annotated[list[str], Meta(max_length=MAX_EXCLUDED)] | None = None


class Digits(Body):
    """Tones: 0-9, *, # and p, a pause of 500 ms."""

    digits: Annotated[str, Meta(examples=["1713#"])] | None = None


class Layout(Body):
    """How streams are arranged in the composed video."""

    type: Literal["bestFit", "custom", "horizontalPresentation", "pip", "verticalPresentation"]
    stylesheet: (
        Annotated[
            str,
            Meta(
                max_length=MAX_STYLESHEET_CHARS,
                examples=["stream.instructor { position: absolute; width: 100%; height: 50% }"],
            ),
        ]
        | None
    ) = None
    screenshare_type: (
        Literal["bestFit", "horizontalPresentation", "pip", "verticalPresentation"] | None
    ) = None

    def __post_init__(self) -> None:
        if (self.type == "custom") is not bool(self.stylesheet):
            raise ValueError("'stylesheet' is required for the type 'custom', and only valid there")
        if self.screenshare_type is not None and self.type != "bestFit":
            raise ValueError("'screenshareType' is only valid for the type 'bestFit'")


class StreamsChange(Body):
    """Adds a stream to an archive or a broadcast, or removes one."""

    add_stream: Text | None = None
    remove_stream: Text | None = None
    has_audio: bool | None = None
    has_video: bool | None = None

    def __post_init__(self) -> None:
        if (self.add_stream is None) is (self.remove_stream is None):
            raise ValueError("Either 'addStream' or 'removeStream' must be set")
        if self.has_audio is False and self.has_video is False:
            raise ValueError("'hasAudio' and 'hasVideo' cannot both be false")


class Start(Body):
    """The common member of every request that starts a feature."""

    session_id: Text


class Transcription(Body):
    primary_language_code: str | None = None
    has_summary: bool | None = None


class StartArchive(Start):
    """An archive: composed into one file, or one file per stream."""

    name: Annotated[str, Meta(max_length=MAX_NAME_CHARS)] | None = None
    has_audio: bool | None = None
    has_video: bool | None = None
    output_mode: Literal["composed", "individual"] | None = None
    stream_mode: Literal["auto", "manual"] | None = None
    resolution: Resolution | None = None
    layout: Layout | None = None
    multi_archive_tag: Annotated[str, Meta(max_length=MAX_NAME_CHARS)] | None = None
    max_bitrate: Bitrate | None = None
    quantization_parameter: Annotated[int, Meta(ge=15, le=40)] | None = None
    has_transcription: bool | None = None
    transcription_properties: Transcription | None = None

    def __post_init__(self) -> None:
        if self.has_audio is False and self.has_video is False:
            raise ValueError("'hasAudio' and 'hasVideo' cannot both be false")
        composed = (self.resolution, self.layout, self.quantization_parameter)
        if self.output_mode == "individual" and any(part is not None for part in composed):
            raise ValueError("'resolution', 'layout' and 'quantizationParameter' need composed")
        if self.max_bitrate is not None and self.quantization_parameter is not None:
            raise ValueError("'maxBitrate' and 'quantizationParameter' exclude each other")
        if "\0" in (self.name or "") or "\0" in (self.multi_archive_tag or ""):
            raise ValueError("'name' and 'multiArchiveTag' cannot hold a NUL")


class Hls(Body):
    low_latency: bool | None = None
    dvr: bool | None = None

    def __post_init__(self) -> None:
        if self.low_latency and self.dvr:
            raise ValueError("'lowLatency' and 'dvr' exclude each other")


class Rtmp(Body):
    """An RTMP server; `stream_name` is a secret between it and the application."""

    server_url: Annotated[str, Meta(min_length=1, max_length=MAX_URL_CHARS)]
    stream_name: Annotated[str, Meta(max_length=MAX_KEY_CHARS)]
    id: Annotated[str, Meta(min_length=1, max_length=MAX_OUTPUT_ID_CHARS)] | None = None

    def __repr__(self) -> str:
        return "Rtmp(redacted)"


class Outputs(Body):
    """The outputs of a broadcast: at least one of the two."""

    hls: Hls | None = None
    rtmp: Annotated[list[Rtmp], Meta(max_length=MAX_RTMP)] | None = None

    def __post_init__(self) -> None:
        if self.hls is None and self.rtmp is None:
            raise ValueError("'outputs' must name 'hls' or 'rtmp'")


class StartBroadcast(Start):
    """A broadcast over HLS or to RTMP servers."""

    outputs: Outputs
    layout: Layout | None = None
    max_duration: MaxDuration | None = None
    max_bitrate: Bitrate | None = None
    resolution: Resolution | None = None
    stream_mode: Literal["auto", "manual"] | None = None
    multi_broadcast_tag: Annotated[str, Meta(max_length=MAX_NAME_CHARS)] | None = None
    has_audio: bool | None = None
    has_video: bool | None = None

    def __post_init__(self) -> None:
        if self.has_audio is False and self.has_video is False:
            raise ValueError("'hasAudio' and 'hasVideo' cannot both be false")
        if "\0" in (self.multi_broadcast_tag or ""):
            raise ValueError("'multiBroadcastTag' cannot hold a NUL")


class SipAuth(Body):
    username: str
    password: str

    def __repr__(self) -> str:
        return "SipAuth(redacted)"


class Sip(Body):
    """`headers` are sent with the INVITE; their names begin with X-. `video` has no effect: calls
    have audio alone."""

    uri: Text
    from_: str | None = msgspec.field(default=None, name="from")
    headers: dict[str, str] | None = None
    auth: SipAuth | None = None
    secure: bool | None = None
    video: bool | None = None
    observe_force_mute: bool | None = None
    streams: StreamIds | None = None


class Dial(Start):
    """A SIP call into a session."""

    token: Text
    sip: Sip


class RenderProperties(Body):
    name: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class StartRender(Start):
    """A web page that is published as a stream."""

    token: Text
    url: Url
    max_duration: MaxDuration | None = None
    resolution: Resolution | None = None
    properties: RenderProperties | None = None
    status_callback_url: Url | None = None


class AudioTransport(msgspec.Struct, kw_only=True):
    """How audio travels: as binary messages, or as JSON with base64 in its members."""

    transport: Literal["binary", "json"] = "binary"
    encoding: Literal["base64"] = "base64"
    audio_field: Annotated[str, Meta(min_length=1, max_length=64)] = "audio"
    receive_audio_field: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    static_fields: dict[str, Any] | None = None


class AudioWebSocket(Body):
    """`audio_transport`: an object, or the same as JSON text, with either spelling of its members,
    because SDKs differ."""

    uri: Text
    streams: StreamIds | None = None
    headers: dict[str, str] | None = None
    audio_rate: Literal[8000, 16000, 24000] | None = None
    bidirectional: bool | None = None
    audio_transport: dict[str, Any] | str | None = None


class ConnectAudio(Start):
    """Sends a session's audio to a WebSocket, and back."""

    token: Text
    websocket: AudioWebSocket


class StartCaptions(Start):
    """Live captions; the token is a moderator's."""

    token: Text
    language_code: str | None = None
    max_duration: Annotated[int, Meta(ge=300, le=14_400, description="Seconds")] | None = None
    partial_captions: bool | Literal["true", "false"] | None = None
    status_callback_url: Annotated[str, Meta(max_length=2_048)] | None = None


class RegisterCallback(Body):
    """Events and the URL that receives them; `all` means every group, or every event of a group."""

    group: Annotated[str, Meta(min_length=1, examples=["connection"])]
    event: Annotated[str, Meta(min_length=1, examples=["created"])]
    url: Text


class Page(Body):
    """The part of a list to return."""

    offset: Annotated[int, Meta(ge=0, le=2**31)] | None = None
    count: Annotated[int, Meta(ge=0, le=1_000)] | None = None
    session_id: str | None = None


# Messages about a member that do not repeat what the caller sent.
_SPEAKABLE = re.compile(r"(Expected |Object missing required field `[\w.]+`|['A-Z][\w' ,]+$)")


def read_shape(fields: Fields, shape: type[Shape]) -> Shape:
    """The fields of a body as its type. Errors: `invalid_parameter`, naming the member."""
    return _convert(fields, shape, strict=True)


def read_query(query: Mapping[str, str], shape: type[Shape]) -> Shape:
    """The parameters of a query as their type; numbers are text there. Errors as above."""
    return _convert(dict(query), shape, strict=False)


def _convert(fields: Mapping[str, object], shape: type[Shape], *, strict: bool) -> Shape:
    try:
        return msgspec.convert(fields, shape, strict=strict)
    except msgspec.ValidationError as cause:
        raise BadRequest(ErrorCode.INVALID_PARAMETER, _message(str(cause))) from None


def _message(text: str) -> str:
    what, _, place = text.partition(" - at `$")
    member = place.rstrip("`").lstrip(".")
    if not _SPEAKABLE.match(what) or what.startswith("Invalid"):
        what = "The value is not one of those allowed"
    return f"{what}, at '{member}'." if member else f"{what}."
