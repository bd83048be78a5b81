//! Forwarding among the clients of one session, sans-IO.

mod outbox;
mod parameters;

pub use outbox::{ForwardEvent, Outbox};
pub use parameters::*;
