//! Probes: which addresses of a peer are asked for a response, and when.
//!
//! The states of an address and what a response changes are those of [`crate::path_migration`].

use std::time::Instant;

use sealroute_forward::TransportHandle;
use sealroute_transport::Step;

use crate::core::{Core, Timer};
use crate::drop_reason::NetworkDrop;
use crate::egress::{MessageSocket, SLOT_BYTES};
use crate::path::Path;
use crate::transport::Transport;
use crate::unverified_peers::PROBE_INTERVAL;

impl<S: MessageSocket> Core<S> {
    /// The peer's credentials arrived: probes can be sent from now on.
    pub(crate) fn restart_probes(&mut self, now: Instant, handle: TransportHandle) {
        let requested = self
            .transports
            .get_mut(handle)
            .map(Transport::restart_probes)
            .unwrap_or_default();
        for path in requested {
            self.probe(now, handle, path);
        }
        self.arm_probes(now, handle);
    }

    /// Probes a path now, and again when no response arrives.
    pub(crate) fn probe_and_arm(&mut self, now: Instant, handle: TransportHandle, path: Path) {
        self.probe(now, handle, path);
        self.arm_probes(now, handle);
    }

    /// Repeats lost probes and renews old proofs. Returns whether any probe was sent.
    pub(crate) fn probe_due_paths(&mut self, now: Instant, handle: TransportHandle) -> bool {
        let Some(transport) = self.transports.get_mut(handle) else {
            return false;
        };
        transport.drop_unproven_path(now);
        let due = transport.due_probes(now);
        for path in &due {
            self.probe(now, handle, *path);
        }
        self.arm_probes(now, handle);
        !due.is_empty()
    }

    pub(crate) fn arm_probes(&mut self, now: Instant, handle: TransportHandle) {
        let next = self
            .transports
            .get(handle)
            .and_then(|transport| transport.next_probe(now));
        self.timers.set(Timer::Probe(handle), next);
    }

    /// Probes a peer that fell silent. Returns whether any probe was sent.
    pub(crate) fn check_reach(&mut self, now: Instant, handle: TransportHandle) -> bool {
        let consent_timeout = self.settings.consent_timeout;
        let Some(transport) = self.transports.get_mut(handle) else {
            return false;
        };
        let Some(selected) = transport.path.filter(|_| transport.has_alternative_paths()) else {
            return false;
        };
        let (step, next) = transport.reach.handle_timeout(now);
        let targets: Vec<Path> = match step {
            Step::Wait => Vec::new(),
            Step::ProbeSelected => vec![selected],
            Step::ProbeAll => transport
                .validated_paths()
                .filter(|known| now.saturating_duration_since(known.checked) < consent_timeout)
                .map(|known| known.path)
                .collect(),
        };
        self.timers.set(Timer::Reach(handle), Some(next));
        for path in &targets {
            self.probe(now, handle, *path);
        }
        !targets.is_empty()
    }

    /// A packet arrived from an address without a valid check; a NAT may have rebound a peer. The
    /// SRTP keys identify the peer; a probe to the address distinguishes the peer from a copied
    /// packet.
    pub(crate) fn find_migrated_peer(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        if path.connection.is_some() {
            return;
        }
        if !self.unverified_peers.by_address.contains_key(&path.peer()) {
            let Some(peer) = self.find_sender(now, path, datagram) else {
                return;
            };
            self.unverified_peers.add(now, path.peer(), peer);
        } else if self.unverified_peers.by_address[&path.peer()].age(now) < PROBE_INTERVAL {
            return;
        }
        let Some(unverified) = self.unverified_peers.by_address.get_mut(&path.peer()) else {
            return;
        };
        unverified.proof.on_received(datagram.len());
        unverified.probed_at = now;
        let handle = unverified.peer;
        self.probe(now, handle, path);
    }

    fn find_sender(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
    ) -> Option<TransportHandle> {
        if datagram.len() > SLOT_BYTES {
            return None;
        }
        let from = path.remote.ip();
        let candidates = self
            .unverified_peers
            .candidates(now, from, datagram, &self.transports);
        candidates.into_iter().find(|handle| {
            let transport = self.transports.get_mut(*handle);
            transport.is_some_and(|transport| transport.authenticates(datagram))
        })
    }

    fn probe(&mut self, now: Instant, handle: TransportHandle, path: Path) {
        let Some(transport) = self.transports.get_mut(handle) else {
            return;
        };
        let slot = self.egress.slot(&mut self.counters);
        let ufrag = transport.ice.local_ufrag();
        let length = transport.checks.write(now, ufrag, path.peer(), slot);
        let peer = path.peer();
        let allowed = if transport.has_validated(peer) {
            transport.may_probe(now, peer, length)
        } else {
            let unverified = self.unverified_peers.by_address.get_mut(&peer);
            unverified.is_some_and(|unverified| unverified.proof.spend(now, length))
        };
        if length == 0 {
            return;
        }
        if allowed {
            self.counters.checks_sent += 1;
            self.egress.commit(path, length);
        } else {
            self.counters.drop_packets(NetworkDrop::SendPathUnproven, 1);
        }
    }
}
