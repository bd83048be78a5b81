//! The only I/O and the only clock of the media core.

pub mod api;
mod core;
mod core_commands;
mod deadlines;
mod drop_reason;
mod egress;
mod event_ring;
mod handles;
mod network_counters;
mod not_sent;
mod path;
mod path_migration;
#[cfg(test)]
mod path_properties;
mod priority;
mod receive_coalescing;
mod socket;
mod sockets;
mod srtp_outbox;
mod tcp;
mod tcp_connection;
mod transports;
mod unverified_peers;
mod worker;

pub use api::{Command, Direction, Event, RouterHandle, Secret, SrtpSecrets, WorkerSettings};
pub use network_counters::{counter_infos, drop_reasons};
pub use worker::{Ended, Worker};
