//! The trunks of a worker: transports whose other end is another worker of this process.
//!
//! A trunk has a handle at each end, and both name the other's. It has no ICE, DTLS and SRTP. All
//! trunks to one worker share the ring to it.

use sealroute_forward::TransportHandle;

use crate::api::RouterHandle;
use crate::drop_reason::NetworkDrop;
use crate::handles::HandleMap;
use crate::network_counters::NetworkCounters;
use crate::trunk_ring::{Batch, Kind, Refused, RingReader, RingWriter};

/// One trunk, as this side knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trunk {
    pub(crate) router: RouterHandle,
    /// The number of the other worker.
    pub(crate) worker: u32,
    /// The trunk's handle there.
    pub(crate) remote: TransportHandle,
}

/// The rings from and to another worker.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) worker: u32,
    pub(crate) writer: RingWriter,
    pub(crate) reader: RingReader,
}

/// All trunks, and the rings that carry them.
#[derive(Default)]
pub(crate) struct Trunks {
    links: Vec<Link>,
    open: HandleMap<TransportHandle, Trunk>,
    /// Packets were added since the last flush.
    has_written: bool,
    /// The link that is read next, so that none waits for the others.
    next: usize,
}

impl Trunks {
    /// Joins another worker.
    pub(crate) fn link(&mut self, link: Link) {
        self.links.push(link);
    }

    pub(crate) fn is_linked(&self) -> bool {
        !self.links.is_empty()
    }

    pub(crate) fn knows(&self, worker: u32) -> bool {
        self.links.iter().any(|link| link.worker == worker)
    }

    /// Opens a trunk. The handle is not in use.
    pub(crate) fn open(&mut self, transport: TransportHandle, trunk: Trunk) {
        self.open.insert(transport, trunk);
    }

    pub(crate) fn close(&mut self, transport: TransportHandle) -> Option<Trunk> {
        self.open.remove(&transport)
    }

    pub(crate) fn contains(&self, transport: TransportHandle) -> bool {
        self.open.contains_key(&transport)
    }

    pub(crate) fn router_of(&self, transport: TransportHandle) -> Option<RouterHandle> {
        Some(self.open.get(&transport)?.router)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TransportHandle, &Trunk)> {
        self.open.iter().map(|(handle, trunk)| (*handle, trunk))
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Queues a packet for the other end of a trunk. Returns whether the transport is one.
    pub(crate) fn send(
        &mut self,
        transport: TransportHandle,
        kind: Kind,
        parts: [&[u8]; 2],
        counters: &mut NetworkCounters,
    ) -> bool {
        let Some(trunk) = self.open.get(&transport) else {
            return false;
        };
        let link = { self.links.iter_mut() }.find(|link| link.worker == trunk.worker);
        let Some(link) = link else {
            counters.drop_packets(NetworkDrop::TrunkGone, 1);
            return true;
        };
        self.has_written = true;
        match link.writer.push(trunk.remote, kind, parts) {
            Ok(()) => counters.trunk_packets_sent += 1,
            Err(Refused::Full) => counters.drop_packets(NetworkDrop::TrunkFull, 1),
            Err(Refused::Gone(lost)) => counters.drop_packets(NetworkDrop::TrunkGone, lost),
        }
        true
    }

    /// Passes on what was queued.
    #[inline]
    pub(crate) fn flush(&mut self, counters: &mut NetworkCounters) {
        if std::mem::take(&mut self.has_written) {
            let lost = self.links.iter_mut().map(|link| link.writer.flush()).sum();
            counters.drop_packets(NetworkDrop::TrunkGone, lost);
        }
    }

    /// Whether another worker has passed something on.
    pub(crate) fn has_waiting(&self) -> bool {
        self.links.iter().any(|link| link.reader.has_waiting())
    }

    /// Takes a batch of another worker, of each in turn, with the place to give it back to.
    pub(crate) fn pop(&mut self) -> Option<(usize, Batch)> {
        for _ in 0..self.links.len() {
            let place = self.next;
            self.next = (place + 1) % self.links.len();
            if let Some(batch) = self.links[place].reader.pop() {
                return Some((place, batch));
            }
        }
        None
    }

    /// Gives a read batch back.
    pub(crate) fn give_back(&mut self, place: usize, batch: Batch) {
        if let Some(link) = self.links.get_mut(place) {
            link.reader.give_back(batch);
        }
    }
}
