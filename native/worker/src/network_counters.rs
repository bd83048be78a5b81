//! Counters of the network side, and all counters in a form that other threads can read.

use std::sync::atomic::{AtomicU64, Ordering};

use sealroute_forward::{CounterInfo, DropReason, ForwardCounters, ForwardTotals, counters};

use crate::drop_reason::NetworkDrop;

counters! {
    /// Counters of the network side; owned by the worker thread.
    pub(crate) struct NetworkTotals {
        Counter packets_received "Datagrams received.",
        Counter bytes_received "Bytes received.",
        Gauge taps "Taps open: readers of a session's clear media on this host.",
        Counter tap_records "Records of media and events written to taps.",
        Gauge trunks "Ways of streams between workers of this process open, counted at both ends.",
        Counter trunk_packets_sent "Packets passed on to other workers of this process.",
        Counter trunk_packets_received "Packets taken from other workers of this process.",
        Counter cpu_us "Microseconds of CPU time of the threads that forward media.",
        Counter packets_sent "Datagrams sent.",
        Counter bytes_sent "Bytes sent.",
        Counter stun_requests "Connectivity checks received from peers.",
        Counter checks_sent "Connectivity checks sent to peers to validate their addresses.",
        Counter peer_moves "Path migrations: changes of a peer's selected address.",
        Counter dtls_records "DTLS records passed to handshakes.",
        Counter events_dropped "Events lost because the control plane did not read them in time.",
        Gauge transports "Transports open.",
        Gauge publishers "Publishers in the media core.",
        Gauge subscribers "Subscribers in the media core.",
        Gauge tcp_connections "Connections open to the media port (TCP).",
        Counter tcp_accepted "Connections accepted on the media port (TCP).",
        Counter tcp_refused "Connections refused at the limits, in total or of one address.",
        Counter tcp_bad_frames "Connections closed because of invalid framing, or media before a check.",
        Counter tcp_expired "Connections closed without a valid check in time.",
        Counter tcp_gave_way "Connections without a valid check, closed at the limit in favor of a new one.",
    }
}

/// Counters since start, and dropped packets by reason.
#[derive(Clone, Debug)]
pub(crate) struct NetworkCounters {
    totals: NetworkTotals,
    drops: [u64; NetworkDrop::ALL.len()],
}

/// Arrays of more than 32 have no default of their own.
impl Default for NetworkCounters {
    fn default() -> Self {
        Self {
            totals: NetworkTotals::default(),
            drops: [0; NetworkDrop::ALL.len()],
        }
    }
}

impl std::ops::Deref for NetworkCounters {
    type Target = NetworkTotals;

    fn deref(&self) -> &NetworkTotals {
        &self.totals
    }
}

impl std::ops::DerefMut for NetworkCounters {
    fn deref_mut(&mut self) -> &mut NetworkTotals {
        &mut self.totals
    }
}

impl NetworkCounters {
    pub(crate) fn sent(&mut self, packets: usize, bytes: usize) {
        self.packets_sent += packets as u64;
        self.bytes_sent += bytes as u64;
    }

    pub(crate) fn drop_packets(&mut self, reason: NetworkDrop, packets: usize) {
        self.drops[reason as usize] += packets as u64;
    }

    #[cfg(test)]
    pub(crate) fn dropped(&self, reason: NetworkDrop) -> u64 {
        self.drops[reason as usize]
    }

    fn values(&self) -> impl Iterator<Item = u64> + '_ {
        self.totals.totals().chain(self.drops.iter().copied())
    }
}

/// Every counter except the drops, network first.
pub fn counter_infos() -> impl Iterator<Item = &'static CounterInfo> {
    NetworkTotals::INFO.iter().chain(ForwardTotals::INFO)
}

/// Name and help text of every drop reason, network first.
pub fn drop_reasons() -> impl Iterator<Item = (&'static str, &'static str)> {
    let network = NetworkDrop::ALL.iter();
    let forward = DropReason::ALL.iter();
    network
        .map(|reason| (reason.name(), reason.help()))
        .chain(forward.map(|reason| (reason.name(), reason.help())))
}

/// All counters by name, written by the worker thread and readable by any thread.
pub(crate) struct SharedCounters {
    names: Vec<String>,
    values: Vec<AtomicU64>,
}

impl SharedCounters {
    pub(crate) fn new() -> Self {
        let drop = |name: &str| format!("drop.{name}");
        let total = |info: &CounterInfo| info.name.to_owned();
        let network = NetworkTotals::INFO.iter().map(total);
        let forward = ForwardTotals::INFO.iter().map(total);
        let names: Vec<String> = network
            .chain(NetworkDrop::ALL.iter().map(|reason| drop(reason.name())))
            .chain(forward)
            .chain(DropReason::ALL.iter().map(|reason| drop(reason.name())))
            .collect();
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
        for (value, total) in self.values.iter().zip(counters.values()) {
            value.store(total, Ordering::Relaxed);
        }
    }

    /// Adds a session's counts since `published`, and updates `published`.
    pub(crate) fn add_forward(&self, counters: &ForwardCounters, published: &mut Vec<u64>) {
        let start = NetworkTotals::INFO.len() + NetworkDrop::ALL.len();
        published.resize(self.values.len() - start, 0);
        let known = self.values[start..].iter().zip(published);
        for ((value, before), total) in known.zip(counters.values()) {
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
    fn counter_names_are_unique_and_every_reason_has_a_counter() {
        let shared = SharedCounters::new();
        let names: Vec<&str> = shared.read().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        for (reason, help) in drop_reasons() {
            assert!(
                names.contains(&format!("drop.{reason}").as_str()),
                "{reason}"
            );
            assert!(!help.is_empty(), "{reason}");
        }
        for info in counter_infos() {
            assert!(names.contains(&info.name), "{}", info.name);
        }
    }

    #[test]
    fn network_counters_are_read_by_name() {
        let shared = SharedCounters::new();
        let mut counters = NetworkCounters::default();
        counters.totals.stun_requests = 7;
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
