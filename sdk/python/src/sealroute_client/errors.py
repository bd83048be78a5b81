"""What can go wrong, with the names and numbers that the native OpenTok SDKs use."""

from collections.abc import Mapping


class SealrouteError(Exception):
    """A failure the caller can act on. `code` is stable, `number` is OpenTok's."""

    code = "internal"
    name = "InternalError"
    number = 2000


class EncryptionError(SealrouteError):
    """A failure of end-to-end encryption on this side."""

    code = "encryption_internal"
    name = "EncryptionInternalError"
    number = 6001


class EncryptionSecretMissing(EncryptionError):
    """The operation needs a secret, and none is set."""

    code = "encryption_secret_missing"
    name = "EncryptionSecretMissing"
    number = 6000


class EncryptionInternalError(EncryptionError):
    """Frames or signals cannot be encrypted; nothing was sent unencrypted."""


class DecryptionInternalError(EncryptionError):
    """Received media cannot be decrypted: an offer cannot be used, or this aiortc does not fit."""

    code = "decryption_internal"
    name = "DecryptionInternalError"
    number = 6002


class EncryptionSecretMismatch(EncryptionError):
    """The other end uses another secret."""

    code = "encryption_secret_mismatch"
    name = "EncryptionSecretMismatch"
    number = 6003


class InvalidEncryptionSecret(EncryptionError):
    """A secret has 8 to 256 characters."""

    code = "encryption_secret_invalid"
    name = "InvalidEncryptionSecret"
    number = 6004


class EncryptionUnsupportedCodec(EncryptionError):
    """Frames of this codec cannot be encrypted; publish another one."""

    code = "encryption_codec_unsupported"
    name = "EncryptionUnsupportedCodec"
    number = 6005


class DecryptionUnsupportedCodec(EncryptionError):
    """Frames of this codec cannot be decrypted, or are never encrypted."""

    code = "decryption_codec_unsupported"
    name = "DecryptionUnsupportedCodec"
    number = 6006


class NotConnected(SealrouteError):
    """The session is not connected, or no longer."""

    code = "not_connected"
    name = "NotConnected"
    number = 1010


class AlreadyConnected(SealrouteError):
    """The session is already connected, or connecting."""

    code = "already_connected"
    name = "AlreadyConnected"
    number = 1011


class ConnectFailed(SealrouteError):
    """The server could not be reached or refused the WebSocket. `reason`: `refused`, `unreachable`,
    `name` (DNS), `timeout`, `certificate`, `tls`, `status` (HTTP, no WebSocket), or `protocol` for
    all that goes wrong after that."""

    code = "connect_failed"
    name = "ConnectFailed"
    number = 1006

    def __init__(self, message: str, *, reason: str = "protocol") -> None:
        super().__init__(message)
        self.reason = reason


class InvalidParameter(SealrouteError):
    """An argument has no valid value, or does not fit the session."""

    code = "invalid_parameter"
    name = "InvalidParameter"
    number = 1011


class SignalTooLong(InvalidParameter):
    """A signal's type has at most 128 bytes of UTF-8, its data at most 8,192."""

    code = "signal_too_long"
    number = 1413


class RequestTimeout(SealrouteError):
    """The server did not answer a request in time."""

    code = "request_timeout"
    name = "Timeout"
    number = 1542


class MessageFlood(SealrouteError):
    """This client sent more than the server allows, and is not taken back."""

    code = "message_flood"
    name = "RateLimitExceeded"
    number = 1550


class UnexpectedServerResponse(SealrouteError):
    """The server sent what the protocol does not allow: a newer or broken server, or a hostile
    one. Nothing of it was used."""

    code = "unexpected_server_response"
    name = "UnexpectedServerResponse"
    number = 2000


class MediaUnreachable(SealrouteError):
    """No media path to the server (or to a peer) could be found."""

    code = "media_unreachable"
    name = "IceFailed"
    number = 1554


class CertificateMismatch(SealrouteError):
    """The certificate on the media path is not the one of the server's description: an attacker is
    on the path, or the server lies. Nothing was sent or played over that path."""

    code = "certificate_mismatch"
    name = "IceFailed"
    number = 1554


class HandshakeFailed(SealrouteError):
    """A media path was found, and the DTLS handshake over it failed or did not end."""

    code = "handshake_failed"
    name = "IceFailed"
    number = 1554


class TransportLostTooOften(SealrouteError):
    """The server gave up the media transport again and again; what went over it has ended."""

    code = "transport_lost"
    name = "IceFailed"
    number = 1554


class MediaSourceError(SealrouteError):
    """The media file or device cannot be used."""

    code = "media_source"
    name = "PublisherMediaError"
    number = 1500


class ServerError(SealrouteError):
    """The server refused a request. Code, name and number are what it sent."""

    def __init__(self, code: str, name: str, number: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.number = number

    @classmethod
    def from_wire(cls, message: Mapping[str, object]) -> "ServerError":
        """Members that are absent, which is the same as null, say nothing."""
        number = message.get("number")
        return cls(
            str(message.get("code") or "internal"),
            str(message.get("name") or "OT_UNEXPECTED_SERVER_RESPONSE"),
            number if isinstance(number, int) else 2000,
            str(message.get("message") or "The server refused the request and did not say why"),
        )
