//! The network side of a client's two peer connections: ICE, DTLS, SRTP, repair. The one crate that
//! knows str0m, which is used at RTP level: packetizers and assemblers are `sealroute-media`'s.
//!
//! Sans-IO: datagrams and time come in and go out. Nothing is sent but [`sealroute_media::Packet`]s,
//! which are made of frames that the session let out.

#![forbid(unsafe_code)]

mod downlink;
mod error;
mod link;
mod sdp;
mod uplink;

pub use downlink::{Arrived, Downlink};
pub use error::TransportError;
pub use link::{Datagram, LinkEvent};
pub use uplink::{Offered, Uplink};
