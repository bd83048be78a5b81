//! Real clients at little cost per packet: publishers that pace, subscribers that verify.
//!
//! Signaling, ICE's first check and the DTLS handshake happen elsewhere; a [`job::Job`] brings
//! connected sockets and SRTP keys. RTP, RTCP, payloads and stamps share no code with the server, so
//! that an error in its wire formats can not cancel itself out; SRTP and STUN are its own code,
//! which is held against the RFCs' vectors and other implementations.

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
    /// The job makes no sense; the text names the member.
    Job(String),
    /// A socket or thread failed.
    Io(std::io::Error),
    /// A key or packet could not be used.
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
