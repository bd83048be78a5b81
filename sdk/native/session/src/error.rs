//! What an application is told, with stable codes and the numbers that applications compare.

use std::fmt;

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
            Self::WrongAnswer => "unexpected_server_response",
            Self::Refused { code, .. } => code,
        }
    }

    /// The number that applications of this API compare.
    pub fn number(&self) -> u64 {
        match self {
            Self::SecretMissing => 6000,
            Self::WrongForm => 6001,
            Self::NotEncrypted | Self::EncryptedAndRelayed | Self::Unsaid | Self::Contradiction => {
                1006
            }
            Self::NotConnected => 1010,
            Self::Timeout => 1542,
            Self::WrongAnswer => 2000,
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
            Self::Refused { .. } => "The server refused the request",
        })
    }
}

impl std::error::Error for SessionError {}
