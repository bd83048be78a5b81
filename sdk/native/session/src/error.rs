//! What an application is told, with stable codes and the numbers that applications compare.

use std::fmt;

use sealroute_rules::FinalError;

/// Why something was refused, or is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// The session is encrypted, and no secret was set.
    SecretMissing,
    /// A secret was set, and the server says that the session is clear.
    NotEncrypted,
    /// The server says that the session is encrypted and relayed, which cannot be.
    EncryptedAndRelayed,
    /// The server does not say whether the session is encrypted, and routed.
    Unsaid,
    /// The server says something else of the session than when it was joined.
    Contradiction,
    /// Clear where all is encrypted, or the other way round. A fault of this client.
    WrongForm,
    /// Nobody has let this client in, or it has left.
    NotConnected,
    /// No answer came in time.
    Timeout,
    /// The answer is none to this request.
    WrongAnswer,
    /// A secret is none, or cannot be used.
    InvalidSecret,
    /// A signal came that does not open with any secret that is held.
    SecretMismatch,
    /// Nothing can be encrypted any more: sending stops.
    EncryptionFailed,
    /// What is received cannot be opened, and not for want of a secret.
    DecryptionFailed(&'static str),
    /// A codec that the format has no form for.
    UnsupportedCodec,
    /// An argument has no valid value, or does not fit the session.
    InvalidParameter(&'static str),
    /// A signal's type or data is too long.
    SignalTooLong,
    /// A request is larger than the server takes.
    TooLarge,
    /// No WebSocket to the server could be had.
    ConnectFailed(&'static str),
    /// The server sent what the protocol does not allow. Nothing of it was used.
    Unexpected(&'static str),
    /// A transport was lost again and again; what went over it has ended.
    TransportLost,
    /// The server ended the connection for good.
    Closed(&'static FinalError),
    /// The server refused: its own code, and the number of its error's name.
    Refused {
        /// Of docs/protocol/errors.md.
        code: String,
        /// As the server says.
        number: u64,
    },
}

impl SessionError {
    /// Stable.
    pub fn code(&self) -> &str {
        match self {
            Self::SecretMissing => "encryption_secret_missing",
            Self::NotEncrypted => "not_encrypted",
            Self::EncryptedAndRelayed => "encrypted_and_relayed",
            Self::Unsaid => "encryption_unsaid",
            Self::Contradiction => "encryption_contradicted",
            Self::WrongForm => "encryption_internal_error",
            Self::NotConnected => "not_connected",
            Self::Timeout => "request_timeout",
            Self::WrongAnswer | Self::Unexpected(_) => "unexpected_server_response",
            Self::InvalidSecret => "encryption_secret_invalid",
            Self::SecretMismatch => "encryption_secret_mismatch",
            Self::EncryptionFailed => "encryption_internal",
            Self::DecryptionFailed(_) => "decryption_internal",
            Self::UnsupportedCodec => "decryption_codec_unsupported",
            Self::InvalidParameter(_) => "invalid_parameter",
            Self::SignalTooLong => "signal_too_long",
            Self::TooLarge => "message_too_large",
            Self::ConnectFailed(_) => "connect_failed",
            Self::TransportLost => "transport_lost",
            Self::Closed(error) => error.code,
            Self::Refused { code, .. } => code,
        }
    }

    /// The number that applications of this API compare.
    pub fn number(&self) -> u64 {
        match self {
            Self::SecretMissing => 6000,
            Self::WrongForm | Self::EncryptionFailed => 6001,
            Self::DecryptionFailed(_) => 6002,
            Self::SecretMismatch => 6003,
            Self::InvalidSecret => 6004,
            Self::UnsupportedCodec => 6006,
            Self::NotEncrypted
            | Self::EncryptedAndRelayed
            | Self::Unsaid
            | Self::Contradiction
            | Self::ConnectFailed(_) => 1006,
            Self::NotConnected => 1010,
            Self::Timeout => 1542,
            Self::WrongAnswer | Self::Unexpected(_) => 2000,
            Self::InvalidParameter(_) | Self::TooLarge => 1011,
            Self::SignalTooLong => 1413,
            Self::TransportLost => 1554,
            Self::Closed(error) => error.number.into(),
            Self::Refused { number, .. } => *number,
        }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretMissing => "The session is end-to-end encrypted; set its secret first",
            Self::NotEncrypted => {
                "An encryption secret was set, but the server says the session is not encrypted"
            }
            Self::EncryptedAndRelayed => {
                "The server says that the session is encrypted and relayed, which cannot be"
            }
            Self::Unsaid => "The server does not say whether the session is encrypted and routed",
            Self::Contradiction => {
                "The server says something else about the session than when it was joined"
            }
            Self::WrongForm => "Something was about to be sent as this session never sends it",
            Self::NotConnected => "The session is not connected",
            Self::Timeout => "The server did not answer",
            Self::WrongAnswer => "The server sent an answer that answers something else",
            Self::InvalidSecret => "An encryption secret has 8 to 256 characters",
            Self::SecretMismatch => {
                "A signal could not be decrypted with the present encryption secret"
            }
            Self::EncryptionFailed => "Nothing can be encrypted any more; sending stopped",
            Self::UnsupportedCodec => "A stream comes in a codec that is never encrypted",
            Self::SignalTooLong => "A signal's type has at most 128 bytes, its data 8,192",
            Self::TooLarge => "The request is larger than the server takes",
            Self::TransportLost => "The media transport was lost too often; try again later",
            Self::DecryptionFailed(text)
            | Self::InvalidParameter(text)
            | Self::ConnectFailed(text)
            | Self::Unexpected(text) => text,
            Self::Closed(error) => error.message,
            Self::Refused { .. } => "The server refused the request",
        })
    }
}

impl std::error::Error for SessionError {}
