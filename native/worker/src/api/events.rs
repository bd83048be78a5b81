//! Events from the worker to the control plane.

use sealroute_forward::{ForwardEvent, TransportHandle};
use serde::Serialize;
use serde_bytes::ByteBuf;

#[cfg(feature = "schema")]
use super::commands::Secret;

/// An event of the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The first connectivity check with the correct password arrived.
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
    /// No valid check arrived within the consent time (RFC 7675).
    ConsentExpired {
        /// Whose.
        transport: TransportHandle,
    },
    /// The reader of a tap has closed its end, or lost it because it floods. The tap stays until it
    /// is closed, and writes nothing.
    TapClosed {
        /// Whose.
        transport: TransportHandle,
        /// Stable name of the reason.
        reason: &'static str,
    },
    /// A command conflicted with the worker's state, or (`worker`, 0) the worker ended by itself.
    CommandFailed {
        /// Its name.
        command: &'static str,
        /// Its main handle.
        handle: u64,
        /// Stable name of the reason.
        reason: &'static str,
    },
    /// An event of forwarding.
    #[serde(untagged)]
    Forward(ForwardEvent),
}
