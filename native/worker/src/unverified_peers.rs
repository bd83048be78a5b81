//! Which peer a packet of an address that nobody knows may be from, at a cost that strangers can
//! neither raise nor use up for others.
//!
//! What is in such a packet in clear text (its SSRC, its SRTCP index) is looked up in a sorted list of what the
//! peers are expected to send. Whoever guesses nothing costs that look-up and takes nobody's rotation.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use sealroute_forward::TransportHandle;
use sealroute_transport::{MAX_MISSED_REPORTS, PathProof, PeerAddress, SrtpClue};

use crate::transports::{Transport, Transports};

/// Senders of unknown addresses that are asked at a time; the oldest gives way.
const MAX_UNVERIFIED: usize = 1_024;
/// Of these, so many for one peer: one that seals packets for many addresses costs itself a place.
const MAX_UNVERIFIED_PER_PEER: usize = 8;
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_millis(100);
const UNVERIFIED_LIFETIME: Duration = Duration::from_secs(3);
/// Packets are tried with the keys of so many peers.
pub(crate) const MAX_CANDIDATES: usize = 8;
/// TrialBudget of a second that every network (/24, /64) has for itself, whatever others do.
const TRIALS_PER_NETWORK: usize = 2 * MAX_CANDIDATES;
/// Networks that have such a share in a second: all their tries are some percent of a core.
const MAX_NETWORKS: usize = 4_096;
/// TrialBudget of a second beside, for whoever needs more: many behind one NAT that has forgotten them.
const SHARED_TRIALS: usize = 16_384;
/// Of these, what one network may have.
const SHARED_TRIALS_PER_NETWORK: usize = 2_048;
const WINDOW: Duration = Duration::from_secs(1);
/// The list is built_at again after this time at the earliest, and later where it is long: what it
/// costs is some percent of a core.
const MIN_LIST_LIFETIME: Duration = Duration::from_millis(100);
const LIST_LIFETIME_PER_ENTRY: Duration = Duration::from_micros(5);
/// Streams of one peer that are listed, of RTP and of RTCP each.
const MAX_LISTED_STREAMS: usize = 64;

pub(crate) struct UnverifiedPeer {
    pub(crate) peer: TransportHandle,
    pub(crate) probed_at: Instant,
    pub(crate) proof: PathProof,
}

impl UnverifiedPeer {
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.probed_at)
    }
}

/// Who may be at an address that no check came from: sealed by a known peer, not answered yet.
#[derive(Default)]
pub(crate) struct UnverifiedPeers {
    pub(crate) by_address: HashMap<PeerAddress, UnverifiedPeer>,
    expected: ExpectedPackets,
    trials: TrialBudget,
}

impl UnverifiedPeers {
    /// The peers whose keys a packet from `address` may be tried with, which counts as done.
    pub(crate) fn candidates(
        &mut self,
        now: Instant,
        address: IpAddr,
        datagram: &[u8],
        transports: &Transports,
    ) -> Vec<TransportHandle> {
        let Some(clue) = SrtpClue::of(datagram) else {
            return Vec::new();
        };
        self.expected.refresh(now, transports);
        let mut found = self.expected.find(clue);
        found.retain(|handle| {
            let transport = transports.get(*handle);
            transport.is_some_and(|found| found.path.is_some() && found.expects(datagram))
        });
        if !found.is_empty() && !self.trials.take(now, network_of(address), found.len()) {
            found.clear();
        }
        found
    }

    /// Somebody at `address` sends what `peer` has sealed.
    pub(crate) fn add(&mut self, now: Instant, address: PeerAddress, peer: TransportHandle) {
        self.by_address
            .retain(|_, known| known.age(now) < UNVERIFIED_LIFETIME);
        let same_peer = self.by_address.values().filter(|known| known.peer == peer);
        let replaced = if same_peer.count() >= MAX_UNVERIFIED_PER_PEER {
            self.oldest(|known| known.peer == peer)
        } else if self.by_address.len() >= MAX_UNVERIFIED {
            self.oldest(|_| true)
        } else {
            None
        };
        if let Some(replaced) = replaced {
            self.by_address.remove(&replaced);
        }
        let unverified = UnverifiedPeer {
            peer,
            probed_at: now,
            proof: PathProof::default(),
        };
        self.by_address.insert(address, unverified);
    }

    fn oldest(&self, among: impl Fn(&UnverifiedPeer) -> bool) -> Option<PeerAddress> {
        let known = self.by_address.iter().filter(|(_, known)| among(known));
        let oldest = known.min_by_key(|(_, known)| known.probed_at);
        oldest.map(|(address, _)| *address)
    }
}

