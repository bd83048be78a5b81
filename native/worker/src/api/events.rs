//! What the worker tells the control plane.

use sealroute_forward::{ForwardEvent, TransportHandle};
use serde::Serialize;
use serde_bytes::ByteBuf;

#[cfg(feature = "schema")]
use super::commands::Secret;

/// What the worker reports upward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The first connectivity check with the right password arrived.
    IceValidated {
        /// Whose.
        transport: TransportHandle,
    },
    /// A DTLS record from the validated address.
    DtlsDatagram {
        /// Whose.
        transport: TransportHandle,
        /// As received.
        #[cfg_attr(feature = "schema", schemars(with = "Secret"))]
        datagram: ByteBuf,
    },
    /// No valid check for the consent time (RFC 7675).
    ConsentExpired {
        /// Whose.
        transport: TransportHandle,
    },
    /// A command conflicted with the worker's state, or (`worker`, 0) the worker ended by itself.
    CommandFailed {
        /// The command's name.
        command: &'static str,
        /// Its main handle.
        handle: u64,
        /// Stable.
        reason: &'static str,
    },
    /// From forwarding.
    #[serde(untagged)]
    Forward(ForwardEvent),
}
