//! The seam between the control plane and the worker: commands in, events and snapshots out.
//!
//! These types are its only description. Python's side of it, `sfu/core_api.py`, is written from
//! them (`make docs`): a command is a variant of [`Command`], its check in `checks.rs` where its
//! values have a range, and its arm in `core_commands.rs`. What crosses is `MessagePack`, once for
//! each command and batch of events, never for a packet.

mod checks;
mod commands;
mod events;
#[cfg(feature = "schema")]
mod schema;
mod settings;
mod snapshot;

pub use checks::Malformed;
pub use commands::*;
pub use events::Event;
#[cfg(feature = "schema")]
pub use schema::schema;
pub use settings::WorkerSettings;
pub use snapshot::{NotSent, Snapshot, TransportSnapshot};
