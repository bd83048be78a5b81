"""Client of the Sealroute media server that encrypts end to end."""

from sealroute_client.e2ee.secret import generate_encryption_secret
from sealroute_client.emitter import Event
from sealroute_client.errors import (
    AlreadyConnected,
    CertificateMismatch,
    ConnectFailed,
    DecryptionInternalError,
    DecryptionUnsupportedCodec,
    EncryptionError,
    EncryptionInternalError,
    EncryptionSecretMismatch,
    EncryptionSecretMissing,
    EncryptionUnsupportedCodec,
    HandshakeFailed,
    InvalidEncryptionSecret,
    InvalidParameter,
    MediaSourceError,
    MediaUnreachable,
    MessageFlood,
    NotConnected,
    RequestTimeout,
    SealrouteError,
    ServerError,
    SignalTooLong,
    TransportLostTooOften,
    UnexpectedServerResponse,
)
from sealroute_client.media.paths import Candidate, MediaPath
from sealroute_client.media.recording import RecordingError
from sealroute_client.media.sources import read_counter
from sealroute_client.publisher import Publisher
from sealroute_client.session import Session
from sealroute_client.subscriber import Subscriber

__all__ = [
    "AlreadyConnected",
    "Candidate",
    "CertificateMismatch",
    "ConnectFailed",
    "DecryptionInternalError",
    "DecryptionUnsupportedCodec",
    "EncryptionError",
    "EncryptionInternalError",
    "EncryptionSecretMismatch",
    "EncryptionSecretMissing",
    "EncryptionUnsupportedCodec",
    "Event",
    "HandshakeFailed",
    "InvalidEncryptionSecret",
    "InvalidParameter",
    "MediaPath",
    "MediaSourceError",
    "MediaUnreachable",
    "MessageFlood",
    "NotConnected",
    "Publisher",
    "RecordingError",
    "RequestTimeout",
    "SealrouteError",
    "ServerError",
    "Session",
    "SignalTooLong",
    "Subscriber",
    "TransportLostTooOften",
    "UnexpectedServerResponse",
    "generate_encryption_secret",
    "read_counter",
]
