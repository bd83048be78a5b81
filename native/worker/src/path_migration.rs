//! Path migration: which of a peer's addresses media is sent to, and how that changes in a call.
//!
//! A *check* is a STUN binding request of the peer; a *probe* is one that this side sends
//! ([`sealroute_transport::OutgoingChecks`]); a *response* is the answer to a probe.
//!
//! # Data flow
//!
//! ```text
//! check ───────────────────────> handle_stun ──────> respond_to_check ──> probe, if unproven
//! media, known address ────────> follow_media, if it is not the selected address
//! media, unknown address ──────> find_migrated_peer ──> probe
//! response ────────────────────> handle_response ──> on_path_proven ──> follow_selected
//! timers ──────────────────────> probe_due_paths, check_reach, check_consent
//! ```
//!
//! What sends probes is in `path_probes.rs`.
//!
//! # States of an address
//!
//! ```text
//!          valid check                 response
//! unknown ─────────────> validated ────────────> proven ───────────────> selected
//!    │                       ↑                      │ request or search      │
//!    │                       └──────────────────────┴────────────────────────┘
//!    │                            no response for 30 s
//!    │ packet of a known peer           response
//!    └──────────────────> unverified ────────────> proven and selected
//! ```
//!
//! - *validated*: a valid check came from it (RFC 8445, section 7.3). Media is accepted from it. A
//!   source address is easily forged, so it is sent at most three times the bytes received from it,
//!   10 kB in all (RFC 9000, section 8.1). See [`crate::path::ValidatedPath`].
//! - *proven*: it responded to a probe within the last 30 s (RFC 9000, section 8.2). A response is
//!   consent as well (RFC 7675). A TCP connection counts as proven.
//! - *selected*: `Transport::path`, the only address that media is sent to. A proven address is
//!   selected when the peer nominates it (RFC 8445, section 7.3.1.5), when a check comes from it
//!   while the selected address is silent, when media comes from it alone, or when it is the first
//!   to respond after the peer fell silent ([`sealroute_transport::Reachability`]).
//! - *unverified*: no check came from it, but a packet that a known peer's SRTP keys authenticate,
//!   as after a NAT rebinding (RFC 9000, section 9.3). See [`crate::unverified_peers`].
//!
//! Proofs of selected downlink paths are renewed; those of uplinks are not, because what is sent to
//! a publisher is too little to matter.
//!
//! # What is left out
//!
//! - Candidate pairs and check lists: a lite agent has one address (RFC 8445, section 2.5).
//! - Role conflicts and nomination by this side: the client is always the controlling agent.
//! - The congestion reset of RFC 9000, section 9.4: the bandwidth estimator adapts to the new path.

use std::time::{Duration, Instant};

use sealroute_forward::TransportHandle;
use sealroute_transport::{IceOutcome, PeerAddress, stun};

use crate::api::Direction;
use crate::api::Event;
use crate::core::{Core, Timer};
use crate::drop_reason::NetworkDrop;
use crate::egress::MessageSocket;
use crate::path::Path;

/// Packets from the old path may arrive this long after the first one from the new path.
const REORDER_WINDOW: Duration = Duration::from_millis(100);
/// After a path failed, media that arrives over it does not select it for this long.
const FAILED_PATH_HOLD: Duration = Duration::from_secs(5);

impl<S: MessageSocket> Core<S> {
    /// A TCP connection ended. The peer's next valid check selects another path.
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
        let proven = transport.has_proven(now, peer);
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

    /// Sends the answer to a valid check, which is in the slot already, and then a probe where the
    /// peer has not proven the address yet.
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
            self.probe_and_arm(now, handle, path);
        }
        Ok(())
    }

    /// Refuses an address that another transport's peer has proven: knowing one transport's
    /// password must not be enough to take it over.
    fn check_address_free(
        &self,
        now: Instant,
        handle: TransportHandle,
        path: Path,
    ) -> Result<(), NetworkDrop> {
        let owner = self.transports.by_address(path.peer());
        let taken = owner.is_some_and(|owner| {
            owner != handle && self.transports.has_proven(now, owner, path.peer())
        });
        if taken {
            Err(NetworkDrop::StunAddressTaken)
        } else {
            Ok(())
        }
    }

    /// After a valid check or response: makes the path of the selected address the transport's
    /// path, and arms the timers that depend on it.
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

    /// Consent timer. Checks extend consent without touching the timer, so it may have to be
    /// rearmed.
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

    /// Authentic media arrived over `path`, which is not the selected one. If the selected path has
    /// gone silent, the peer has switched to this one.
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
        if trusted && !transport.has_proven(now, path.peer()) {
            transport.request_path(now, path.peer());
            let proof = transport.proof_mut(path.peer());
            if proof.is_some_and(|proof| proof.needs_probe(now)) {
                self.probe_and_arm(now, handle, path);
            }
        } else if trusted {
            transport.ice.select_by_media(path.peer());
            transport.select_path(now, path);
            self.counters.peer_moves += 1;
        }
    }

    /// Handles the response to a probe, which proves the address.
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

    /// The peer has proven `path`; selects it if the peer requested it or is being searched for.
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
        // An earlier response has already ended the search for the peer.
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
