//! Identifies the peer that sent a packet from an unknown address, at a cost that attackers can
//! neither raise nor exhaust for others.
//!
//! The clear-text fields of such a packet (its SSRC, its SRTCP index) are looked up in a sorted
//! list of the packets that the peers are expected to send. Only matching packets are tried with
//! SRTP keys, and those trials have a budget per network. A packet with random fields costs one
//! lookup and no trial.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use sealroute_forward::TransportHandle;
use sealroute_transport::{MAX_MISSED_REPORTS, PathProof, PeerAddress, SrtpClue};

use crate::transport::Transport;
use crate::transports::Transports;

/// Unverified addresses that are probed at a time; the oldest is evicted.
const MAX_UNVERIFIED: usize = 1_024;
/// Of these, addresses per peer. A peer that sends from many addresses evicts only its own.
const MAX_UNVERIFIED_PER_PEER: usize = 8;
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_millis(100);
const UNVERIFIED_LIFETIME: Duration = Duration::from_secs(3);
/// Peers whose keys are tried per packet.
pub(crate) const MAX_CANDIDATES: usize = 8;
/// Trials per second reserved for each network (/24, /64).
const TRIALS_PER_NETWORK: usize = 2 * MAX_CANDIDATES;
/// Networks with a reserved share per second; all their trials together take a few percent of a
/// core.
const MAX_NETWORKS: usize = 4_096;
/// Trials per second beyond the reserved shares, for example for many peers behind one rebooted
/// NAT.
const SHARED_TRIALS: usize = 16_384;
/// Of these, trials per network.
const SHARED_TRIALS_PER_NETWORK: usize = 2_048;
const WINDOW: Duration = Duration::from_secs(1);
/// Minimum age at which the list is rebuilt; a long list lives longer, so rebuilding takes a few
/// percent of a core at most.
const MIN_LIST_LIFETIME: Duration = Duration::from_millis(100);
const LIST_LIFETIME_PER_ENTRY: Duration = Duration::from_micros(5);
/// Listed streams per peer, for RTP and RTCP each.
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

/// Addresses without a valid check from which a known peer's packets arrived, until they respond to
/// a probe.
#[derive(Default)]
pub(crate) struct UnverifiedPeers {
    pub(crate) by_address: HashMap<PeerAddress, UnverifiedPeer>,
    expected: ExpectedPackets,
    trials: TrialBudget,
}

impl UnverifiedPeers {
    /// The peers whose keys to try on a packet from `address`. The trials are deducted from the
    /// budget.
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

    /// Packets that `peer`'s keys authenticate arrive from `address`.
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

/// A sorted, slightly outdated list of the packets that the peers are expected to send.
#[derive(Default)]
struct ExpectedPackets {
    built_at: Option<Instant>,
    rtp: Vec<(u32, TransportHandle)>,
    /// By SSRC and the highest index received. All browsers that only receive use the same SSRC.
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

    /// The peers that match the clue. Many peers with the same SSRC are rotated.
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

    /// Peers for which this is one of the next expected packets; the closest first.
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

/// Trials used in this second: a reserved share per network, and a shared pool.
#[derive(Default)]
struct TrialBudget {
    since: Option<Instant>,
    by_network: HashMap<IpAddr, usize>,
    shared: usize,
}

impl TrialBudget {
    fn take(&mut self, now: Instant, network: IpAddr, wanted: usize) -> bool {
        let is_running = |since| now.saturating_duration_since(since) < WINDOW;
        if !self.since.is_some_and(is_running) {
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

/// The network that a client's addresses are counted by: a /64 of IPv6, and a /24 of IPv4, because
/// neighbors there often belong together.
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
