//! Which peer a packet of an address that nobody knows may be from, at a cost that strangers can
//! neither raise nor use up for others.
//!
//! What is in such a packet in clear text (its SSRC, its SRTCP index) is looked up in a sorted list of what the
//! peers are expected to send. Whoever guesses nothing costs that look-up and takes nobody's turn.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use sealroute_forward::TransportHandle;
use sealroute_transport::{MAX_MISSED_REPORTS, PathProof, PeerAddress, SrtpClue};

use crate::transports::{Transport, Transports};

/// Senders of unknown addresses that are asked at a time; the oldest gives way.
const MAX_STRANGERS: usize = 1_024;
/// Of these, so many for one peer: one that seals packets for many addresses costs itself a place.
const MAX_STRANGERS_OF_PEER: usize = 8;
pub(crate) const STRANGER_ASKED_EVERY: Duration = Duration::from_millis(100);
const STRANGER_FORGOTTEN: Duration = Duration::from_secs(3);
/// Packets are tried with the keys of so many peers.
pub(crate) const MAX_CANDIDATES: usize = 8;
/// Tries of a second that every network (/24, /64) has for itself, whatever others do.
const TRIES_OF_NETWORK: usize = 2 * MAX_CANDIDATES;
/// Networks that have such a share in a second: all their tries are some percent of a core.
const MAX_NETWORKS: usize = 4_096;
/// Tries of a second beside, for whoever needs more: many behind one NAT that has forgotten them.
const SHARED_TRIES: usize = 16_384;
/// Of these, what one network may have.
const SHARED_TRIES_OF_NETWORK: usize = 2_048;
const WINDOW: Duration = Duration::from_secs(1);
/// The list is made again after this time at the earliest, and later where it is long: what it
/// costs is some percent of a core.
const LISTED_FOR: Duration = Duration::from_millis(100);
const LISTED_FOR_EACH: Duration = Duration::from_micros(5);
/// Streams of one peer that are listed, of RTP and of RTCP each.
const MAX_LISTED_STREAMS: usize = 64;

pub(crate) struct Stranger {
    pub(crate) peer: TransportHandle,
    pub(crate) asked: Instant,
    pub(crate) proof: PathProof,
}

impl Stranger {
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.asked)
    }
}

/// Who may be at an address that no check came from: sealed by a known peer, not answered yet.
#[derive(Default)]
pub(crate) struct Strangers {
    pub(crate) asked: HashMap<PeerAddress, Stranger>,
    expected: ExpectedPackets,
    tries: Tries,
}

impl Strangers {
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
        if !found.is_empty() && !self.tries.take(now, network_of(address), found.len()) {
            found.clear();
        }
        found
    }

    /// Somebody at `address` sends what `peer` has sealed.
    pub(crate) fn add(&mut self, now: Instant, address: PeerAddress, peer: TransportHandle) {
        self.asked
            .retain(|_, known| known.age(now) < STRANGER_FORGOTTEN);
        let of_peer = self.asked.values().filter(|known| known.peer == peer);
        let replaced = if of_peer.count() >= MAX_STRANGERS_OF_PEER {
            self.oldest(|known| known.peer == peer)
        } else if self.asked.len() >= MAX_STRANGERS {
            self.oldest(|_| true)
        } else {
            None
        };
        if let Some(replaced) = replaced {
            self.asked.remove(&replaced);
        }
        let stranger = Stranger {
            peer,
            asked: now,
            proof: PathProof::default(),
        };
        self.asked.insert(address, stranger);
    }

    fn oldest(&self, among: impl Fn(&Stranger) -> bool) -> Option<PeerAddress> {
        let known = self.asked.iter().filter(|(_, known)| among(known));
        let oldest = known.min_by_key(|(_, known)| known.asked);
        oldest.map(|(address, _)| *address)
    }
}

/// What the peers are expected to send, sorted, as it was a moment ago.
#[derive(Default)]
struct ExpectedPackets {
    made: Option<Instant>,
    rtp: Vec<(u32, TransportHandle)>,
    /// By SSRC and the highest index received; browsers that only receive all have one SSRC.
    rtcp: Vec<(u32, u64, TransportHandle)>,
    turn: usize,
}

impl ExpectedPackets {
    fn refresh(&mut self, now: Instant, transports: &Transports) {
        let listed = (self.rtp.len() + self.rtcp.len()) as u32;
        let lasts = LISTED_FOR.max(LISTED_FOR_EACH * listed);
        let fresh = |made| now.saturating_duration_since(made) < lasts;
        if self.made.is_some_and(fresh) {
            return;
        }
        self.made = Some(now);
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
        let places = receiver.rtcp_places().take(MAX_LISTED_STREAMS);
        self.rtcp
            .extend(places.map(|(ssrc, highest)| (ssrc, highest, handle)));
    }

    /// Whom the clue fits, in an order of its own each time where there are many.
    fn find(&mut self, clue: SrtpClue) -> Vec<TransportHandle> {
        self.turn = self.turn.wrapping_add(1);
        match clue {
            SrtpClue::Rtp { ssrc } => {
                let from = self.rtp.partition_point(|(listed, _)| *listed < ssrc);
                let to = self.rtp.partition_point(|(listed, _)| *listed <= ssrc);
                let fitting = &self.rtp[from..to];
                let skipped = self.turn % fitting.len().max(1);
                let turned = fitting[skipped..].iter().chain(&fitting[..skipped]);
                let turned = turned.map(|(_, handle)| *handle);
                turned.take(MAX_CANDIDATES).collect()
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

/// Tries of this second: a share for each network, and one that all have together.
#[derive(Default)]
struct Tries {
    since: Option<Instant>,
    of_networks: HashMap<IpAddr, usize>,
    shared: usize,
}

impl Tries {
    fn take(&mut self, now: Instant, network: IpAddr, wanted: usize) -> bool {
        let runs = |since| now.saturating_duration_since(since) < WINDOW;
        if !self.since.is_some_and(runs) {
            self.since = Some(now);
            self.of_networks.clear();
            self.shared = 0;
        }
        let known = self.of_networks.get(&network).copied();
        let has_place = known.is_some() || self.of_networks.len() < MAX_NETWORKS;
        let used = known.unwrap_or(0) + wanted;
        let own = has_place && used <= TRIES_OF_NETWORK;
        let limit = TRIES_OF_NETWORK + SHARED_TRIES_OF_NETWORK;
        let shared = used <= limit && self.shared + wanted <= SHARED_TRIES;
        if !own && !shared {
            return false;
        }
        if has_place {
            self.of_networks.insert(network, used);
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
#[path = "strangers_tests.rs"]
mod tests;
