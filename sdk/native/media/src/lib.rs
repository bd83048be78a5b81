//! Encoded frames to RTP payloads and back, sans-IO. The payload descriptors are read as the server
//! reads them (`native/rtp`).
//!
//! ```text
//! Wire (of the session) → Packetizer → Packet → transport        transport → Piece → Assembler → Frame
//! ```
//! What a packetizer has to know of a frame (key frame or not) comes from its encoder, never from its
//! bytes: those are encrypted.

#![forbid(unsafe_code)]

mod assembler;
mod depacketize;
mod h264;
mod obu;
mod packetizer;

pub use assembler::{Assembler, Frame, Piece};
pub use packetizer::{MAX_PAYLOAD, Packet, Packetizer};
