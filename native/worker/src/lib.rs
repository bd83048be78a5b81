//! The worker: the only I/O and the only clock of the media core.
//!
//! # Theory of operation
//!
//! A worker is one thread, one port (UDP and TCP) and all packet state of the sessions assigned to
//! it. Only `worker`, `socket` and `tcp` read the clock or a socket: `Core` gets the time and
//! the datagrams as parameters, so tests drive it in virtual time.
//!
//! ```text
//!  worker.rs   wait ─> now ─> commands ─> recvmmsg ─> [coalesce] ─> TCP ─> end_batch ─> timers
//!   (epoll)                      │            │                     │          │          │
//!  core.rs                    apply      handle_datagram ───────────┘          │  handle_timeout
//!                                │            │                                │          │
//!  forward                       └────────> SessionRouter <───────── flush ────┴──────────┘
//!                                             │
//!  srtp_outbox.rs, egress.rs                protect in a send slot ─> sendmmsg with GSO
//! ```
//!
//! - The clock is read once per batch; all packets of a batch have the same time.
//! - A batch (up to 64 datagrams) is received, forwarded as a whole, and sent with as few system
//!   calls as possible. Packets are unprotected in place and protected in the buffer that they are
//!   sent from; nothing is allocated per packet.
//! - When a burst has started, the worker may wait 100 µs for the rest of it
//!   ([`receive_coalescing`]).
//! - Deadlines are kept in one ordered set, each with its reason ([`deadlines`]); the next one
//!   bounds the wait.
//! - Commands are applied in order, between batches. Events go through a bounded ring with an
//!   eventfd ([`event_ring`]); a full ring drops events and counts them.
//! - A trunk is a transport to another worker of this process, on which the same session goes on:
//!   packets cross in a bounded ring ([`trunk_ring`]), once for all subscribers there.
//! - A tap is a transport without a network: its packets become records for a process of this host
//!   ([`tap`]). Only a session of clear media has one.
//! - Counters are published for other threads every 20 ms, without a lock.
//!
//! # What is left out
//!
//! - Several threads for the packets of one worker: a large session is spread over workers, and each
//!   forwards to its own subscribers.
//! - Submission queues shared with the kernel: recvmmsg, and sendmmsg with GSO, already amortize the
//!   system calls.
//! - DTLS beyond the framing of records: the control plane runs the handshake.

pub mod api;
mod core;
mod core_commands;
mod core_taps;
mod core_trunks;
mod deadlines;
mod drop_reason;
mod egress;
mod event_ring;
mod handles;
mod handshakes;
mod host_clock;
mod local_socket;
mod network_counters;
mod not_sent;
#[cfg(feature = "offline")]
mod offline;
mod path;
mod path_migration;
mod path_probes;
#[cfg(test)]
mod path_properties;
mod poller;
mod priority;
mod reader_budget;
mod receive_coalescing;
mod session_index;
mod socket;
mod sockets;
mod srtp_outbox;
mod tap;
mod tap_uplink;
mod taps;
mod tcp;
mod tcp_connection;
mod transport;
mod transports;
mod trunk_ring;
mod trunks;
mod unverified_peers;
mod worker;

pub use api::{Command, Direction, Event, RouterHandle, Secret, SrtpSecrets, WorkerSettings};
pub use local_socket::LocalSocket;
pub use network_counters::{counter_infos, drop_reasons};
#[cfg(feature = "offline")]
pub use offline::{Datagrams, OfflineWorker, SentTotals};
pub use worker::{Ended, Worker};
