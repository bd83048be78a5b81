//! Whether the peer is really at an address: whoever writes a false source into a check of its own
//! must not turn a stream on somebody else (RFC 9000, section 8, is the model).
//!
//! An address is proven by an answer to a check of ours. Until then it gets a few bytes for those
//! that came from it. Pure: time is a parameter.

use std::time::{Duration, Instant};

/// An address that has not proven_at gets at most so many times the bytes that came from it.
const AMPLIFICATION_LIMIT: u32 = 3;
/// And no more than this in all: a handshake fits, media does not.
const MAX_UNPROVEN_BYTES: u32 = 10_000;
/// An answer is worth as much as consent is by RFC 7675: longer ago, it proves nothing.
const PROOF_LIFETIME: Duration = Duration::from_secs(30);
/// From this age on a proof that is in use is made again.
const RENEW_AFTER: Duration = Duration::from_secs(10);
const RENEW_INTERVAL: Duration = Duration::from_secs(1);
/// Doubled with each check that gets no answer. Networks answer within this for the most part, and
/// a peer that moves waits no longer for a lost datagram.
const FIRST_RETRY: Duration = Duration::from_millis(80);
/// So many checks without an answer, and the address is given up until a check comes from there.
const MAX_PROBES: u32 = 6;

/// What is known of one address.
#[derive(Clone, Copy, Debug, Default)]
pub struct PathProof {
    /// Nobody can have a connection from an address that is not theirs.
    connected: bool,
    proven_at: Option<Instant>,
    received_bytes: u32,
    sent_bytes: u32,
    /// Checks of ours since the last answer.
    probes: u32,
    probed_at: Option<Instant>,
}

impl PathProof {
    /// Of an address that datagrams, or a connection's packets, come from.
    pub fn new(connected: bool) -> Self {
        Self {
            connected,
            ..Self::default()
        }
    }

    /// Whether the peer is there.
    pub fn is_proven(&self, now: Instant) -> bool {
        let fresh = |at| now.saturating_duration_since(at) < PROOF_LIFETIME;
        self.connected || self.proven_at.is_some_and(fresh)
    }

    /// A check or handshake datagram came from there.
    pub fn on_received(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.received_bytes = self.received_bytes.saturating_add(bytes);
    }

    /// Whether so many bytes may go there, which are counted then.
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

    /// A check of ours is sent_bytes there.
    pub fn on_probe_sent(&mut self, now: Instant) {
        self.probes = self.probes.saturating_add(1);
        self.probed_at = Some(now);
    }

    /// The peer proven_at it.
    pub fn on_response(&mut self, now: Instant) {
        self.proven_at = Some(now);
        (self.received_bytes, self.sent_bytes, self.probes) = (0, 0, 0);
    }

    /// Checks of ours were made with credentials that the peer has no more.
    pub fn restart_probes(&mut self) {
        (self.probes, self.probed_at) = (0, None);
    }

    /// A check came from there: whether it is proven_at with one of ours as well.
    pub fn needs_probe(&self, now: Instant) -> bool {
        let age = |at| now.saturating_duration_since(at);
        let settled = self.connected || self.proven_at.is_some_and(|at| age(at) < RENEW_AFTER);
        !settled && self.probed_at.is_none_or(|at| age(at) >= FIRST_RETRY)
    }

    /// When the next check of ours is due, for an address that is in use or is to be. None: it is
    /// given up.
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
