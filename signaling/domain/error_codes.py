"""The code of every failure, which clients and applications compare, and its message.

Messages never repeat what a peer sent.
"""

from enum import StrEnum
from typing import Self


class ErrorCode(StrEnum):
    """Stable names of failures; the WebSocket sends them as they are.

    `message` says what happened and what to do, in English.
    """

    _value_: str
    message: str

    def __new__(cls, value: str, message: str = "") -> Self:
        code = str.__new__(cls, value)
        code._value_ = value
        code.message = message
        return code

    # Failures on the WebSocket.
    INVALID_MESSAGE = "invalid_message", "The message is not valid."
    MESSAGE_TOO_LARGE = "message_too_large", "The message is too large."
    SECRET_REFUSED = (
        "secret_refused",
        "The message carries an encryption secret. Secrets never leave the client.",
    )
    AUTHENTICATION_FAILED = "authentication_failed", "The token is not valid for this session."
    TOKEN_EXPIRED = "token_expired", "The token has expired."
    TOKEN_FROM_FUTURE = (
        "token_from_future",
        (
            "The token was issued in the future: compare the clock of the machine that made it "
            "with the server's."
        ),
    )
    RESUME_UNKNOWN = (
        "resume_unknown",
        "The server no longer knows this connection; join again without a resume token.",
    )
    INVALID_SESSION_ID = "invalid_session_id", "The session id is not valid on this server."
    SESSION_UNKNOWN = "session_unknown", "The session does not exist."
    PERMISSION_DENIED = "permission_denied", "The token's role does not allow this."
    NOT_CONNECTED = "not_connected", "The client is not connected to the session."
    STREAM_NOT_FOUND = "stream_not_found", "The session has no such stream."
    CONNECTION_NOT_FOUND = "connection_not_found", "The session has no such connection."
    SUBSCRIBER_NOT_FOUND = "subscriber_not_found", "The connection has no such subscriber."
    CONNECTION_LIMIT = "connection_limit", "The session has reached its connection limit."
    SESSION_LIMIT = "session_limit", "The project has reached its limit of active sessions."
    ORIGIN_REFUSED = "origin_refused", "The project does not allow pages from this origin."
    STREAM_LIMIT = "stream_limit", "The connection has reached its limit of published streams."
    SUBSCRIBER_LIMIT = "subscriber_limit", "The connection has reached its subscriber limit."
    RATE_LIMITED = "rate_limited", "Too many requests; slow down."
    MESSAGE_FLOOD = (
        "message_flood",
        "The client kept exceeding its rate limit. Send less, and join again.",
    )
    SIGNAL_TOO_LONG = (
        "signal_too_long",
        "A signal's type is limited to 128 bytes and its data to 8,192 bytes.",
    )
    SIGNAL_NOT_ENCRYPTED = (
        "signal_not_encrypted",
        (
            "Signals of an end-to-end encrypted session must be encrypted: set the encryption "
            "secret before sending."
        ),
    )
    INVALID_PARAMETER = "invalid_parameter", "A parameter is not valid."
    E2EE_UNSUPPORTED = (
        "e2ee_unsupported",
        "Tried to connect an e2ee session but the browser does not support e2ee",
    )
    E2EE_REQUIRED = (
        "e2ee_required",
        "Tried to publish to an e2ee session but encryption secret was not set",
    )
    CODEC_UNSUPPORTED = "codec_unsupported", "The client supports none of the stream's codecs."
    SERVER_SHUTDOWN = "server_shutdown", "The server is shutting down."
    OVERLOADED = "overloaded", "The server is too busy; try again in a moment."
    HOME_AWAY = "home_away", "The session's node cannot be reached; try again in a moment."
    INTERNAL = "internal", "The server failed."

    # Refusals of the media plane (sfu.media_plane.MediaError).
    SDP_INVALID = "sdp_invalid", "The SDP is not valid."
    SDP_TOO_LARGE = "sdp_too_large", "The SDP is too large."
    TRACK_UNKNOWN = "track_unknown", "The stream has no such track."
    STREAM_UNKNOWN = "stream_unknown", "The stream has no media."
    STREAM_EXISTS = "stream_exists", "The stream is published already."
    KIDS_MISSING = "kids_missing", "A track of an end-to-end encrypted session needs its key ids."
    ANSWER_UNEXPECTED = "answer_unexpected", "The answer does not match an outstanding offer."
    SETUP_INVALID = "setup_invalid", "The SDP's DTLS role or ICE parameters are not acceptable."
    FINGERPRINT_UNSUPPORTED = (
        "fingerprint_unsupported",
        "The SDP has no fingerprint with a supported hash.",
    )
    SSRC_CONFLICT = "ssrc_conflict", "Another stream uses that SSRC."
    SUBSCRIPTIONS_EXHAUSTED = (
        "subscriptions_exhausted",
        "The client's downlink has no room for another subscriber.",
    )
    TRANSPORT_CLOSED = "transport_closed", "The transport is closed."

    # Failures of REST only.
    CREDENTIALS_INVALID = "credentials_invalid", "Invalid API key, secret or token."
    CREDENTIALS_CLOCK = (
        "credentials_clock",
        (
            "The key and secret are correct, but the credential's times are not: compare the clock "
            "of the machine that made it with the server's."
        ),
    )
    PROJECT_MISMATCH = "project_mismatch", "Id in the token does not match the one in the url"
    NOT_FOUND = "not_found", "This resource does not exist."
    METHOD_NOT_ALLOWED = "method_not_allowed", "This resource does not allow the method."
    UPGRADE_INVALID = (
        "upgrade_invalid",
        (
            "This resource accepts only WebSockets (RFC 6455, version 13) with a subprotocol of "
            "Sealroute."
        ),
    )
    CONTENT_TYPE_INVALID = "content_type_invalid", "The body has an unsupported content type."
    EXPECTATION_FAILED = "expectation_failed", "The header Expect may only ask for 100-continue."
    RANGE_INVALID = "range_invalid", "The range is not within the file's length."
    PRECONDITION_MISSING = "precondition_missing", "If-Match is missing."
    PRECONDITION_FAILED = "precondition_failed", "The resource has changed: get it again."
    ICE_RESTART_UNSUPPORTED = (
        "ice_restart_unsupported",
        "ICE restarts are not supported: start a new connection.",
    )
    BODY_INVALID = "body_invalid", "The body is not valid."
    BODY_TOO_LARGE = "body_too_large", "The body is too large."
    SESSION_NOT_FOUND = "session_not_found", "Session not found."
    NOBODY_CONNECTED = "nobody_connected", "No client is connected to the session."
    SIGNAL_DATA_MISSING = "signal_data_missing", "Signal payload 'data' must be set"
    DIGITS_INVALID = "digits_invalid", "'digits' may contain 0-9, *, # and p (a pause of 500 ms)."
    SIP_LEG_NOT_FOUND = "sip_leg_not_found", "The session has no SIP call."
    ARCHIVE_NEEDS_ROUTED = "archive_needs_routed", "archiveMode 'always' needs a routed session."
    E2EE_NEEDS_ROUTED = "e2ee_needs_routed", "End-to-end encryption needs a routed session."
    E2EE_NEVER_ARCHIVED = "e2ee_never_archived", "End-to-end encrypted sessions cannot be archived."
    E2EE_UNREADABLE = (
        "e2ee_unreadable",
        "'e2ee' must be true or false: whether the session is end-to-end encrypted.",
    )
    E2EE_NOT_ENABLED = (
        "e2ee_not_enabled",
        "End-to-end encryption is not enabled for this project (add-on).",
    )
    FEATURE_NEEDS_CLEAR_MEDIA = (
        "feature_needs_clear_media",
        "This feature is not supported in end-to-end encrypted sessions.",
    )
    CAPTIONS_NEED_CLEAR_MEDIA = (
        "captions_need_clear_media",
        "Live captions are not supported in end-to-end encrypted sessions.",
    )
    FEATURE_NEEDS_ROUTED = (
        "feature_needs_routed",
        "Only routed sessions are allowed to use this feature.",
    )
    FEATURE_UNAVAILABLE = "feature_unavailable", "This server does not support the feature."
    NO_CAPACITY = "no_capacity", "This server has no room for another archive; try again later."
    ARCHIVE_QUOTA = (
        "archive_quota",
        (
            "The project's archives have reached their limit of disk space: delete some, or wait "
            "until they expire."
        ),
    )
    CONNECT_FAILED = "connect_failed", "The WebSocket could not be opened."
    ARCHIVE_NOT_FOUND = "archive_not_found", "Archive not found."
    ARCHIVE_RUNNING = (
        "archive_running",
        (
            "The session is archived already: stop that archive, or start one with another "
            "'multiArchiveTag'."
        ),
    )
    ARCHIVE_NOT_RECORDING = "archive_not_recording", "The archive is not recording."
    ARCHIVE_NOT_DELETABLE = (
        "archive_not_deletable",
        "The archive is not finished: stop it, and wait until it is available or failed.",
    )
    STREAM_MODE_AUTO = (
        "stream_mode_auto",
        "The archive has all streams: only one with 'streamMode' manual can be changed.",
    )
    LINK_EXPIRED = "link_expired", "The link has expired: show the archive to get another one."
    BROADCAST_NOT_FOUND = "broadcast_not_found", "Broadcast not found."
    BROADCAST_RUNNING = (
        "broadcast_running",
        (
            "The session is broadcast already: stop that broadcast, or start one with another "
            "'multiBroadcastTag'."
        ),
    )
    BROADCAST_NOT_RUNNING = "broadcast_not_running", "The broadcast is not running."
    ADDRESS_REFUSED = (
        "address_refused",
        (
            "The address is not public. The operator can allow its network with the setting "
            "egress.allowed_networks."
        ),
    )
    INVALID_STYLESHEET = "invalid_stylesheet", "The stylesheet cannot be used."
    RENDER_NOT_FOUND = "render_not_found", "Render not found."
    CALL_NOT_FOUND = "call_not_found", "Audio connection not found."
    CAPTIONS_RUNNING = (
        "captions_running",
        "The session is captioned already: stop those captions first.",
    )
    CAPTIONS_NOT_FOUND = "captions_not_found", "Captions not found."
    CALLBACK_NOT_FOUND = "callback_not_found", "Callback not found."
    STORAGE_UNAVAILABLE = (
        "storage_unavailable",
        "The server cannot reach its storage; try again later.",
    )