/// What the peers are expected to send, sorted, as it was a moment ago.
#[derive(Default)]
struct ExpectedPackets {
    built_at: Option<Instant>,
    rtp: Vec<(u32, TransportHandle)>,
    /// By SSRC and the highest index received; browsers that only receive all have one SSRC.
    rtcp: Vec<(u32, u64, TransportHandle)>,
    rotation: usize,
}

impl ExpectedPackets {
    fn refresh(&mut self, now: Instant, transports: &Transports) {
        let listed = (self.rtp.len() + self.rtcp.len()) as u32;
        let lifetime = MIN_LIST_LIFETIME.max(LIST_LIFETIME_PER_ENTRY * listed);
        let fresh = |built_at| now.saturating_duration_since(built_at) < lifetime;
        if self.built_at.is_some_and(fresh) {
            return;
        }
        self.built_at = Some(now);
        self.rtp.clear();
        self.rtcp.clear();
        for (handle, transport) in transports.iter() {
            self.list(handle, transport);
        }
        self.rtp.sort_unstable_by_key(|(ssrc, _)| *ssrc);
        self.rtcp
            .sort_unstable_by_key(|(ssrc, index, _)| (*ssrc, *index));
    }

    fn list(&mut self, handle: TransportHandle, transport: &Transport) {
        let Some(receiver) = transport.receiver.as_ref() else {
            return;
        };
        let ssrcs = receiver.rtp_ssrcs().take(MAX_LISTED_STREAMS);
        self.rtp.extend(ssrcs.map(|ssrc| (ssrc, handle)));
        let indices = receiver.rtcp_indices().take(MAX_LISTED_STREAMS);
        self.rtcp
            .extend(indices.map(|(ssrc, highest)| (ssrc, highest, handle)));
    }

    /// Whom the clue fits, in an order of its own each time where there are many.
    fn find(&mut self, clue: SrtpClue) -> Vec<TransportHandle> {
        self.rotation = self.rotation.wrapping_add(1);
        match clue {
            SrtpClue::Rtp { ssrc } => {
                let from = self.rtp.partition_point(|(listed, _)| *listed < ssrc);
                let to = self.rtp.partition_point(|(listed, _)| *listed <= ssrc);
                let fitting = &self.rtp[from..to];
                let skipped = self.rotation % fitting.len().max(1);
                let rotated = fitting[skipped..].iter().chain(&fitting[..skipped]);
                let rotated = rotated.map(|(_, handle)| *handle);
                rotated.take(MAX_CANDIDATES).collect()
            }
            SrtpClue::Rtcp { ssrc, indices } => {
                let mut found = Vec::new();
                for index in indices.into_iter().flatten() {
                    found.extend(self.nearest(ssrc, index));
                }
                found.truncate(MAX_CANDIDATES);
                found
            }
        }
    }

    /// Peers whose next packet, or one soon after it, this may be; the nearest first.
    fn nearest(&self, ssrc: u32, index: u64) -> impl Iterator<Item = TransportHandle> {
        let lowest = index.saturating_sub(MAX_MISSED_REPORTS);
        let below = |end: u64| {
            self.rtcp
                .partition_point(|(listed, highest, _)| (*listed, *highest) < (ssrc, end))
        };
        let fitting = &self.rtcp[below(lowest)..below(index)];
        let handles = fitting.iter().rev().map(|(_, _, handle)| *handle);
        handles.take(MAX_CANDIDATES)
    }
}

/// TrialBudget of this second: a share for each network, and one that all have together.
#[derive(Default)]
struct TrialBudget {
    since: Option<Instant>,
    by_network: HashMap<IpAddr, usize>,
    shared: usize,
}

impl TrialBudget {
    fn take(&mut self, now: Instant, network: IpAddr, wanted: usize) -> bool {
        let runs = |since| now.saturating_duration_since(since) < WINDOW;
        if !self.since.is_some_and(runs) {
            self.since = Some(now);
            self.by_network.clear();
            self.shared = 0;
        }
        let known = self.by_network.get(&network).copied();
        let has_place = known.is_some() || self.by_network.len() < MAX_NETWORKS;
        let used = known.unwrap_or(0) + wanted;
        let own = has_place && used <= TRIALS_PER_NETWORK;
        let limit = TRIALS_PER_NETWORK + SHARED_TRIALS_PER_NETWORK;
        let shared = used <= limit && self.shared + wanted <= SHARED_TRIALS;
        if !own && !shared {
            return false;
        }
        if has_place {
            self.by_network.insert(network, used);
        }
        if !own {
            self.shared += wanted;
        }
        true
    }
}

/// What one stranger may have of addresses: a /64 of IPv6, and neighbors in a /24 of IPv4 are often
/// one too.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
#[path = "unverified_peers_tests.rs"]
mod tests;
