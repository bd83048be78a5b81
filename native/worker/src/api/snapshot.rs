//! A snapshot of one session.

use sealroute_forward::{ForwardingSnapshot, TransportHandle};
use serde::Serialize;

use super::commands::{Direction, RouterHandle};

/// A snapshot of one session.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Snapshot {
    /// Its handle.
    pub router: RouterHandle,
    /// Its peers.
    pub transports: Vec<TransportSnapshot>,
    /// The media between them.
    pub forwarding: ForwardingSnapshot,
}

/// One peer of the session on the network.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TransportSnapshot {
    /// Its handle.
    pub transport: TransportHandle,
    /// Its direction.
    pub direction: Direction,
    /// The peer's validated address and port.
    pub remote: Option<String>,
    /// `udp` or `tcp`.
    pub protocol: Option<&'static str>,
    /// Our address on that path.
    pub local: Option<String>,
    /// Time until consent expires (RFC 7675).
    pub consent_left_ms: Option<u64>,
    /// Its DTLS handshake succeeded.
    pub has_keys: bool,
    /// Packets to this peer that were not sent, by stream and reason.
    pub not_sent: Vec<NotSent>,
}

/// Packets of one stream that were not sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotSent {
    /// The stream as the peer sees it.
    pub ssrc: u32,
    /// A drop reason of the network side.
    pub reason: &'static str,
    /// Since the transport was opened.
    pub packets: u64,
}
