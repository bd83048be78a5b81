//! Where peers are: by their checks, by our own, and by which of the checked addresses they use.

use std::time::{Duration, Instant};

use sealroute_forward::TransportHandle;
use sealroute_transport::{IceOutcome, PeerAddress, Step, stun};

use crate::api::Direction;
use crate::api::Event;
use crate::core::{Core, Timer};
use crate::drop_reason::NetworkDrop;
use crate::egress::{MessageSocket, SLOT_BYTES};
use crate::path::Path;
use crate::transports::Transport;
use crate::unverified_peers::PROBE_INTERVAL;

/// Packets of the way before are still under way for so long after those of the new one.
const REORDER_WINDOW: Duration = Duration::from_millis(100);
/// A way on which the peer did not answer is not believed by media alone for this time.
const FAILED_PATH_HOLD: Duration = Duration::from_secs(5);

impl<S: MessageSocket> Core<S> {
    /// A connection has ended: its peer's next valid check shows another known.
    pub(crate) fn handle_connection_end(&mut self, peer: PeerAddress) {
        let Some(handle) = self.transports.by_address(peer) else {
            return;
        };
        if self.transports.forget_address(handle, peer)
            && let Some(transport) = self.transports.get_mut(handle)
        {
            transport.ice.forget_remote();
        }
    }

    pub(crate) fn handle_stun(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
    ) -> Result<(), NetworkDrop> {
        let request = match stun::parse_request(datagram) {
            Ok(request) => request,
            Err(stun::StunError::OtherMessage) => return self.handle_response(now, path, datagram),
            Err(_) => return Err(NetworkDrop::StunMalformed),
        };
        self.counters.stun_requests += 1;
        let ufrag = request
            .local_ufrag()
            .and_then(|ufrag| std::str::from_utf8(ufrag).ok());
        let handle = ufrag
            .and_then(|ufrag| self.transports.by_ufrag(ufrag))
            .ok_or(NetworkDrop::StunUnknownUfrag)?;
        self.check_address_free(now, handle, path)?;
        let transport = self
            .transports
            .get_mut(handle)
            .ok_or(NetworkDrop::StunUnknownUfrag)?;
        let peer = path.peer();
        let proven = transport.is_at(now, peer);
        let slot = self.egress.slot(&mut self.counters);
        let outcome = transport
            .ice
            .handle_request(now, peer, proven, datagram, slot);
        let IceOutcome::Reply {
            length,
            newly_validated,
            moved,
            pending,
        } = outcome
        else {
            return Err(NetworkDrop::StunRefused);
        };
        self.transports.validate(now, handle, path);
        let answered =
            self.respond_to_check(now, (handle, path), (datagram.len(), length), pending);
        self.counters.peer_moves += u64::from(moved);
        self.follow_selected(now, handle, path);
        if newly_validated {
            self.push_event(Event::IceValidated { transport: handle });
        }
        answered
    }

    /// The answer to a valid check is in the slot: it leaves, and behind it a check of ours where
    /// the peer has not proven yet that it is there.
    fn respond_to_check(
        &mut self,
        now: Instant,
        (handle, path): (TransportHandle, Path),
        (received, length): (usize, usize),
        pending: bool,
    ) -> Result<(), NetworkDrop> {
        let peer = path.peer();
        let Some(transport) = self.transports.get_mut(handle) else {
            return Ok(());
        };
        if pending {
            transport.request_path(now, peer);
        }
        let Some(proof) = transport.proof_mut(peer) else {
            return Ok(());
        };
        proof.on_received(received);
        let needs_probe = proof.needs_probe(now);
        if !transport.may_send(now, peer, length) {
            return Err(NetworkDrop::SendPathUnproven);
        }
        self.egress.commit(path, length);
        if needs_probe {
            self.probe(now, handle, path);
            self.arm_probes(now, handle);
        }
        Ok(())
    }

    /// The peer's credentials are known, so it can be asked where it is.
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

    /// Asks again where a check of ours was lost, and where the last answer is long ago.
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

    fn arm_probes(&mut self, now: Instant, handle: TransportHandle) {
        let next = self
            .transports
            .get(handle)
            .and_then(|transport| transport.next_probe(now));
        self.timers.set(Timer::Probe(handle), next);
    }

    /// Whoever knows one transport's password must not take the address of another's peer.
    fn check_address_free(
        &self,
        now: Instant,
        handle: TransportHandle,
        path: Path,
    ) -> Result<(), NetworkDrop> {
        let owner = self.transports.by_address(path.peer());
        let taken = owner
            .is_some_and(|owner| owner != handle && self.transports.is_at(now, owner, path.peer()));
        if taken {
            Err(NetworkDrop::StunAddressTaken)
        } else {
            Ok(())
        }
    }

