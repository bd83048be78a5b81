//! How packets reach a peer, and the messages to send over it.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use sealroute_transport::{PathProof, PeerAddress};

/// How long a check's request to receive media at its source stays valid.
const REQUEST_LIFETIME: Duration = Duration::from_secs(3);

/// The addresses of both ends: where a peer's packets come from, and which local address it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    pub(crate) remote: SocketAddr,
    /// `None` when the socket is bound to a single address.
    pub(crate) local: Option<IpAddr>,
    /// `None` for UDP; a connection number for TCP.
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

/// A path over which valid checks arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValidatedPath {
    pub(crate) path: Path,
    pub(crate) checked: Instant,
    /// When the peer responded elsewhere although it was probed here.
    pub(crate) failed: Option<Instant>,
    pub(crate) proof: PathProof,
    /// When the peer last requested its media here, before the path was proven.
    pub(crate) requested_at: Option<Instant>,
}

impl ValidatedPath {
    /// A handshake datagram arrived, which raises the budget. Returns the path if the peer requested
    /// it and a probe is due, as after one that exceeded the budget.
    pub(crate) fn on_handshake(&mut self, now: Instant, bytes: usize) -> Option<Path> {
        self.proof.on_received(bytes);
        (self.is_requested(now) && self.proof.needs_probe(now)).then_some(self.path)
    }

    pub(crate) fn is_requested(&self, now: Instant) -> bool {
        let fresh = |at| now.saturating_duration_since(at) < REQUEST_LIFETIME;
        self.requested_at.is_some_and(fresh)
    }
}

/// One message to send: one packet, or several of `segment_bytes` each (the last may be shorter).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) path: Path,
    pub(crate) bytes: &'a [u8],
    /// The kernel splits `bytes` into datagrams of this size (`UDP_SEGMENT`). Never set for TCP.
    pub(crate) segment_bytes: Option<u16>,
}
