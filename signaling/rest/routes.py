"""The route table of the REST API: method, path, handler, bodies, and the feature that it starts.

Every route is authenticated as a Project and limited in body size. Routes with `needs_clear_media`
pass the gate of `rest.features` first; a test fails if a start route has no gate. `/openapi.json`
is generated from this table.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import msgspec

from signaling.domain.errors import ErrorCode
from signaling.domain.features import Feature
from signaling.http.answers import Answer
from signaling.rest import (
    archives,
    broadcasts,
    callbacks,
    calls,
    captions,
    connectors,
    explanations,
    features,
    live,
    renders,
    replies,
    requests,
)
from signaling.rest.bodies import Fields, form_or_json_fields, json_fields, no_fields
from signaling.rest.call import Call
from signaling.rest.sessions import create_session, get_session

Handler = Callable[[Call], Awaitable[Answer]]
E = ErrorCode


@dataclass(frozen=True, slots=True)
class Route:
    """`template` is below the base path; `{name}` stands for one segment.

    `success` is the status that the strictest SDK expects. `read_body` parses the body to fields,
    `body` is their type, `query` that of the query; `answer` is the type of a successful answer,
    None if it has no body. `errors` are the documented failures.
    """

    method: str
    template: str
    handler: Handler
    success: int
    read_body: Callable[[bytes], Fields] = no_fields
    needs_clear_media: Feature | None = None
    summary: str = ""
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    answer: object = None
    errors: tuple[ErrorCode, ...] = ()


P = "/v2/project/{project}"
S = P + "/session/{session}"
C = S + "/connection/{connection}"
T = S + "/stream/{stream}"
_SIGNAL = (E.SIGNAL_DATA_MISSING, E.SIGNAL_TOO_LONG)
_NOBODY = (E.SESSION_NOT_FOUND, E.NOBODY_CONNECTED)
_STREAM = (E.SESSION_NOT_FOUND, E.STREAM_NOT_FOUND)
_CONNECTION = (E.SESSION_NOT_FOUND, E.CONNECTION_NOT_FOUND)


def _get(template: str, handler: Handler, summary: str, answer: object, *errors: E) -> Route:
    return Route("GET", template, handler, 200, summary=summary, answer=answer, errors=errors)


def _list(template: str, what: str) -> Route:
    return Route(
        "GET",
        P + template,
        features.empty_list,
        200,
        summary=f"List {what}",
        query=requests.Page,
        answer=replies.NoItems,
        errors=(E.INVALID_PARAMETER,),
    )


def _start(
    feature: Feature, template: str, body: type[requests.Start], summary: str, success: int = 200
) -> Route:
    """A feature that this server does not have."""
    encrypted = (
        E.CAPTIONS_NEED_CLEAR_MEDIA if feature is Feature.CAPTIONS else E.FEATURE_NEEDS_CLEAR_MEDIA
    )
    return Route(
        "POST",
        P + template,
        features.unavailable,
        success,
        json_fields,
        feature,
        summary,
        body=body,
        errors=(
            E.INVALID_PARAMETER,
            E.SESSION_NOT_FOUND,
            encrypted,
            E.FEATURE_NEEDS_ROUTED,
            E.FEATURE_UNAVAILABLE,
        ),
    )


def _serve(route: Route, handler: Handler, answer: object, *errors: E) -> Route:
    """A feature that this server has."""
    return replace(route, handler=handler, answer=answer, errors=(*route.errors, *errors))


_SESSION_ROUTES = (
    Route(
        "POST",
        "/session/create",
        create_session,
        200,
        form_or_json_fields,
        summary="Create a session",
        body=None,
        answer=list[replies.CreatedSession],
        errors=(
            E.INVALID_PARAMETER,
            E.E2EE_NEEDS_ROUTED,
            E.E2EE_NEVER_ARCHIVED,
            E.E2EE_UNREADABLE,
            E.E2EE_NOT_ENABLED,
        ),
    ),
    replace(
        _list("/session", "the sessions that clients are in"),
        handler=live.list_sessions,
        answer=replies.LiveSessions,
    ),
    _get(S, get_session, "Show a session", replies.Session, E.SESSION_NOT_FOUND),
    Route(
        "POST",
        S + "/signal",
        live.signal,
        204,
        json_fields,
        summary="Signal every client of a session",
        body=requests.Signal,
        errors=(*_SIGNAL, *_NOBODY),
    ),
    Route(
        "POST",
        C + "/signal",
        live.signal,
        204,
        json_fields,
        summary="Signal one client",
        body=requests.Signal,
        errors=(*_SIGNAL, *_NOBODY, E.CONNECTION_NOT_FOUND),
    ),
    _get(
        S + "/stream",
        live.list_streams,
        "List the streams of a session",
        replies.Streams,
        E.SESSION_NOT_FOUND,
    ),
    _get(T, live.get_stream, "Show a stream", replies.Stream, *_STREAM),
    _get(
        T + "/explain",
        explanations.explain_stream,
        "Say what each subscriber of a stream gets, and why not more",
        explanations.Explained,
        *_STREAM,
        E.RATE_LIMITED,
    ),
    Route(
        "PUT",
        S + "/stream",
        live.set_layout_classes,
        200,
        json_fields,
        summary="Set the layout classes of streams",
        body=requests.StreamLayouts,
        answer=replies.Streams,
        errors=(E.INVALID_PARAMETER, *_STREAM),
    ),
    _get(
        S + "/connection",
        live.list_connections,
        "List the clients of a session",
        replies.Connections,
        E.SESSION_NOT_FOUND,
    ),
    Route(
        "DELETE",
        C,
        live.force_disconnect,
        204,
        summary="Disconnect a client",
        errors=_CONNECTION,
    ),
    Route(
        "POST",
        T + "/mute",
        live.mute_stream,
        200,
        summary="Mute a stream",
        answer=replies.ProjectDetails,
        errors=_STREAM,
    ),
    Route(
        "POST",
        S + "/mute",
        live.mute_all,
        200,
        json_fields,
        summary="Mute all streams but some, or stop muting new ones",
        body=requests.MuteAll,
        answer=replies.ProjectDetails,
        errors=(E.INVALID_PARAMETER, *_NOBODY),
    ),
    Route(
        "POST",
        S + "/play-dtmf",
        calls.play_dtmf,
        200,
        json_fields,
        summary="Play tones to all SIP calls of a session",
        body=requests.Digits,
        errors=(E.DIGITS_INVALID, E.SESSION_NOT_FOUND, E.SIP_LEG_NOT_FOUND),
    ),
    Route(
        "POST",
        C + "/play-dtmf",
        calls.play_dtmf,
        200,
        json_fields,
        summary="Play tones to one SIP call",
        body=requests.Digits,
        errors=(E.DIGITS_INVALID, E.SESSION_NOT_FOUND, E.SIP_LEG_NOT_FOUND),
    ),
)

_ARCHIVE, _BROADCAST, _RENDER = E.ARCHIVE_NOT_FOUND, E.BROADCAST_NOT_FOUND, E.RENDER_NOT_FOUND
_CHANGE = requests.StreamsChange
_CONNECTS = (
    E.AUTHENTICATION_FAILED,
    E.TOKEN_EXPIRED,
    E.PERMISSION_DENIED,
    E.ADDRESS_REFUSED,
    E.CONNECT_FAILED,
    E.NO_CAPACITY,
)
"""Of routes by which a client joins that connects to an address."""
_ARCHIVE_ROUTES = (
    _serve(
        _start(Feature.ARCHIVE, "/archive", requests.StartArchive, "Start an archive"),
        archives.start,
        replies.Archive,
        *(E.NOBODY_CONNECTED, E.ARCHIVE_RUNNING, E.NO_CAPACITY, E.ARCHIVE_QUOTA),
    ),
    replace(_list("/archive", "archives"), handler=archives.page, answer=replies.Archives),
    _get(P + "/archive/{id}", archives.show, "Show an archive", replies.Archive, _ARCHIVE),
    Route(
        "DELETE",
        P + "/archive/{id}",
        archives.delete,
        204,
        summary="Delete an archive",
        errors=(_ARCHIVE, E.ARCHIVE_NOT_DELETABLE),
    ),
    Route(
        "POST",
        P + "/archive/{id}/stop",
        archives.stop,
        200,
        summary="Stop an archive",
        answer=replies.Archive,
        errors=(_ARCHIVE, E.ARCHIVE_NOT_RECORDING),
    ),
    Route(
        "PATCH",
        P + "/archive/{id}/streams",
        archives.change_streams,
        204,
        json_fields,
        summary="Change what is archived",
        body=_CHANGE,
        errors=(
            E.INVALID_PARAMETER,
            _ARCHIVE,
            E.STREAM_NOT_FOUND,
            E.STREAM_MODE_AUTO,
            E.ARCHIVE_NOT_RECORDING,
        ),
    ),
    Route(
        "PUT",
        P + "/archive/{id}/layout",
        archives.set_layout,
        200,
        json_fields,
        summary="Change the layout",
        body=requests.Layout,
        answer=replies.Archive,
        errors=(E.INVALID_PARAMETER, _ARCHIVE, E.ARCHIVE_NOT_RECORDING, E.FEATURE_UNAVAILABLE),
    ),
)
_BROADCAST_ROUTES = (
    _serve(
        _start(Feature.BROADCAST, "/broadcast", requests.StartBroadcast, "Start a broadcast"),
        broadcasts.start,
        replies.Broadcast,
        *(E.ADDRESS_REFUSED, E.NOBODY_CONNECTED, E.BROADCAST_RUNNING, E.NO_CAPACITY),
    ),
    replace(_list("/broadcast", "broadcasts"), handler=broadcasts.page, answer=replies.Broadcasts),
    _get(P + "/broadcast/{id}", broadcasts.show, "Show a broadcast", replies.Broadcast, _BROADCAST),
    Route(
        "POST",
        P + "/broadcast/{id}/stop",
        broadcasts.stop,
        200,
        summary="Stop a broadcast",
        answer=replies.Broadcast,
        errors=(_BROADCAST, E.BROADCAST_NOT_RUNNING),
    ),
    Route(
        "PATCH",
        P + "/broadcast/{id}/streams",
        broadcasts.change_streams,
        204,
        json_fields,
        summary="Change what is broadcast",
        body=_CHANGE,
        errors=(
            E.INVALID_PARAMETER,
            _BROADCAST,
            E.STREAM_NOT_FOUND,
            E.STREAM_MODE_AUTO,
            E.BROADCAST_NOT_RUNNING,
        ),
    ),
    Route(
        "PUT",
        P + "/broadcast/{id}/layout",
        broadcasts.set_layout,
        200,
        json_fields,
        summary="Change the layout of a broadcast",
        body=requests.Layout,
        answer=replies.Broadcast,
        errors=(
            E.INVALID_PARAMETER,
            _BROADCAST,
            E.BROADCAST_NOT_RUNNING,
            E.FEATURE_UNAVAILABLE,
        ),
    ),
)
_FEATURE_ROUTES = (
    *_ARCHIVE_ROUTES,
    *_BROADCAST_ROUTES,
    _serve(
        _start(Feature.SIP, "/dial", requests.Dial, "Call a SIP address into a session"),
        calls.dial,
        replies.SipCall,
        *_CONNECTS,
    ),
    _serve(
        _start(Feature.RENDER, "/render", requests.StartRender, "Publish a web page", 202),
        renders.start,
        replies.Render,
        *_CONNECTS,
    ),
    replace(_list("/render", "renders"), handler=renders.page, answer=replies.Renders),
    _get(P + "/render/{id}", renders.show, "Show a render", replies.Render, _RENDER),
    Route(
        "DELETE",
        P + "/render/{id}",
        renders.stop,
        200,
        summary="Stop a render",
        answer=replies.Render,
        errors=(_RENDER,),
    ),
    _serve(
        _start(
            Feature.AUDIO_CONNECTOR, "/connect", requests.ConnectAudio, "Send audio to a WebSocket"
        ),
        connectors.start,
        replies.AudioConnection,
        *_CONNECTS,
    ),
    Route(
        "POST",
        P + "/connect/{id}/stop",
        connectors.stop,
        200,
        summary="Stop sending audio",
        errors=(E.CALL_NOT_FOUND,),
    ),
    _serve(
        _start(Feature.CAPTIONS, "/captions", requests.StartCaptions, "Start captions", 202),
        captions.start,
        replies.StartedCaptions,
        E.AUTHENTICATION_FAILED,
        E.TOKEN_EXPIRED,
        E.PERMISSION_DENIED,
        E.NOBODY_CONNECTED,
        E.CAPTIONS_RUNNING,
        E.NO_CAPACITY,
    ),
    _get(
        P + "/captions/{id}", captions.show, "Show captions", replies.Captions, E.CAPTIONS_NOT_FOUND
    ),
    Route(
        "POST",
        P + "/captions/{id}/stop",
        captions.stop,
        202,
        summary="Stop captions",
        errors=(E.CAPTIONS_NOT_FOUND,),
    ),
)

ROUTES: tuple[Route, ...] = (
    *_SESSION_ROUTES,
    *_FEATURE_ROUTES,
    Route(
        "POST",
        P + "/callback",
        callbacks.register_callback,
        200,
        json_fields,
        summary="Register a callback",
        body=requests.RegisterCallback,
        answer=replies.Callback,
        errors=(E.INVALID_PARAMETER,),
    ),
    _get(P + "/callback", callbacks.list_callbacks, "List callbacks", tuple[replies.Callback, ...]),
    Route(
        "DELETE",
        P + "/callback/{id}",
        callbacks.unregister_callback,
        204,
        summary="Forget a callback",
        errors=(E.CALLBACK_NOT_FOUND,),
    ),
)
