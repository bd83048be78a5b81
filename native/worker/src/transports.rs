//! The peers' transports, found by handle, by ICE user fragment or by validated address.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sealroute_forward::TransportHandle;
use sealroute_transport::{
    DtlsGate, IceLite, OutgoingChecks, PathProof, PeerAddress, Reachability, SrtpError, SrtpKeys,
    SrtpReceiver, SrtpSender, TwccReceiver,
};

use crate::api::{Direction, RouterHandle, SrtpSecrets, TransportSnapshot};
use crate::drop_reason::NetworkDrop;
use crate::handles::HandleMap;
use crate::not_sent::NotSentPackets;
use crate::path::Path;

/// Ways to one peer; more than a browser with several networks tries.
const MAX_VALIDATED_PATHS: usize = 16;
/// Of these, so many that have not answered a check of ours: a copied or forged check costs an
/// address that has no place.
const MAX_UNPROVEN_PATHS: usize = 8;
/// One flight of a handshake: sent again by its timer alone, it would delay every join.
const MAX_QUEUED_HANDSHAKE: usize = 8;
/// A check says for so long where the peer wants its media.
const REQUEST_LIFETIME: Duration = Duration::from_secs(3);

/// An address that valid checks came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValidatedPath {
    pub(crate) path: Path,
    pub(crate) checked: Instant,
    /// When the peer, asked there, answered elsewhere.
    pub(crate) failed: Option<Instant>,
    pub(crate) proof: PathProof,
    /// When the peer last said that it is to be sent to there, which it has not proven yet.
    requested_at: Option<Instant>,
}

impl ValidatedPath {
    fn is_requested(&self, now: Instant) -> bool {
        let fresh = |at| now.saturating_duration_since(at) < REQUEST_LIFETIME;
        self.requested_at.is_some_and(fresh)
    }
}

/// One peer's transport.
pub(crate) struct Transport {
    pub(crate) router: RouterHandle,
    pub(crate) direction: Direction,
    pub(crate) ice: IceLite,
    /// Where the peer is, as long as it consents to be sent to, and has proven that it is there.
    pub(crate) path: Option<Path>,
    pub(crate) has_had_path: bool,
    /// Of the handshake, for when the peer has proven where it is.
    queued_handshake: Vec<Vec<u8>>,
    /// Where valid checks came from; media may come from there too.
    validated: Vec<ValidatedPath>,
    /// When authentic packets last came from where `path` leads.
    pub(crate) last_received: Instant,
    pub(crate) reach: Reachability,
    pub(crate) checks: OutgoingChecks,
    pub(crate) dtls: DtlsGate,
    pub(crate) receiver: Option<SrtpReceiver>,
    pub(crate) sender: Option<SrtpSender>,
    /// Negotiated id of the transport-wide sequence number, once a publisher uses it.
    pub(crate) feedback_extension: Option<u8>,
    pub(crate) feedback: TwccReceiver,
    /// The feedback names a stream of the peer: the last that was received.
    pub(crate) feedback_ssrc: u32,
    pub(crate) not_sent: NotSentPackets,
}

impl Transport {
    pub(crate) fn new(
        now: Instant,
        router: RouterHandle,
        direction: Direction,
        ice: IceLite,
    ) -> Self {
        Self {
            router,
            direction,
            ice,
            path: None,
            has_had_path: false,
            queued_handshake: Vec::new(),
            validated: Vec::new(),
            last_received: now,
            reach: Reachability::default(),
            checks: OutgoingChecks::default(),
            dtls: DtlsGate::new(now),
            receiver: None,
            sender: None,
            feedback_extension: None,
            feedback: TwccReceiver::new(),
            feedback_ssrc: 0,
            not_sent: NotSentPackets::default(),
        }
    }

    /// Takes the keys of a handshake. Once: other keys would be those of another peer.
    pub(crate) fn set_keys(&mut self, secrets: &SrtpSecrets) -> Result<(), SrtpError> {
        let keys = SrtpKeys {
            key: &secrets.receive_key.0,
            salt: &secrets.receive_salt.0,
        };
        let receiver = SrtpReceiver::new(secrets.profile, keys)?;
        let keys = SrtpKeys {
            key: &secrets.send_key.0,
            salt: &secrets.send_salt.0,
        };
        self.sender = Some(SrtpSender::new(secrets.profile, keys)?);
        self.receiver = Some(receiver);
        Ok(())
    }

    pub(crate) fn validated_paths(&self) -> impl Iterator<Item = &ValidatedPath> {
        self.validated.iter()
    }

