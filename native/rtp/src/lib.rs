//! Wire formats of RTP and RTCP: parse and write, no state, no I/O.

#![forbid(unsafe_code)]

pub mod bits;
mod data_rate;
pub mod dependency_descriptor;
pub mod descriptor;
pub mod layers_allocation;
mod packet;
pub mod rtcp;
mod sequence;
pub mod tap_record;
mod transport_feedback;

pub use data_rate::DataRate;
pub use packet::{HeaderExtensions, MAX_PACKET_BYTES, PacketError, RtpHeader, RtpPacket, is_rtcp};
pub use sequence::{FullSequence, Sequence, SequenceUnwrapper};
pub use transport_feedback::{PacketStatus, TransportFeedback, remb_rate};
