//! The only I/O and the only clock of the media core.

mod commands;
mod core;
mod core_commands;
mod deadlines;
mod drop_reason;
mod egress;
mod event_ring;
mod gathering;
mod handles;
mod movement;
mod network_counters;
mod path;
#[cfg(test)]
mod path_properties;
mod priority;
mod sealing_outbox;
mod socket;
mod sockets;
mod tcp;
mod tcp_connection;
mod transports;
mod worker;

pub use commands::{Command, Direction, RouterHandle, Secret, SrtpSecrets};
pub use event_ring::Event;
pub use network_counters::drop_reasons;
pub use worker::{Ended, Worker, WorkerSettings};