    pub(crate) fn has_alternative_paths(&self) -> bool {
        self.validated.len() > 1
    }

    fn validated_mut(&mut self, peer: PeerAddress) -> Option<&mut ValidatedPath> {
        self.validated
            .iter_mut()
            .find(|known| known.path.peer() == peer)
    }

    fn is_selected(&self, peer: PeerAddress) -> bool {
        self.path.is_some_and(|path| path.peer() == peer)
    }

    /// Whether the peer has answered there, or is sent to there because it has; whoever has a
    /// connection has proven it by that.
    pub(crate) fn is_at(&self, now: Instant, peer: PeerAddress) -> bool {
        self.is_selected(peer) || self.is_proven(now, peer)
    }

    fn is_proven(&self, now: Instant, peer: PeerAddress) -> bool {
        let known = self
            .validated
            .iter()
            .find(|known| known.path.peer() == peer);
        known.map_or(peer.connection.is_some(), |known| {
            known.proof.is_proven(now)
        })
    }

    pub(crate) fn knows(&self, peer: PeerAddress) -> bool {
        self.validated.iter().any(|known| known.path.peer() == peer)
    }

    /// Whether a check of ours may go there, which is on its way then. Otherwise the peer's next
    /// one from there is answered with another.
    pub(crate) fn may_probe(&mut self, now: Instant, peer: PeerAddress, bytes: usize) -> bool {
        let allowed = self.may_send(now, peer, bytes);
        if let Some(proof) = self.proof_mut(peer) {
            if allowed {
                proof.on_probe_sent(now);
            } else {
                proof.restart_probes();
            }
        }
        allowed
    }

    /// Whether so many bytes may go there, beside media: an address without proof gets few.
    pub(crate) fn may_send(&mut self, now: Instant, peer: PeerAddress, bytes: usize) -> bool {
        self.is_selected(peer)
            || self
                .proof_mut(peer)
                .is_some_and(|proof| proof.spend(now, bytes))
    }

    pub(crate) fn proof_mut(&mut self, peer: PeerAddress) -> Option<&mut PathProof> {
        self.validated_mut(peer).map(|known| &mut known.proof)
    }

    /// The peer is to be sent to there as soon as it has proven that it is there.
    pub(crate) fn request_path(&mut self, now: Instant, peer: PeerAddress) {
        if let Some(known) = self.validated_mut(peer) {
            known.requested_at = Some(now);
        }
    }

    /// The peer answered there; whether it wants its media there.
    pub(crate) fn on_response(&mut self, now: Instant, peer: PeerAddress) -> bool {
        let Some(known) = self.validated_mut(peer) else {
            return false;
        };
        known.proof.on_response(now);
        let wanted = known.is_requested(now);
        if wanted {
            self.clear_requests();
        }
        wanted
    }

    /// What the peer wanted by checks with other credentials counts no more.
    pub(crate) fn clear_requests(&mut self) {
        for known in &mut self.validated {
            known.requested_at = None;
        }
    }

    /// The peer's credentials have become known: nothing was asked with them.
    pub(crate) fn restart_probes(&mut self) -> Vec<Path> {
        for known in &mut self.validated {
            known.proof.restart_probes();
        }
        let wanted = self
            .validated
            .iter()
            .filter(|known| known.requested_at.is_some());
        wanted.map(|known| known.path).collect()
    }

    /// Keeps handshake bytes until there is a path; whether there was room.
    pub(crate) fn queue_handshake(&mut self, datagram: &[u8]) -> bool {
        let has_room = self.queued_handshake.len() < MAX_QUEUED_HANDSHAKE;
        if has_room {
            self.queued_handshake.push(datagram.to_vec());
        }
        has_room
    }

