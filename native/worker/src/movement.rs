//! Where peers are: by their checks, by our own, and by which of the checked addresses they use.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sealroute_forward::TransportHandle;
use sealroute_transport::{IceOutcome, PeerAddress, Step, stun};

use crate::commands::Direction;
use crate::core::{Core, Timer};
use crate::drop_reason::NetworkDrop;
use crate::egress::{MessageSocket, SLOT_BYTES};
use crate::event_ring::Event;
use crate::path::Path;

/// Packets of the way before are still under way for so long after those of the new one.
const OVERTAKEN: Duration = Duration::from_millis(100);
/// A way on which the peer did not answer is not believed by media alone for this time.
const DISTRUST: Duration = Duration::from_secs(5);
/// Senders of unknown addresses that are asked at a time.
const MAX_STRANGERS: usize = 1_024;
const STRANGER_ASKED_EVERY: Duration = Duration::from_millis(100);
const STRANGER_FORGOTTEN: Duration = Duration::from_secs(3);
/// Looking for the peer of an unknown address goes through all transports: through so many a
/// second, some percent of a core.
const LOOKS_PER_SECOND: usize = 200_000;
/// What a search costs beside, in looks: trying keys.
const LOOKS_PER_SEARCH: usize = 16;
/// Packets are tried with the keys of so many peers.
const MAX_CANDIDATES: usize = 8;

/// Who may be at an address that no check came from: sealed by a known peer, not answered yet.
#[derive(Default)]
pub(crate) struct Strangers {
    asked: HashMap<PeerAddress, (TransportHandle, Instant)>,
    second: Option<Instant>,
    looks: usize,
}

impl Strangers {
    /// Whether there may be a search through so many transports.
    fn may_search(&mut self, now: Instant, transports: usize) -> bool {
        let begins = self
            .second
            .is_none_or(|at| now.saturating_duration_since(at) >= Duration::from_secs(1));
        if begins {
            (self.second, self.looks) = (Some(now), 0);
            self.asked
                .retain(|_, (_, at)| now.saturating_duration_since(*at) < STRANGER_FORGOTTEN);
        }
        // The first of a second is always allowed, however many transports there are.
        let allowed = self.looks < LOOKS_PER_SECOND && self.asked.len() < MAX_STRANGERS;
        self.looks += if allowed {
            transports + LOOKS_PER_SEARCH
        } else {
            0
        };
        allowed
    }
}

