//! Forwarding among the clients of one session, sans-IO.
#![forbid(unsafe_code)]

mod drop_reason;
mod outbox;
mod parameters;
mod payload_access;
mod session_router;

pub use drop_reason::DropReason;
pub use outbox::{ForwardEvent, Outbox};
pub use parameters::*;
pub use session_router::{ForwardCounters, ForwardError, ForwardSettings, SessionRouter};
