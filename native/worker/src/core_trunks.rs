//! Trunks in the worker's state: their commands, and what comes over them.

use std::time::Instant;

use sealroute_forward::{ForwardError, TransportHandle};

use crate::api::{FeedTrunk, OpenTrunk, SetTrunkDemand};
use crate::core::Core;
use crate::core_commands::{HANDLE_TAKEN, Outcome, UNKNOWN_HANDLE};
use crate::drop_reason::NetworkDrop;
use crate::egress::MessageSocket;
use crate::trunk_ring::Kind;
use crate::trunks::Trunk;

/// It was never joined to this one.
const UNKNOWN_WORKER: &str = "unknown_worker";
/// Batches handled before the socket is read again.
const BATCHES_AT_ONCE: usize = 4;

impl<S: MessageSocket> Core<S> {
    pub(crate) fn open_trunk(&mut self, command: &OpenTrunk) -> Outcome {
        let &OpenTrunk {
            router,
            transport,
            worker,
            remote,
        } = command;
        let session = self.sessions.get_mut(&router).ok_or(UNKNOWN_HANDLE)?;
        let is_peer = self.transports.contains(transport);
        if is_peer || self.taps.contains(transport) || self.trunks.contains(transport) {
            return Err(HANDLE_TAKEN);
        }
        if !self.trunks.knows(worker) {
            return Err(UNKNOWN_WORKER);
        }
        { session.router.open_trunk(transport) }.map_err(ForwardError::name)?;
        let trunk = Trunk {
            router,
            worker,
            remote,
        };
        self.trunks.open(transport, trunk);
        Ok(())
    }

    pub(crate) fn feed_trunk(&mut self, command: FeedTrunk) -> Outcome {
        let FeedTrunk {
            publisher,
            mid,
            transport,
            ssrcs,
        } = command;
        self.with_publisher(publisher, |router| {
            router.feed_trunk(publisher, &mid, transport, ssrcs)
        })
    }

    pub(crate) fn set_trunk_demand(&mut self, command: &SetTrunkDemand) -> Outcome {
        self.with_publisher(command.publisher, |router| {
            let (mid, rids) = (&command.mid, &command.rids);
            router.set_trunk_demand(command.publisher, mid, command.transport, rids)
        })
    }

    /// Handles what other workers have passed on. Each batch ends as one of the socket does, for an
    /// up track takes a bounded number of packets between two flushes.
    pub(crate) fn serve_trunks(&mut self, now: Instant) {
        for _ in 0..BATCHES_AT_ONCE {
            let Some((place, batch)) = self.trunks.pop() else {
                return;
            };
            self.counters.trunk_packets_received += batch.len() as u64;
            for (to, kind, packet) in batch.iter() {
                self.take_from_trunk(now, to, kind, packet);
            }
            self.trunks.give_back(place, batch);
            self.end_batch(now);
        }
    }

    fn take_from_trunk(&mut self, now: Instant, to: TransportHandle, kind: Kind, packet: &[u8]) {
        let Some(router) = self.trunks.router_of(to) else {
            // It was closed here while the packet was on its way.
            self.counters.drop_packets(NetworkDrop::TrunkClosed, 1);
            return;
        };
        match kind {
            Kind::Rtp => {
                if let Some(session) = self.sessions.get_mut(&router) {
                    session.router.handle_rtp(now, to, packet);
                }
                self.touch(router);
            }
            Kind::Rtcp => {
                self.taps.set_time(now);
                self.with_session(router, |session, out| {
                    session.router.handle_rtcp(now, to, packet, out);
                });
            }
        }
    }
}

#[cfg(test)]
#[path = "core_trunks_tests.rs"]
mod tests;
