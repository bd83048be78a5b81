//! Address validation, modeled on RFC 9000, section 8: a check with a forged source address must
//! not direct a media stream at a third party.
//!
//! A response to a probe proves an address. Until then it is sent a small multiple of the bytes
//! that arrived from it. Pure: time is a parameter.

use std::time::{Duration, Instant};

/// An unproven address is sent at most this multiple of the bytes received from it (RFC 9000, 8.1).
const AMPLIFICATION_LIMIT: u32 = 3;
/// And at most this many bytes in all: enough for a DTLS handshake, too few for media.
const MAX_UNPROVEN_BYTES: u32 = 10_000;
/// A proof expires after this time, as consent does (RFC 7675).
const PROOF_LIFETIME: Duration = Duration::from_secs(30);
/// Age at which the proof of a path in use is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(10);
const RENEW_INTERVAL: Duration = Duration::from_secs(1);
/// Time to the first retry, doubled with each unanswered probe. Most networks respond within it,
/// and a lost datagram delays a migrating peer by no more than this.
const FIRST_RETRY: Duration = Duration::from_millis(80);
/// Unanswered probes after which the address is given up until a check arrives from it.
const MAX_PROBES: u32 = 6;

/// The validation state of one address.
#[derive(Clone, Copy, Debug, Default)]
pub struct PathProof {
    /// A TCP connection; its handshake has proven the address.
    connected: bool,
    proven_at: Option<Instant>,
    received_bytes: u32,
    sent_bytes: u32,
    /// Probes since the last response.
    probes: u32,
    probed_at: Option<Instant>,
}

impl PathProof {
    /// `connected`: the address is that of a TCP connection.
    pub fn new(connected: bool) -> Self {
        Self {
            connected,
            ..Self::default()
        }
    }

    /// Whether the peer has proven this address recently.
    pub fn is_proven(&self, now: Instant) -> bool {
        let fresh = |at| now.saturating_duration_since(at) < PROOF_LIFETIME;
        self.connected || self.proven_at.is_some_and(fresh)
    }

    /// A check or handshake datagram arrived from the address.
    pub fn on_received(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.received_bytes = self.received_bytes.saturating_add(bytes);
    }

    /// Whether this many bytes may be sent to the address; if so, they are deducted from its
    /// budget.
    pub fn spend(&mut self, now: Instant, bytes: usize) -> bool {
        if self.is_proven(now) {
            return true;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let total = self.sent_bytes.saturating_add(bytes);
        let allowed = total
            <= MAX_UNPROVEN_BYTES.min(self.received_bytes.saturating_mul(AMPLIFICATION_LIMIT));
        if allowed {
            self.sent_bytes = total;
        }
        allowed
    }

    /// A probe was sent to the address.
    pub fn on_probe_sent(&mut self, now: Instant) {
        self.probes = self.probes.saturating_add(1);
        self.probed_at = Some(now);
    }

    /// The peer responded to a probe.
    pub fn on_response(&mut self, now: Instant) {
        self.proven_at = Some(now);
        (self.received_bytes, self.sent_bytes, self.probes) = (0, 0, 0);
    }

    /// Forgets earlier probes: they carried credentials that the peer no longer has.
    pub fn restart_probes(&mut self) {
        (self.probes, self.probed_at) = (0, None);
    }

    /// Whether a check from this address should trigger a probe.
    pub fn needs_probe(&self, now: Instant) -> bool {
        let age = |at| now.saturating_duration_since(at);
        let settled = self.connected || self.proven_at.is_some_and(|at| age(at) < RENEW_AFTER);
        !settled && self.probed_at.is_none_or(|at| age(at) >= FIRST_RETRY)
    }

    /// When the next probe is due for an address that is selected or requested. `None`: given up,
    /// or not needed.
    pub fn next_probe(&self, now: Instant) -> Option<Instant> {
        if self.connected {
            return None;
        }
        if let (true, Some(proven_at)) = (self.is_proven(now), self.proven_at) {
            let due = proven_at + RENEW_AFTER;
            return Some(
                self.probed_at
                    .map_or(due, |at| due.max(at + RENEW_INTERVAL)),
            );
        }
        let probed_at = self.probed_at?;
        (self.probes < MAX_PROBES)
            .then(|| probed_at + FIRST_RETRY * (1 << (self.probes.max(1) - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_three_times_the_bytes_received_until_it_responds() {
        let (mut proof, now) = (PathProof::new(false), Instant::now());
        assert!(!proof.spend(now, 1));
        proof.on_received(104);
        assert!(proof.spend(now, 72) && proof.spend(now, 112) && proof.spend(now, 112));
        assert!(!proof.spend(now, 112));
        proof.on_response(now);
        assert!(proof.spend(now, 1_000_000));
        assert!(
            proof.is_proven(
                (now + PROOF_LIFETIME)
                    .checked_sub(Duration::from_millis(1))
                    .unwrap()
            )
        );
        assert!(!proof.is_proven(now + PROOF_LIFETIME) && !proof.spend(now + PROOF_LIFETIME, 1));
    }

    #[test]
    fn a_silent_address_gets_ten_kilobytes_at_most() {
        let (mut proof, now) = (PathProof::new(false), Instant::now());
        proof.on_received(usize::MAX);
        let spent = (0..1_000).filter(|_| proof.spend(now, 100)).count();
        assert_eq!(spent, 100);
    }

    #[test]
    fn a_silent_address_is_probed_a_few_times_and_given_up() {
        let (mut proof, mut now) = (PathProof::new(false), Instant::now());
        let start = now;
        assert!(proof.needs_probe(now) && proof.next_probe(now).is_none());
        proof.on_probe_sent(now);
        let mut probes = 1;
        while let Some(next) = proof.next_probe(now) {
            assert!(next > now);
            now = next;
            proof.on_probe_sent(now);
            probes += 1;
        }
        assert_eq!(probes, MAX_PROBES);
        assert!(now - start < Duration::from_secs(3));
        assert!(proof.needs_probe(now + FIRST_RETRY));
    }

    #[test]
    fn the_proof_of_a_path_in_use_is_renewed_in_time() {
        let (mut proof, mut now) = (PathProof::new(false), Instant::now());
        proof.on_response(now);
        assert!(!proof.needs_probe(now));
        let (expires, mut probes) = (now + PROOF_LIFETIME, 0);
        while proof.is_proven(now) {
            now = proof.next_probe(now).unwrap();
            proof.on_probe_sent(now);
            probes += 1;
        }
        assert!((15..=25).contains(&probes) && now >= expires, "{probes}");
    }

    #[test]
    fn a_connection_is_proof_enough() {
        let (mut proof, now) = (PathProof::new(true), Instant::now());
        assert!(proof.is_proven(now) && proof.spend(now, 1_000_000));
        assert!(!proof.needs_probe(now) && proof.next_probe(now).is_none());
    }
}
