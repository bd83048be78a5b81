//! Detects a downlink that no longer reaches its peer, from the intervals between the peer's
//! packets.
//!
//! A network that fails usually fails in both directions, without an error. When a peer that
//! reported regularly falls silent although packets are sent to it, it is probed at its selected
//! address and, without a response, at every address that its checks came from. Pure: time is a
//! parameter.

use std::time::{Duration, Instant};

/// Receivers report at least this often; a peer that reports less often is not monitored.
const MAX_REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// Minimum silence that raises suspicion: longer than browsers ever delay feedback (250 ms).
const MIN_SILENCE: Duration = Duration::from_millis(260);
/// With fewer packets than this, a peer may have nothing to report.
const MIN_SENT_PACKETS: u32 = 5;
/// How long the selected address has to respond before the others are probed too.
const SELECTED_TIMEOUT: Duration = Duration::from_millis(120);
/// Interval between probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(60);
/// Number of fast probes; later ones follow at `SLOW_PROBE_INTERVAL`.
const MAX_FAST_PROBES: u32 = 16;
const SLOW_PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// This many packets count as a response: some peers do not respond to probes.
const MIN_RECEIVED: u32 = 3;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// Probe the selected address.
    ProbeSelected,
    /// Probe every address that the peer's checks came from.
    ProbeAll,
}

#[derive(Clone, Copy, Debug)]
struct Suspicion {
    since: Instant,
    probes: u32,
    received: u32,
}

/// The reachability state of one peer.
#[derive(Clone, Copy, Debug)]
pub struct Reachability {
    last_received: Option<Instant>,
    /// Longest usual interval between two packets of the peer.
    report_interval: Duration,
    /// Packets sent since the peer's last packet.
    sent: u32,
    suspicion: Option<Suspicion>,
}

impl Default for Reachability {
    fn default() -> Self {
        Self {
            last_received: None,
            report_interval: 2 * MAX_REPORT_INTERVAL,
            sent: 0,
            suspicion: None,
        }
    }
}

impl Reachability {
    /// A packet left for the peer.
    pub fn on_sent(&mut self) {
        self.sent = self.sent.saturating_add(1);
    }

    /// An authentic packet arrived from the selected address.
    pub fn on_packet(&mut self, now: Instant) {
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.received += 1;
            if suspicion.received < MIN_RECEIVED {
                return;
            }
        }
        if let Some(before) = self.last_received {
            let interval = now
                .saturating_duration_since(before)
                .min(2 * MAX_REPORT_INTERVAL);
            self.report_interval = if interval > self.report_interval {
                interval
            } else {
                (self.report_interval * 7 + interval) / 8
            };
        }
        self.on_response(now);
    }

    /// The peer responded at the selected address, or another address was selected.
    pub fn on_response(&mut self, now: Instant) {
        self.last_received = Some(now);
        self.sent = 0;
        self.suspicion = None;
    }

    /// Whether the peer is being probed and has not responded yet.
    pub fn is_suspected(&self) -> bool {
        self.suspicion.is_some()
    }

    /// The step due now, and when to call again.
    pub fn handle_timeout(&mut self, now: Instant) -> (Step, Instant) {
        let Some(suspicion) = &mut self.suspicion else {
            return self.consider(now);
        };
        suspicion.probes += 1;
        let step = if now.saturating_duration_since(suspicion.since) < SELECTED_TIMEOUT {
            Step::ProbeSelected
        } else {
            Step::ProbeAll
        };
        let interval = if suspicion.probes < MAX_FAST_PROBES {
            PROBE_INTERVAL
        } else {
            SLOW_PROBE_INTERVAL
        };
        (step, now + interval)
    }

    fn consider(&mut self, now: Instant) -> (Step, Instant) {
        let silence = MIN_SILENCE.max(2 * self.report_interval);
        let due = self
            .last_received
            .map_or(now + silence, |last_received| last_received + silence);
        if now < due {
            return (Step::Wait, due);
        }
        if self.report_interval > MAX_REPORT_INTERVAL || self.sent < MIN_SENT_PACKETS {
            return (Step::Wait, now + silence);
        }
        self.suspicion = Some(Suspicion {
            since: now,
            probes: 1,
            received: 0,
        });
        (Step::ProbeSelected, now + PROBE_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// A peer that sent a packet every `interval` for five seconds, and the end of that time.
    fn after_a_call(interval: Duration) -> (Reachability, Instant) {
        let (mut peer, mut now) = (Reachability::default(), Instant::now());
        let end = now + ms(5_000);
        while now < end {
            now += interval;
            for _ in 0..10 {
                peer.on_sent();
            }
            peer.on_packet(now);
        }
        (peer, now)
    }

    fn send(peer: &mut Reachability) {
        for _ in 0..10 {
            peer.on_sent();
        }
    }

    /// The steps until `limit`, each with the milliseconds since `now`.
    fn steps(peer: &mut Reachability, now: Instant, limit: Duration) -> Vec<(u64, Step)> {
        let (mut at, mut found) = (now, Vec::new());
        while at <= now + limit {
            let (step, next) = peer.handle_timeout(at);
            if step != Step::Wait {
                found.push(((at - now).as_millis() as u64, step));
            }
            assert!(next > at);
            at = next;
        }
        found
    }

    #[test]
    fn a_silent_peer_is_probed_at_its_address_and_soon_at_all() {
        let (mut peer, now) = after_a_call(ms(100));
        send(&mut peer);
        let found = steps(&mut peer, now, ms(1_000));
        assert_eq!(found[0], (260, Step::ProbeSelected));
        let to_all = found.iter().find(|(_, step)| *step == Step::ProbeAll);
        assert!(to_all.is_some_and(|(at, _)| *at <= 400), "{found:?}");
        assert!(peer.is_suspected());
    }

    #[test]
    fn a_response_ends_the_probes() {
        let (mut peer, now) = after_a_call(ms(100));
        send(&mut peer);
        steps(&mut peer, now, ms(300));
        peer.on_response(now + ms(310));
        assert!(!peer.is_suspected());
        send(&mut peer);
        assert!(steps(&mut peer, now + ms(310), ms(250)).is_empty());
    }

    #[test]
    fn peers_that_report_rarely_or_are_sent_nothing_are_never_probed() {
        let (mut seldom, now) = after_a_call(ms(1_000));
        send(&mut seldom);
        assert!(steps(&mut seldom, now, ms(5_000)).is_empty());
        let (mut idle, now) = after_a_call(ms(100));
        assert!(steps(&mut idle, now, ms(5_000)).is_empty());
        assert!(steps(&mut Reachability::default(), now, ms(5_000)).is_empty());
    }

    #[test]
    fn a_peer_that_ignores_probes_but_keeps_sending_is_trusted() {
        let (mut peer, now) = after_a_call(ms(100));
        send(&mut peer);
        steps(&mut peer, now, ms(300));
        for _ in 0..MIN_RECEIVED {
            assert!(peer.is_suspected());
            peer.on_packet(now + ms(320));
        }
        assert!(!peer.is_suspected());
    }

    #[test]
    fn peers_that_report_slowly_get_more_time() {
        let (mut peer, now) = after_a_call(ms(250));
        send(&mut peer);
        let found = steps(&mut peer, now, ms(2_000));
        assert!((500..=640).contains(&found[0].0), "{found:?}");
    }

    #[test]
    fn probes_become_rare_without_a_response() {
        let (mut peer, now) = after_a_call(ms(100));
        send(&mut peer);
        let found = steps(&mut peer, now, ms(30_000));
        assert!(found.len() < 50, "{}", found.len());
    }
}
