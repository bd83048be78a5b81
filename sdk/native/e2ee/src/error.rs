//! What is refused, with codes that do not change.

use std::fmt;

/// A secret that the application may not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretError {
    /// Shorter than 8 or longer than 256 code points.
    Length,
    /// An id has more bytes than a length of 16 bits can say.
    Id,
}

/// Why a received frame is dropped (docs/e2ee.md section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Its hint names no secret that is held.
    Secret,
    /// Its tag does not verify.
    Auth,
    /// It is of another publication than the stream's.
    Sender,
    /// It is not of this format, for example clear.
    Format,
    /// It came before, or is too old. Not a sign of a wrong secret.
    Replay,
}

impl Refusal {
    /// The word of the traces and of the documents.
    pub fn code(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Auth => "auth",
            Self::Sender => "sender",
            Self::Format => "format",
            Self::Replay => "replay",
        }
    }
}

/// A frame of the encoder that has no place in the format, and is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameError {
    /// Without a byte.
    Empty,
    /// Not what its codec makes.
    Malformed,
}

/// Why nothing more can be encrypted as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendingError {
    /// The frame; the next one may pass.
    Frame(FrameError),
    /// This key encrypted 2^32 frames: the publication's next one is due.
    CounterExhausted,
    /// The publication used all its contexts: its stream ends.
    ContextsExhausted,
    /// A text of a signal has more bytes than a length of 16 bits can say.
    TooLong,
    /// The system gave no random bytes.
    NoRandomness,
    /// The key id was chosen for another secret, or by another publication.
    OtherKeyId,
}

macro_rules! errors {
    ($($type:ty { $($variant:pat => $text:literal),+ $(,)? })+) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($variant => $text),+ })
            }
        }
        impl std::error::Error for $type {}
    )+};
}

errors! {
    SecretError {
        Self::Length => "a secret has 8 to 256 characters",
        Self::Id => "an id is longer than 65,535 bytes",
    }
    Refusal {
        Self::Secret => "no held secret has this hint",
        Self::Auth => "the tag does not verify",
        Self::Sender => "the frame is of another publication",
        Self::Format => "the frame is not of the format e2ee/2",
        Self::Replay => "the frame was seen before, or is too old",
    }
    FrameError {
        Self::Empty => "a frame without a byte is not encrypted",
        Self::Malformed => "the frame is not what its codec makes",
    }
    SendingError {
        Self::Frame(FrameError::Empty) => "a frame without a byte is not encrypted",
        Self::Frame(FrameError::Malformed) => "the frame is not what its codec makes",
        Self::CounterExhausted => "this key encrypted all frames that it may",
        Self::ContextsExhausted => "the publication used all its key ids",
        Self::TooLong => "a text of the signal is longer than 65,535 bytes",
        Self::NoRandomness => "the system gave no random bytes",
        Self::OtherKeyId => "the key id was chosen for another secret or by another publication",
    }
}

impl From<FrameError> for SendingError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}
