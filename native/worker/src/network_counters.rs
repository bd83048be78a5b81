//! Totals of the network side, and all totals where other threads can read them.

use std::sync::atomic::{AtomicU64, Ordering};

use sealroute_forward::{DropReason, ForwardCounters};

use crate::drop_reason::NetworkDrop;
use crate::tcp::TcpCounters;

/// Totals since start; owner: the worker thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct NetworkCounters {
    pub(crate) packets_received: u64,
    pub(crate) bytes_received: u64,
    packets_sent: u64,
    bytes_sent: u64,
    pub(crate) stun_requests: u64,
    /// Checks of ours.
    pub(crate) checks_sent: u64,
    /// Times that a peer's address became another one.
    pub(crate) peer_moves: u64,
    pub(crate) dtls_records: u64,
    pub(crate) events_dropped: u64,
    /// These are what there is now.
    pub(crate) transports: u64,
    pub(crate) publishers: u64,
    pub(crate) subscribers: u64,
    tcp_connections: u64,
    tcp: TcpCounters,
    drops: [u64; NetworkDrop::ALL.len()],
}

impl NetworkCounters {
    pub(crate) fn sent(&mut self, packets: usize, bytes: usize) {
        self.packets_sent += packets as u64;
        self.bytes_sent += bytes as u64;
    }

    pub(crate) fn connections(&mut self, open: u64, totals: TcpCounters) {
        self.tcp_connections = open;
        self.tcp = totals;
    }

    pub(crate) fn drop_packets(&mut self, reason: NetworkDrop, packets: usize) {
        self.drops[reason as usize] += packets as u64;
    }

    #[cfg(test)]
    pub(crate) fn dropped(&self, reason: NetworkDrop) -> u64 {
        self.drops[reason as usize]
    }

    fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        [
            self.packets_received,
            self.bytes_received,
            self.packets_sent,
            self.bytes_sent,
            self.stun_requests,
            self.checks_sent,
            self.peer_moves,
            self.dtls_records,
            self.events_dropped,
            self.transports,
            self.publishers,
            self.subscribers,
            self.tcp_connections,
            self.tcp.accepted,
            self.tcp.refused,
            self.tcp.bad_frames,
            self.tcp.expired,
        ]
        .into_iter()
        .chain(self.drops)
    }
}

const NETWORK_NAMES: [&str; 17] = [
    "packets_received",
    "bytes_received",
    "packets_sent",
    "bytes_sent",
    "stun_requests",
    "checks_sent",
    "peer_moves",
    "dtls_records",
    "events_dropped",
    "transports",
    "publishers",
    "subscribers",
    "tcp_connections",
    "tcp_accepted",
    "tcp_refused",
    "tcp_bad_frames",
    "tcp_expired",
];

/// Names of all reasons why a packet went no further, network first.
pub fn drop_reasons() -> Vec<&'static str> {
    let network = NetworkDrop::ALL.iter().map(|reason| reason.name());
    network
        .chain(DropReason::ALL.iter().map(|reason| reason.name()))
        .collect()
}

fn is_drop_reason(name: &str) -> bool {
    DropReason::ALL.iter().any(|reason| reason.name() == name)
}

/// All totals by name, written by the worker thread and read by any.
pub(crate) struct SharedCounters {
    names: Vec<String>,
    values: Vec<AtomicU64>,
}

impl SharedCounters {
    pub(crate) fn new() -> Self {
        let plain = NETWORK_NAMES.iter().map(|name| (*name).to_owned());
        let drops = NetworkDrop::ALL
            .iter()
            .map(|reason| format!("drop.{}", reason.name()));
        let empty = ForwardCounters::default();
        let forward = empty.iter().map(|(name, _)| {
            let prefix = if is_drop_reason(name) { "drop." } else { "" };
            format!("{prefix}{name}")
        });
        let names: Vec<String> = plain.chain(drops).chain(forward).collect();
        let values = names.iter().map(|_| AtomicU64::new(0)).collect();
        Self { names, values }
    }

    pub(crate) fn read(&self) -> Vec<(&str, u64)> {
        let values = self
            .values
            .iter()
            .map(|value| value.load(Ordering::Relaxed));
        self.names.iter().map(String::as_str).zip(values).collect()
    }

    pub(crate) fn store_network(&self, counters: &NetworkCounters) {
        for (value, total) in self.values.iter().zip(counters.iter()) {
            value.store(total, Ordering::Relaxed);
        }
    }

    /// Adds what one session counted since `published`, which becomes its present totals.
    pub(crate) fn add_forward(&self, counters: &ForwardCounters, published: &mut Vec<u64>) {
        let start = NETWORK_NAMES.len() + NetworkDrop::ALL.len();
        published.resize(self.values.len() - start, 0);
        let known = self.values[start..].iter().zip(published);
        for ((value, before), (_, total)) in known.zip(counters.iter()) {
            value.fetch_add(total.wrapping_sub(*before), Ordering::Relaxed);
            *before = total;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_total_has_a_name_of_its_own_and_every_reason_a_total() {
        let shared = SharedCounters::new();
        let names: Vec<&str> = shared.read().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        for reason in drop_reasons() {
            assert!(
                names.contains(&format!("drop.{reason}").as_str()),
                "{reason}"
            );
        }
    }

    #[test]
    fn network_totals_are_read_under_their_names() {
        let shared = SharedCounters::new();
        let mut counters = NetworkCounters {
            stun_requests: 7,
            ..NetworkCounters::default()
        };
        counters.drop_packets(NetworkDrop::SendFailed, 3);
        counters.sent(2, 500);
        shared.store_network(&counters);
        let read = shared.read();
        for expected in [
            ("stun_requests", 7),
            ("packets_sent", 2),
            ("bytes_sent", 500),
            ("drop.send_failed", 3),
        ] {
            assert!(read.contains(&expected), "{expected:?}");
        }
    }
}
