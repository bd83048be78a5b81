//! Real clients at little cost per packet: publishers pace their packets, subscribers verify them.
//!
//! Signaling, the first ICE check and the DTLS handshake happen elsewhere; a [`job::Job`] brings
//! connected sockets and SRTP keys. RTP, RTCP, payloads and stamps share no code with the server,
//! so errors in its wire formats cannot cancel out. SRTP and STUN are the server's own code, which
//! is tested against RFC vectors and other implementations.

pub mod attack;
pub mod clock;
pub mod floor;
pub mod histogram;
pub mod job;
pub mod media;
pub mod publisher;
pub mod rtcp;
pub mod run;
pub mod srtp;
pub mod stamp;
pub mod subscriber;
pub mod system;
pub mod transport;

/// Why a run ended early.
#[derive(Debug)]
pub enum Error {
    /// The job is invalid; the text names the field.
    Job(String),
    /// A socket or thread failed.
    Io(std::io::Error),
    /// A key or packet is invalid.
    Crypto,
}

impl std::fmt::Display for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Job(text) => write!(formatter, "job: {text}"),
            Self::Io(error) => write!(formatter, "io: {error}"),
            Self::Crypto => write!(formatter, "crypto"),
        }
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}
