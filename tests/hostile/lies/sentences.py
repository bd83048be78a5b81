"""The sentences by which clients say that a server lies, without the row in which they do."""

from typing import get_args

from signaling.protocol.messages import ServerMessage

Words = dict[str, tuple[str, ...]]
KINDS = sorted(shape.__struct_config__.tag for shape in get_args(ServerMessage))
NEVER_MISSHAPEN = ("disconnected", "transportLost")
"""In the row that sends all others so."""

FAILED = "The server failed."
ANOTHER = (
    "OT_UNEXPECTED_SERVER_RESPONSE: The server described the session differently when the "
    "connection was resumed; it was ended"
)
STRANGER = (
    "OT_UNEXPECTED_SERVER_RESPONSE: A signal came that is for another member, or from nobody in "
    "the session; it was dropped"
)
NO_ARCHIVE = "The server spoke of an archive of an end-to-end encrypted session; it cannot record"
NO_CAPTIONS = "The server sent captions in an end-to-end encrypted session; it cannot caption"
IMPOSSIBLE = tuple(f"OT_UNEXPECTED_SERVER_RESPONSE: {one}" for one in (NO_ARCHIVE, NO_CAPTIONS))
MISMATCHED = (
    "OT_ENCRYPTION_SECRET_MISMATCH: "
    "A signal could not be decrypted with the present encryption secret"
)
UNDECRYPTED = "OT_ENCRYPTION_INTERNAL_ERROR: Frames could not be encrypted or decrypted"
ENDED = "OT_STREAM_DESTROYED: The stream ended"
BESIDE = "OT_DECRYPTION_INTERNAL_ERROR: Media arrived without passing the encryption worker"
NO_SESSION = (
    "OT_UNEXPECTED_SERVER_RESPONSE: The server let the client into something that is not the "
    "session it asked for"
)


def offer(words: str) -> str:
    made = "The server made an offer that an encrypted session does not allow: "
    return f"OT_UNEXPECTED_SERVER_RESPONSE: {made}{words}"


def answer(words: str) -> str:
    made = "The server made an answer that an encrypted session does not allow: "
    return f"OT_UNEXPECTED_SERVER_RESPONSE: {made}{words}"


def passed_on(what: str, words: str) -> str:
    made = f"The server passed on {what} that a relayed session does not allow: "
    return f"OT_UNEXPECTED_SERVER_RESPONSE: {made}{words}"


def misshapen(kind: str, path: str = "") -> str:
    """The browser SDK's of what is not as the protocol says."""
    words = f'The server sent "{kind}" with a wrong or missing "{path}'
    return f"OT_UNEXPECTED_SERVER_RESPONSE: {words}"


def answered(request: str, kind: str = "") -> str:
    return f'OT_UNEXPECTED_SERVER_RESPONSE: The server answered "{request}" with "{kind}'


def strange(words: str) -> str:
    """The Python SDK's of what the protocol does not allow."""
    return f"unexpected_server_response: {words}"


def wrong(kind: str) -> str:
    """The Python SDK's of what is not as the protocol says."""
    return strange(f"The server sent a message {kind} of a wrong shape")


OTHER_LINE = strange("The server's offer makes an m-line another one")
STRAYED = strange("A signal came that is for another member, or from nobody in the session")
UNDECRYPTED_SIGNAL = (
    "encryption_secret_mismatch: A signal could not be decrypted with the present encryption secret"
)


def told(python: str | tuple[str, ...], browsers: str | tuple[str, ...]) -> Words:
    both = {"python": python, "browsers": browsers}
    return {kind: (words,) if isinstance(words, str) else words for kind, words in both.items()}


OTHER_END = (
    "OT_UNEXPECTED_SERVER_RESPONSE: The other end of a media connection named another certificate"
)
UNSURE = "encryption_internal: The server does not say whether the session is encrypted and routed"
CLEAR = "encryption_internal: An encryption secret was set, but the server says the session is not"
RELAYED = "encryption_internal: The server says that the session is encrypted and relayed"
NOT_HELLO = strange("The server answered hello with something else")
# A browser says nothing of a WebSocket that it refused.
UNREACHED = "OT_CONNECT_FAILED: The server cannot be reached"
NOT_OURS = "The server does not speak this client's protocol"
OTHER_PROTOCOL = "OT_UNEXPECTED_SERVER_RESPONSE: The server does not speak the protocol of this SDK"
FAILED_BROWSERS = f"OT_UNEXPECTED_SERVER_RESPONSE: {FAILED}"
FAILURE = told(f"internal: {FAILED}", FAILED_BROWSERS)