impl<S: MessageSocket> Core<S> {
    /// A connection has ended: its peer's next valid check shows another way.
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
            Err(stun::StunError::OtherMessage) => return self.handle_answer(now, path, datagram),
            Err(_) => return Err(NetworkDrop::StunMalformed),
        };
        self.counters.stun_requests += 1;
        let ufrag = request
            .local_ufrag()
            .and_then(|ufrag| std::str::from_utf8(ufrag).ok());
        let handle = ufrag
            .and_then(|ufrag| self.transports.by_ufrag(ufrag))
            .ok_or(NetworkDrop::StunUnknownUfrag)?;
        self.check_free(handle, path)?;
        let transport = self
            .transports
            .get_mut(handle)
            .ok_or(NetworkDrop::StunUnknownUfrag)?;
        let slot = self.egress.slot(&mut self.counters);
        match transport
            .ice
            .handle_request(now, path.peer(), datagram, slot)
        {
            IceOutcome::Ignored(_) => Err(NetworkDrop::StunRefused),
            IceOutcome::Reply {
                length,
                newly_validated,
                moved,
            } => {
                self.egress.commit(path, length);
                self.counters.peer_moves += u64::from(moved);
                self.follow_peer(now, handle, path);
                if newly_validated {
                    self.push_event(Event::IceValidated { transport: handle });
                }
                Ok(())
            }
        }
    }

    /// Whoever knows one transport's password must not take the address of another's peer.
    fn check_free(&self, handle: TransportHandle, path: Path) -> Result<(), NetworkDrop> {
        let owner = self.transports.by_address(path.peer());
        let taken =
            owner.is_some_and(|owner| owner != handle && self.transports.is_at(owner, path.peer()));
        if taken {
            Err(NetworkDrop::StunAddressTaken)
        } else {
            Ok(())
        }
    }

    /// After a valid check: the transport's path is that of its selected address.
    fn follow_peer(&mut self, now: Instant, handle: TransportHandle, path: Path) {
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
        self.transports.validate(now, handle, path);
        let Some(transport) = self.transports.get_mut(handle) else {
            return;
        };
        if transport.ice.remote() == Some(path.peer()) && transport.path != Some(path) {
            transport.go(now, path);
        }
        let watched = transport.direction == Direction::Downlink && transport.has_other_ways();
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
        let overtaken = now.saturating_duration_since(transport.media_heard) < OVERTAKEN;
        if transport.path.is_none() || overtaken {
            return;
        }
        let trusted = transport.ways().any(|way| {
            way.path.peer() == path.peer()
                && now.saturating_duration_since(way.checked) < consent_timeout
                && way
                    .failed
                    .is_none_or(|at| now.saturating_duration_since(at) >= DISTRUST)
        });
        if trusted {
            transport.ice.prefer(path.peer());
            transport.go(now, path);
            self.counters.peer_moves += 1;
        }
    }

    /// Asks a peer that fell silent where it is.
    pub(crate) fn check_reach(&mut self, now: Instant, handle: TransportHandle) -> bool {
        let consent_timeout = self.settings.consent_timeout;
        let Some(transport) = self.transports.get_mut(handle) else {
            return false;
        };
        let Some(selected) = transport.path.filter(|_| transport.has_other_ways()) else {
            return false;
        };
        let (step, next) = transport.reach.handle_timeout(now);
        let asked: Vec<Path> = match step {
            Step::Wait => Vec::new(),
            Step::AskSelected => vec![selected],
            Step::AskEverywhere => transport
                .ways()
                .filter(|way| now.saturating_duration_since(way.checked) < consent_timeout)
                .map(|way| way.path)
                .collect(),
        };
        self.timers.set(Timer::Reach(handle), Some(next));
        for path in &asked {
            self.ask(now, handle, *path);
        }
        !asked.is_empty()
    }

    /// A packet came over `path`, from where no check has come: a NAT may have given a peer another
    /// address. Its keys say which peer, and its answer there that it is no copy.
    pub(crate) fn handle_stranger(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        if path.connection.is_some() {
            return;
        }
        let handle = match self.strangers.asked.get(&path.peer()) {
            Some((_, at)) if now.saturating_duration_since(*at) < STRANGER_ASKED_EVERY => return,
            Some((handle, _)) => *handle,
            None => match self.find_sealer(now, datagram) {
                Some(handle) => handle,
                None => return,
            },
        };
        self.strangers.asked.insert(path.peer(), (handle, now));
        self.ask(now, handle, path);
    }

    fn find_sealer(&mut self, now: Instant, datagram: &[u8]) -> Option<TransportHandle> {
        let transports = self.transports.len();
        if datagram.len() > SLOT_BYTES || !self.strangers.may_search(now, transports) {
            return None;
        }
        let candidates: Vec<TransportHandle> = self
            .transports
            .iter()
            .filter(|(_, transport)| transport.path.is_some() && transport.expects(datagram))
            .map(|(handle, _)| handle)
            .take(MAX_CANDIDATES)
            .collect();
        candidates.into_iter().find(|handle| {
            let transport = self.transports.get_mut(*handle);
            transport.is_some_and(|transport| transport.sealed(datagram))
        })
    }

    fn ask(&mut self, now: Instant, handle: TransportHandle, path: Path) {
        let Some(transport) = self.transports.get_mut(handle) else {
            return;
        };
        let slot = self.egress.slot(&mut self.counters);
        let ufrag = transport.ice.local_ufrag();
        let length = transport.checks.write(now, ufrag, path.peer(), slot);
        if length > 0 {
            self.counters.checks_sent += 1;
            self.egress.commit(path, length);
        }
    }

    /// The answer to a check of ours: there the peer is.
    fn handle_answer(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
    ) -> Result<(), NetworkDrop> {
        let peer = path.peer();
        let stranger = self.strangers.asked.get(&peer).map(|(handle, _)| *handle);
        let handle = stranger
            .or_else(|| self.transports.by_address(peer))
            .ok_or(NetworkDrop::StunMalformed)?;
        self.check_free(handle, path)?;
        let transport = self
            .transports
            .get_mut(handle)
            .ok_or(NetworkDrop::StunMalformed)?;
        if !transport.checks.take_answer(now, peer, datagram) {
            return Err(NetworkDrop::StunRefused);
        }
        self.strangers.asked.remove(&peer);
        let selected = transport.path.map(|path| path.peer());
        // Nobody asks any more where the peer is, where the first answer has said it.
        if selected == Some(peer) || stranger.is_some() || transport.reach.is_suspected() {
            if selected != Some(peer) {
                transport.distrust_selected(now);
            }
            self.counters.peer_moves += u64::from(transport.ice.handle_answer(now, peer));
            transport.reach.on_answer(now);
            self.follow_peer(now, handle, path);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "movement_tests.rs"]
mod tests;
