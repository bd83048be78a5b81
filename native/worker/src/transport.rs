//! One peer's transport: ICE, SRTP, and the paths that it can be reached over.

use std::time::Instant;

use sealroute_forward::TransportHandle;
use sealroute_transport::{
    DtlsGate, IceLite, OutgoingChecks, PathProof, PeerAddress, Reachability, SrtpError, SrtpKeys,
    SrtpReceiver, SrtpSender,
};

use crate::api::{Direction, RouterHandle, SrtpSecrets, TransportSnapshot};
use crate::drop_reason::NetworkDrop;
use crate::not_sent::NotSentPackets;
use crate::path::{Path, ValidatedPath};

/// Validated paths per peer; a browser with several networks tries fewer.
const MAX_VALIDATED_PATHS: usize = 16;
/// Of these, paths that have not responded to a probe. A copied or forged check evicts another
/// unproven path, never a proven one.
const MAX_UNPROVEN_PATHS: usize = 8;
/// Datagrams of one DTLS flight. Without the queue they would wait for the retransmission timer,
/// which delays every join.
const MAX_QUEUED_HANDSHAKE: usize = 8;

/// One peer's transport.
pub(crate) struct Transport {
    pub(crate) router: RouterHandle,
    pub(crate) direction: Direction,
    pub(crate) ice: IceLite,
    /// The selected path: proven by the peer, which consents to receive media there.
    pub(crate) path: Option<Path>,
    pub(crate) has_had_path: bool,
    /// DTLS datagrams that wait for a proven path.
    queued_handshake: Vec<Vec<u8>>,
    /// Paths over which valid checks arrived; media is accepted from them too.
    validated: Vec<ValidatedPath>,
    /// When the last authentic packet arrived over `path`.
    pub(crate) last_received: Instant,
    pub(crate) reach: Reachability,
    pub(crate) checks: OutgoingChecks,
    pub(crate) dtls: DtlsGate,
    pub(crate) receiver: Option<SrtpReceiver>,
    pub(crate) sender: Option<SrtpSender>,
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
            not_sent: NotSentPackets::default(),
        }
    }

    /// Installs the keys of the handshake. Only once: other keys would belong to another peer.
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

    pub(crate) fn validated_mut(&mut self, peer: PeerAddress) -> Option<&mut ValidatedPath> {
        self.validated
            .iter_mut()
            .find(|known| known.path.peer() == peer)
    }

    fn is_selected(&self, peer: PeerAddress) -> bool {
        self.path.is_some_and(|path| path.peer() == peer)
    }

    /// Whether the peer has proven the address. A selected address counts, and so does a TCP
    /// connection.
    pub(crate) fn has_proven(&self, now: Instant, peer: PeerAddress) -> bool {
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

    pub(crate) fn has_validated(&self, peer: PeerAddress) -> bool {
        self.validated.iter().any(|known| known.path.peer() == peer)
    }

    /// Whether a probe may be sent there now; it counts as sent then. Otherwise the peer's next
    /// check from there triggers another probe.
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

    /// Whether this many bytes besides media may be sent there; an unproven address has a small
    /// budget.
    pub(crate) fn may_send(&mut self, now: Instant, peer: PeerAddress, bytes: usize) -> bool {
        self.is_selected(peer)
            || self
                .proof_mut(peer)
                .is_some_and(|proof| proof.spend(now, bytes))
    }

    pub(crate) fn proof_mut(&mut self, peer: PeerAddress) -> Option<&mut PathProof> {
        self.validated_mut(peer).map(|known| &mut known.proof)
    }

    /// Selects the address as soon as the peer has proven it.
    pub(crate) fn request_path(&mut self, now: Instant, peer: PeerAddress) {
        if let Some(known) = self.validated_mut(peer) {
            known.requested_at = Some(now);
        }
    }

    /// The peer responded to a probe there. Returns whether it has requested its media there.
    pub(crate) fn on_response(&mut self, now: Instant, peer: PeerAddress) -> bool {
        let Some(known) = self.validated_mut(peer) else {
            return false;
        };
        known.proof.on_response(now);
        let requested = known.is_requested(now);
        if requested {
            self.clear_requests();
        }
        requested
    }

    /// Discards requests made by checks with other credentials.
    pub(crate) fn clear_requests(&mut self) {
        for known in &mut self.validated {
            known.requested_at = None;
        }
    }

    /// The peer's credentials arrived, so no probe has been sent with them yet. Returns the paths
    /// that the peer requested.
    pub(crate) fn restart_probes(&mut self) -> Vec<Path> {
        for known in &mut self.validated {
            known.proof.restart_probes();
        }
        let requested = self
            .validated
            .iter()
            .filter(|known| known.requested_at.is_some());
        requested.map(|known| known.path).collect()
    }

    /// Queues a DTLS datagram until a path is proven. Returns whether there was room.
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

    /// Before a path is selected, handshakes go to the source of the peer's last check.
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

    /// Stops sending to a path whose proof has expired. A check alone does not renew it, because a
    /// check is as easily forged as one that claims a migration. Uplinks are exempt: what is sent
    /// to a publisher is too little to matter, and some publishers do not respond while they send.
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

    /// The path whose proof has to be renewed.
    fn path_to_renew(&self) -> Option<Path> {
        self.path
            .filter(|path| path.connection.is_none() && self.direction == Direction::Downlink)
    }

    /// The paths to probe, with the time at which each probe is due.
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

    /// Sends everything over `path` from now on.
    pub(crate) fn select_path(&mut self, now: Instant, path: Path) {
        self.path = Some(path);
        self.has_had_path = true;
        self.last_received = now;
        self.reach.on_response(now);
    }

    /// An authentic packet arrived over `path`. Returns whether that is the selected path.
    pub(crate) fn on_packet(&mut self, now: Instant, path: Path) -> bool {
        let there = self.is_selected(path.peer());
        if there {
            self.last_received = now;
        }
        there
    }

    /// The peer was probed at several addresses and responded at another one.
    pub(crate) fn mark_selected_failed(&mut self, now: Instant) {
        let selected = self.path.map(|path| path.peer());
        for known in &mut self.validated {
            if Some(known.path.peer()) == selected {
                known.failed = Some(now);
            }
        }
    }

    /// Whether a packet from an unknown address could be this peer's next one: cheap, and no proof.
    pub(crate) fn expects(&self, datagram: &[u8]) -> bool {
        let receiver = self.receiver.as_ref();
        receiver.is_some_and(|receiver| receiver.expects(datagram))
    }

    /// Whether the peer's keys authenticate a packet. The packet does not count as received.
    pub(crate) fn authenticates(&mut self, datagram: &[u8]) -> bool {
        let receiver = self.receiver.as_mut();
        receiver.is_some_and(|receiver| receiver.authenticates(datagram))
    }

    /// Another check arrived over the path.
    pub(crate) fn renew_validated(&mut self, now: Instant, path: Path) {
        if let Some(known) = self.validated_mut(path.peer()) {
            (known.path, known.checked, known.failed) = (path, now, None);
        }
    }

    /// The first check arrived over the path. Returns the address that is evicted for it.
    pub(crate) fn add_validated(&mut self, now: Instant, path: Path) -> Option<PeerAddress> {
        let evicted = self.make_room(now);
        self.validated.push(ValidatedPath {
            path,
            checked: now,
            failed: None,
            proof: PathProof::new(path.connection.is_some()),
            requested_at: None,
        });
        evicted.map(|known| known.path.peer())
    }

    pub(crate) fn forget_validated(&mut self, peer: PeerAddress) {
        self.validated.retain(|known| known.path.peer() != peer);
    }

    /// Forgets every path. Returns their addresses.
    pub(crate) fn forget_paths(&mut self) -> impl Iterator<Item = PeerAddress> {
        self.path = None;
        self.validated.drain(..).map(|known| known.path.peer())
    }

    /// Makes room for one more path: evicts the oldest that is not selected, and an unproven one
    /// before a proven one.
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
            not_sent: self.not_sent.snapshot(),
        }
    }
}