    pub(crate) fn take_queued_handshake(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.queued_handshake)
    }

    /// Before there is a path, handshakes go to where the peer's last check came from.
    pub(crate) fn provisional(&mut self) -> Option<&mut ValidatedPath> {
        self.validated.iter_mut().max_by_key(|known| known.checked)
    }

    #[cold]
    pub(crate) fn why_no_path(&self) -> NetworkDrop {
        if self
            .validated
            .iter()
            .any(|known| known.requested_at.is_some())
        {
            NetworkDrop::SendPathUnproven
        } else {
            NetworkDrop::SendNoAddress
        }
    }

    /// Media goes on only where the peer has answered of late: a check that says it is still there
    /// is as easily forged as one that says it has moved. What goes to a publisher is too little
    /// to matter, and not every one answers while it sends.
    pub(crate) fn drop_unproven_path(&mut self, now: Instant) {
        let Some(peer) = self.path_to_renew().map(|path| path.peer()) else {
            return;
        };
        if !self.is_proven(now, peer) {
            self.path = None;
            self.ice.forget_remote();
            self.request_path(now, peer);
        }
    }

    /// The path whose proof is to stay fresh.
    fn path_to_renew(&self) -> Option<Path> {
        self.path
            .filter(|path| path.connection.is_none() && self.direction == Direction::Downlink)
    }

    /// Where checks of ours go, with the time when they are due.
    fn probes(&self, now: Instant) -> impl Iterator<Item = (Path, Instant)> {
        let renewed = self.path_to_renew().map(|path| path.peer());
        let in_use = move |known: &&ValidatedPath| {
            let is_renewed = Some(known.path.peer()) == renewed;
            is_renewed || (known.is_requested(now) && !known.proof.is_proven(now))
        };
        let validated_paths = self.validated.iter().filter(in_use);
        validated_paths.filter_map(move |known| Some((known.path, known.proof.next_probe(now)?)))
    }

    pub(crate) fn due_probes(&self, now: Instant) -> Vec<Path> {
        let due = self.probes(now).filter(|(_, at)| *at <= now);
        due.map(|(path, _)| path).collect()
    }

    pub(crate) fn next_probe(&self, now: Instant) -> Option<Instant> {
        self.probes(now).map(|(_, at)| at).min()
    }

    /// What is sent to the peer goes over `path` from now on.
    pub(crate) fn select_path(&mut self, now: Instant, path: Path) {
        self.path = Some(path);
        self.has_had_path = true;
        self.last_received = now;
        self.reach.on_response(now);
    }

    /// An authentic packet came over `path`; whether that is where the peer is sent to.
    pub(crate) fn on_packet(&mut self, now: Instant, path: Path) -> bool {
        let there = self.is_selected(path.peer());
        if there {
            self.last_received = now;
        }
        there
    }

    /// The peer was asked where it is, and answered elsewhere.
    pub(crate) fn mark_selected_failed(&mut self, now: Instant) {
        let selected = self.path.map(|path| path.peer());
        for known in &mut self.validated {
            if Some(known.path.peer()) == selected {
                known.failed = Some(now);
            }
        }
    }

    /// Whether a packet of unknown origin looks like one of this peer.
    pub(crate) fn expects(&self, datagram: &[u8]) -> bool {
        let receiver = self.receiver.as_ref();
        receiver.is_some_and(|receiver| receiver.expects(datagram))
    }

    /// Whether the peer's keys sealed a packet; it does not count as received.
    pub(crate) fn authenticates(&mut self, datagram: &[u8]) -> bool {
        let receiver = self.receiver.as_mut();
        receiver.is_some_and(|receiver| receiver.authenticates(datagram))
    }

    /// Takes a way out where one more has no place: the oldest but for the one in use, and one that
    /// is not proven before one that is.
    fn make_room(&mut self, now: Instant) -> Option<ValidatedPath> {
        let selected = self.path.map(|path| path.peer());
        let unproven = |known: &ValidatedPath| !known.proof.is_proven(now);
        let crowded = self
            .validated
            .iter()
            .filter(|known| unproven(known))
            .count()
            >= MAX_UNPROVEN_PATHS;
        if !crowded && self.validated.len() < MAX_VALIDATED_PATHS {
            return None;
        }
        let others = self.validated.iter().enumerate().filter(|(_, known)| {
            Some(known.path.peer()) != selected && (!crowded || unproven(known))
        });
        let oldest = others
            .min_by_key(|(_, known)| known.checked)
            .map(|(at, _)| at)?;
        Some(self.validated.remove(oldest))
    }

    pub(crate) fn has_keys(&self) -> bool {
        self.receiver.is_some()
    }

    pub(crate) fn snapshot(&self, handle: TransportHandle, now: Instant) -> TransportSnapshot {
        let expires = self.ice.consent_expires();
        let protocol = |path: Path| {
            if path.connection.is_some() {
                "tcp"
            } else {
                "udp"
            }
        };
        TransportSnapshot {
            transport: handle,
            direction: self.direction,
            remote: self.path.map(|path| path.remote.to_string()),
            protocol: self.path.map(protocol),
            local: self
                .path
                .and_then(|path| path.local)
                .map(|ip| ip.to_string()),
            consent_left_ms: expires.map(|at| at.saturating_duration_since(now).as_millis() as u64),
            has_keys: self.has_keys(),
            feedback_extension: self.feedback_extension,
            not_sent: self.not_sent.snapshot(),
        }
    }
}

