//! How packets get to a peer, and what is to be sent over it.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use sealroute_transport::PeerAddress;

/// Where packets of a peer come from, and which of our addresses it talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    pub(crate) remote: SocketAddr,
    /// None where the socket is bound to one address.
    pub(crate) local: Option<IpAddr>,
    /// None: by datagrams.
    pub(crate) connection: Option<NonZeroU32>,
}

impl Path {
    pub(crate) fn peer(&self) -> PeerAddress {
        PeerAddress {
            address: self.remote,
            connection: self.connection,
        }
    }
}

/// One message to send: a packet, or several of `segment_bytes` each (the last may be shorter).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) path: Path,
    pub(crate) bytes: &'a [u8],
    /// Some: the kernel cuts `bytes` into datagrams of this size (`UDP_SEGMENT`); never over a
    /// connection.
    pub(crate) segment_bytes: Option<u16>,
}
