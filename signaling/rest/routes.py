"""THE table of the REST API: method, path, handler, and the feature that a route starts.

Every route is authenticated as a Project and bounded in body size. Routes with `needs_clear_media`
pass the gate of `rest.features` first; a test walks the table and fails when a start route has
no gate.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from signaling.domain.errors import ErrorCode
from signaling.domain.features import Feature
from signaling.rest import callbacks, features, live
from signaling.rest.answers import Answer
from signaling.rest.bodies import Fields, form_or_json_fields, json_fields
from signaling.rest.call import Call
from signaling.rest.sessions import create_session

Handler = Callable[[Call], Awaitable[Answer]]


def no_fields(_body: bytes) -> Fields:
    """For requests without parameters: the SDKs send nothing, `{}` or anything."""
    return {}


@dataclass(frozen=True, slots=True)
class Route:
    """`template` is below the base path; `{name}` stands for one segment.

    `success` is the status that the strictest SDK wants. `read_body` makes fields of the body.
    """

    method: str
    template: str
    handler: Handler
    success: int
    read_body: Callable[[bytes], Fields] = no_fields
    needs_clear_media: Feature | None = None


P = "/v2/project/{project}"
S = P + "/session/{session}"


def _get(template: str, handler: Handler) -> Route:
    return Route("GET", template, handler, 200)


def _start(template: str, feature: Feature, success: int = 200) -> Route:
    return Route("POST", template, features.unavailable, success, json_fields, feature)


def _missing(method: str, template: str, code: ErrorCode, success: int) -> Route:
    return Route(method, template, features.missing(code), success)


ROUTES: tuple[Route, ...] = (
    Route("POST", "/session/create", create_session, 200, form_or_json_fields),
    Route("POST", S + "/signal", live.signal, 204, json_fields),
    Route("POST", S + "/connection/{connection}/signal", live.signal, 204, json_fields),
    _get(S + "/stream", live.list_streams),
    _get(S + "/stream/{stream}", live.get_stream),
    Route("PUT", S + "/stream", live.set_layout_classes, 200, json_fields),
    _get(S + "/connection", live.list_connections),
    Route("DELETE", S + "/connection/{connection}", live.force_disconnect, 204),
    Route("POST", S + "/stream/{stream}/mute", live.mute_stream, 200),
    Route("POST", S + "/mute", live.mute_all, 200, json_fields),
    Route("POST", S + "/play-dtmf", features.play_dtmf, 200, json_fields),
    Route("POST", S + "/connection/{connection}/play-dtmf", features.play_dtmf, 200, json_fields),
    _start(P + "/archive", Feature.ARCHIVE),
    _get(P + "/archive", features.empty_list),
    _missing("GET", P + "/archive/{id}", ErrorCode.ARCHIVE_NOT_FOUND, 200),
    _missing("DELETE", P + "/archive/{id}", ErrorCode.ARCHIVE_NOT_FOUND, 204),
    _missing("POST", P + "/archive/{id}/stop", ErrorCode.ARCHIVE_NOT_FOUND, 200),
    _missing("PATCH", P + "/archive/{id}/streams", ErrorCode.ARCHIVE_NOT_FOUND, 204),
    _missing("PUT", P + "/archive/{id}/layout", ErrorCode.ARCHIVE_NOT_FOUND, 200),
    _start(P + "/broadcast", Feature.BROADCAST),
    _get(P + "/broadcast", features.empty_list),
    _missing("GET", P + "/broadcast/{id}", ErrorCode.BROADCAST_NOT_FOUND, 200),
    _missing("POST", P + "/broadcast/{id}/stop", ErrorCode.BROADCAST_NOT_FOUND, 200),
    _missing("PATCH", P + "/broadcast/{id}/streams", ErrorCode.BROADCAST_NOT_FOUND, 204),
    _missing("PUT", P + "/broadcast/{id}/layout", ErrorCode.BROADCAST_NOT_FOUND, 200),
    _start(P + "/dial", Feature.SIP),
    _start(P + "/render", Feature.RENDER, 202),
    _get(P + "/render", features.empty_list),
    _missing("GET", P + "/render/{id}", ErrorCode.RENDER_NOT_FOUND, 200),
    _missing("DELETE", P + "/render/{id}", ErrorCode.RENDER_NOT_FOUND, 200),
    _start(P + "/connect", Feature.AUDIO_CONNECTOR),
    _missing("POST", P + "/connect/{id}/stop", ErrorCode.CALL_NOT_FOUND, 200),
    _start(P + "/captions", Feature.CAPTIONS, 202),
    _missing("GET", P + "/captions/{id}", ErrorCode.CAPTIONS_NOT_FOUND, 200),
    _missing("POST", P + "/captions/{id}/stop", ErrorCode.CAPTIONS_NOT_FOUND, 202),
    Route("POST", P + "/callback", callbacks.register_callback, 200, json_fields),
    _get(P + "/callback", callbacks.list_callbacks),
    Route("DELETE", P + "/callback/{id}", callbacks.unregister_callback, 204),
)
