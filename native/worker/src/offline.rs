//! A worker without a network, for tools that count instructions: datagrams are given to it, and
//! what it would send is counted. Everything between the system calls is the worker's own.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use crate::api::{Command, WorkerSettings};
use crate::core::{Core, CoreSettings};
use crate::egress::MessageSocket;
use crate::event_ring::EventRing;
use crate::host_clock::HostClock;
use crate::network_counters::SharedCounters;
use crate::path::{Message, Path};
use crate::taps::Taps;
use crate::trunk_ring::{Doorbell, ring};
use crate::trunks::Link;

/// Datagrams with their destinations.
pub type Datagrams = Vec<(SocketAddr, Vec<u8>)>;

/// What was sent since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentTotals {
    /// As many as the kernel would have been given.
    pub messages: u64,
    /// The kernel splits a message into several.
    pub datagrams: u64,
}

/// Counts messages; keeps their datagrams only on demand.
#[derive(Default)]
struct Counting {
    totals: SentTotals,
    kept: Option<Datagrams>,
}

impl MessageSocket for Counting {
    fn send(&mut self, batch: &[Message<'_>]) -> io::Result<usize> {
        self.totals.messages += batch.len() as u64;
        for message in batch {
            let length = message.bytes.len();
            let size = message.segment_bytes.map_or(length, usize::from).max(1);
            self.totals.datagrams += length.div_ceil(size) as u64;
            if let Some(kept) = &mut self.kept {
                let datagrams = message.bytes.chunks(size);
                kept.extend(datagrams.map(|datagram| (message.path.remote, datagram.to_vec())));
            }
        }
        Ok(batch.len())
    }

    fn keep(&mut self, _: NonZeroU32, _: Instant) {}
}

/// The state of one worker, driven by its owner.
pub struct OfflineWorker {
    core: Core<Counting>,
}

impl OfflineWorker {
    /// A worker without sessions.
    ///
    /// # Errors
    /// System errors: no descriptors are left.
    pub fn new(now: Instant, settings: &WorkerSettings) -> io::Result<Self> {
        let core_settings = CoreSettings {
            consent_timeout: settings.consent_timeout(),
            forward: settings.forward(),
            cpu_us: || 0,
        };
        let events = Arc::new(EventRing::new(settings.event_ring_size)?);
        let counters = Arc::new(SharedCounters::new());
        let taps = Taps::new(HostClock::new(now, 0))?;
        let core = Core::new(core_settings, Counting::default(), taps, events, counters);
        Ok(Self { core })
    }

    /// Joins another worker by a ring in each direction. Each calls the other by the number given
    /// here.
    ///
    /// # Errors
    /// System errors: no descriptors are left.
    pub fn link(&mut self, own_number: u32, other: &mut Self, number: u32) -> io::Result<()> {
        let (to_other, from_self) = ring(Arc::new(Doorbell::new()?));
        let (to_self, from_other) = ring(Arc::new(Doorbell::new()?));
        self.core.trunks.link(Link {
            worker: number,
            writer: to_other,
            reader: from_other,
        });
        other.core.trunks.link(Link {
            worker: own_number,
            writer: to_self,
            reader: from_self,
        });
        Ok(())
    }

    /// Handles what other workers have passed on.
    pub fn serve_trunks(&mut self, now: Instant) {
        self.core.serve_trunks(now);
    }

    /// Applies a command.
    pub fn apply(&mut self, now: Instant, command: Command) {
        self.core.apply(now, command);
        self.core.end_batch(now);
    }

    /// Takes a datagram of the present batch.
    pub fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        let path = Path {
            remote: from,
            local: None,
            connection: None,
        };
        self.core.handle_datagram(now, Some(path), datagram);
    }

    /// Ends the batch: forwards its packets, and sends everything.
    pub fn end_batch(&mut self, now: Instant) {
        self.core.end_batch(now);
        self.core.handle_timeout(now);
    }

    /// Takes what was sent since the last call. The first call only begins to keep it.
    pub fn take_sent(&mut self) -> Datagrams {
        let kept = &mut self.core.socket_mut().kept;
        kept.replace(Vec::new()).unwrap_or_default()
    }

    /// Ends what `take_sent` began.
    pub fn forget_sent(&mut self) {
        self.core.socket_mut().kept = None;
    }

    /// What was sent since the start.
    pub fn totals(&self) -> SentTotals {
        self.core.socket().totals
    }
}
