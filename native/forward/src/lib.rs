//! Forwarding among the clients of one session, sans-IO.
//!
//! The worker passes in authenticated, decrypted packets and takes out rewritten ones; time is a
//! parameter. The path of a packet: demux → plaintext guard → cache → per subscriber: admit →
//! rewrite → pace → [`Outbox`]. The steady state allocates nothing per packet.
#![forbid(unsafe_code)]

mod congestion;
mod counters;
mod down_track;
mod drop_reason;
mod encoding_layers;
mod extensions;
mod frame_mark;
mod key_frame_requests;
mod layer_filter;
mod layer_selector;
mod layers;
mod nack;
mod outbox;
mod packet_cache;
mod parameters;
mod plaintext_guard;
#[cfg(debug_assertions)]
mod poison;
mod reception;
mod registry;
mod reports;
mod rewriter;
mod session_router;
mod snapshot;
mod speakers;
mod subscribed_layers;
mod trunk;
mod twcc;
mod up_track;

pub use counters::{CounterInfo, CounterKind, ForwardCounters, ForwardTotals};
pub use drop_reason::DropReason;
pub use layers::Layer;
pub use outbox::{ForwardEvent, Outbox, StreamState};
pub use parameters::*;
pub use session_router::{ClearMedia, ForwardError, ForwardSettings, SessionRouter};
pub use snapshot::*;
pub use speakers::Speakers;
pub use twcc::TwccReceiver;
