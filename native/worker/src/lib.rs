//! The only I/O and the only clock of the media core.

mod deadlines;
mod drop_reason;
mod egress;
mod event_ring;
mod network_counters;
mod socket;

pub use event_ring::Event;
pub use network_counters::drop_reasons;