/// All transports. An address belongs to one transport: the one that validated it last.
#[derive(Default)]
pub(crate) struct Transports {
    members: HandleMap<TransportHandle, Transport>,
    ufrags: HashMap<String, TransportHandle>,
    addresses: HashMap<PeerAddress, TransportHandle>,
}

impl Transports {
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn contains(&self, handle: TransportHandle) -> bool {
        self.members.contains_key(&handle)
    }

    pub(crate) fn get_mut(&mut self, handle: TransportHandle) -> Option<&mut Transport> {
        self.members.get_mut(&handle)
    }

    pub(crate) fn get(&self, handle: TransportHandle) -> Option<&Transport> {
        self.members.get(&handle)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TransportHandle, &Transport)> {
        self.members
            .iter()
            .map(|(handle, transport)| (*handle, transport))
    }

    pub(crate) fn by_ufrag(&self, ufrag: &str) -> Option<TransportHandle> {
        self.ufrags.get(ufrag).copied()
    }

    pub(crate) fn by_address(&self, address: PeerAddress) -> Option<TransportHandle> {
        self.addresses.get(&address).copied()
    }

    pub(crate) fn insert(&mut self, handle: TransportHandle, ufrag: String, transport: Transport) {
        self.ufrags.insert(ufrag, handle);
        self.members.insert(handle, transport);
    }

    /// A valid check came from there: so may media. A peer sends over the way it prefers before its
    /// check says so (RFC 8445, section 12.2).
    pub(crate) fn validate(&mut self, now: Instant, handle: TransportHandle, path: Path) {
        let peer = path.peer();
        let owner = self.addresses.insert(peer, handle);
        if owner == Some(handle) {
            let known = self.members.get_mut(&handle).into_iter();
            let mut validated_paths = known.flat_map(|transport| &mut transport.validated);
            if let Some(known) = validated_paths.find(|known| known.path.peer() == peer) {
                (known.path, known.checked, known.failed) = (path, now, None);
            }
            return;
        }
        if let Some(before) = owner.and_then(|owner| self.members.get_mut(&owner)) {
            before.validated.retain(|known| known.path.peer() != peer);
        }
        let Some(transport) = self.members.get_mut(&handle) else {
            return;
        };
        if let Some(forgotten) = transport.make_room(now) {
            self.addresses.remove(&forgotten.path.peer());
        }
        transport.validated.push(ValidatedPath {
            path,
            checked: now,
            failed: None,
            proof: PathProof::new(path.connection.is_some()),
            requested_at: None,
        });
    }

    /// Whether the transport's peer is there: what is sent to it goes there, or it has answered.
    pub(crate) fn is_at(&self, now: Instant, handle: TransportHandle, peer: PeerAddress) -> bool {
        let transport = self.members.get(&handle);
        transport.is_some_and(|transport| transport.is_at(now, peer))
    }

    /// Nothing comes from there any more; whether it was the peer's path.
    pub(crate) fn forget_address(&mut self, handle: TransportHandle, peer: PeerAddress) -> bool {
        self.addresses.remove(&peer);
        let Some(transport) = self.members.get_mut(&handle) else {
            return false;
        };
        transport
            .validated
            .retain(|known| known.path.peer() != peer);
        let was_path = transport.path.is_some_and(|path| path.peer() == peer);
        if was_path {
            transport.path = None;
        }
        was_path
    }

    /// Nothing is sent to the transport's peer, or taken from it, until it validates again.
    pub(crate) fn forget_path(&mut self, handle: TransportHandle) {
        if let Some(transport) = self.members.get_mut(&handle) {
            transport.path = None;
            transport.ice.forget_remote();
            for known in transport.validated.drain(..) {
                self.addresses.remove(&known.path.peer());
            }
        }
    }

    /// An ICE restart: checks find the transport by another fragment.
    pub(crate) fn restart_ice(&mut self, handle: TransportHandle, ufrag: String, pwd: String) {
        if let Some(transport) = self.members.get_mut(&handle) {
            self.ufrags.remove(transport.ice.local_ufrag());
            self.ufrags.insert(ufrag.clone(), handle);
            transport.ice.restart(ufrag, pwd);
            transport.clear_requests();
        }
    }

    pub(crate) fn remove(&mut self, handle: TransportHandle) -> Option<Transport> {
        self.forget_path(handle);
        let transport = self.members.remove(&handle)?;
        self.ufrags.remove(transport.ice.local_ufrag());
        Some(transport)
    }
}
