//! Wire formats of RTP and RTCP: parse and write, no state, no I/O.
#![forbid(unsafe_code)]

mod packet;
mod rtcp;

pub use packet::{Extensions, HeaderFields, ParseError, RtpPacket, is_rtcp, write_header};
pub use rtcp::{RtcpPacket, RtcpPackets, packets, write_pli};