    /// After a valid check: the transport's path is that of its selected address.
    fn follow_selected(&mut self, now: Instant, handle: TransportHandle, path: Path) {
        let Some(transport) = self.transports.get(handle) else {
            return;
        };
        let timer = Timer::Consent(handle);
        if !self.timers.is_set(timer) {
            self.timers.set(timer, transport.ice.consent_expires());
        }
        if let (Some(connection), Some(until)) = (path.connection, transport.ice.consent_expires())
        {
            self.egress.socket_mut().keep(connection, until);
        }
        let Some(transport) = self.transports.get_mut(handle) else {
            return;
        };
        if transport.ice.remote() == Some(path.peer()) && transport.path != Some(path) {
            transport.select_path(now, path);
            let next = transport.next_probe(now);
            self.timers.set(Timer::Probe(handle), next);
        }
        let watched =
            transport.direction == Direction::Downlink && transport.has_alternative_paths();
        if watched && !self.timers.is_set(Timer::Reach(handle)) {
            self.timers.set(Timer::Reach(handle), Some(now));
        }
    }

    /// Every check moves consent on, but not its timer: that looks again when it is due.
    pub(crate) fn check_consent(&mut self, now: Instant, handle: TransportHandle) {
        let Some(transport) = self.transports.get(handle) else {
            return;
        };
        match transport.ice.consent_expires() {
            Some(at) if at > now => self.timers.set(Timer::Consent(handle), Some(at)),
            _ => {
                self.transports.forget_path(handle);
                self.timers.set(Timer::Reach(handle), None);
                self.push_event(Event::ConsentExpired { transport: handle });
            }
        }
    }

    /// Authentic media came over `path`, from which valid checks came before. Where the peer's
    /// other packets come from no more, it has changed over.
    pub(crate) fn follow_media(&mut self, now: Instant, handle: TransportHandle, path: Path) {
        let consent_timeout = self.settings.consent_timeout;
        let Some(transport) = self.transports.get_mut(handle) else {
            return;
        };
        let recently_received =
            now.saturating_duration_since(transport.last_received) < REORDER_WINDOW;
        if transport.path.is_none() || recently_received {
            return;
        }
        let trusted = transport.validated_paths().any(|known| {
            known.path.peer() == path.peer()
                && now.saturating_duration_since(known.checked) < consent_timeout
                && known
                    .failed
                    .is_none_or(|at| now.saturating_duration_since(at) >= FAILED_PATH_HOLD)
        });
        if trusted && !transport.is_at(now, path.peer()) {
            transport.request_path(now, path.peer());
            let proof = transport.proof_mut(path.peer());
            if proof.is_some_and(|proof| proof.needs_probe(now)) {
                self.probe(now, handle, path);
                self.arm_probes(now, handle);
            }
        } else if trusted {
            transport.ice.prefer(path.peer());
            transport.select_path(now, path);
            self.counters.peer_moves += 1;
        }
    }

    /// Asks a peer that fell silent where it is.
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

    /// A packet came over `path`, from where no check has come: a NAT may have given a peer another
    /// address. Its keys say which peer, and its answer there that it is no copy.
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
        let allowed = if transport.knows(peer) {
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

    /// The answer to a check of ours: there the peer is.
    fn handle_response(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
    ) -> Result<(), NetworkDrop> {
        let peer = path.peer();
        let unverified = self
            .unverified_peers
            .by_address
            .get(&peer)
            .map(|known| known.peer);
        let handle = unverified
            .or_else(|| self.transports.by_address(peer))
            .ok_or(NetworkDrop::StunMalformed)?;
        self.check_address_free(now, handle, path)?;
        let transport = self
            .transports
            .get_mut(handle)
            .ok_or(NetworkDrop::StunMalformed)?;
        if !transport.checks.accept_response(now, peer, datagram) {
            return Err(NetworkDrop::StunRefused);
        }
        self.unverified_peers.by_address.remove(&peer);
        if unverified.is_some() {
            self.transports.validate(now, handle, path);
        }
        self.on_path_proven(now, (handle, path), unverified.is_some());
        self.arm_probes(now, handle);
        Ok(())
    }

    /// The peer is at the end of `path`, which may be where it wants its media.
    fn on_path_proven(
        &mut self,
        now: Instant,
        (handle, path): (TransportHandle, Path),
        was_unverified: bool,
    ) {
        let peer = path.peer();
        let Some(transport) = self.transports.get_mut(handle) else {
            return;
        };
        let selected = transport.path.map(|path| path.peer());
        let requested = transport.on_response(now, peer);
        // Nobody asks any more where the peer is, where the first answer has said it.
        if !requested
            && !was_unverified
            && selected != Some(peer)
            && !transport.reach.is_suspected()
        {
            return;
        }
        if !requested && selected != Some(peer) {
            transport.mark_selected_failed(now);
        }
        let first = !transport.has_had_path;
        let moved = transport.ice.handle_response(now, peer, requested);
        self.counters.peer_moves += u64::from(moved && !first);
        transport.reach.on_response(now);
        self.transports.validate(now, handle, path);
        self.follow_selected(now, handle, path);
        self.send_queued_handshake(now, handle);
    }
}

#[cfg(test)]
#[path = "path_migration_tests.rs"]
mod tests;
