//! The network side of one peer, sans-IO: demultiplexing, STUN, ICE-lite and SRTP. Nothing here
//! reads a clock or a socket.
#![forbid(unsafe_code)]

mod demux;
mod dtls_gate;
mod framing;
mod ice_lite;
mod outgoing_checks;
mod path_proof;
mod reachability;
mod srtp;
pub mod stun;
#[cfg(test)]
mod test_hex;

pub use demux::{PacketKind, classify};
pub use dtls_gate::{DtlsGate, DtlsRefusal, SharedDtlsGate, check_datagram};
pub use framing::{BadFrame, Deframer, LENGTH_BYTES, frame};
pub use ice_lite::{IceLite, IceOutcome, Ignored, PeerAddress};
pub use outgoing_checks::{OutgoingChecks, PeerCredentials};
pub use path_proof::PathProof;
pub use reachability::{Reachability, Step};
pub use srtp::{
    MAX_MISSED_REPORTS, MAX_OVERHEAD_BYTES, SrtpClue, SrtpError, SrtpKeys, SrtpProfile,
    SrtpReceiver, SrtpSender, rtp_header_bytes,
};
