//! Whether the peer is really at an address: whoever writes a false source into a check of its own
//! must not turn a stream on somebody else (RFC 9000, section 8, is the model).
//!
//! An address is proven by an answer to a check of ours. Until then it gets a few bytes for those
//! that came from it. Pure: time is a parameter.

use std::time::{Duration, Instant};

/// An address that has not answered gets at most so many times the bytes that came from it.
const MOST_TIMES: u32 = 3;
/// And no more than this in all: a handshake fits, media does not.
const MOST_BYTES: u32 = 10_000;
/// An answer is worth as much as consent is by RFC 7675: longer ago, it proves nothing.
const PROVEN_FOR: Duration = Duration::from_secs(30);
/// From this age on a proof that is in use is made again.
const RENEW_AFTER: Duration = Duration::from_secs(10);
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// Doubled with each check that gets no answer. Networks answer within this for the most part, and
/// a peer that moves waits no longer for a lost datagram.
const ASK_FIRST: Duration = Duration::from_millis(80);
/// So many checks without an answer, and the address is given up until a check comes from there.
const MOST_ASKED: u32 = 6;

/// What is known of one address.
#[derive(Clone, Copy, Debug, Default)]
pub struct PathProof {
    /// Nobody can have a connection from an address that is not theirs.
    connected: bool,
    answered: Option<Instant>,
    received: u32,
    sent: u32,
    /// Checks of ours since the last answer.
    asked: u32,
    asked_at: Option<Instant>,
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
        let fresh = |at| now.saturating_duration_since(at) < PROVEN_FOR;
        self.connected || self.answered.is_some_and(fresh)
    }

    /// A check or handshake datagram came from there.
    pub fn on_received(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.received = self.received.saturating_add(bytes);
    }

    /// Whether so many bytes may go there, which are counted then.
    pub fn spend(&mut self, now: Instant, bytes: usize) -> bool {
        if self.is_proven(now) {
            return true;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let total = self.sent.saturating_add(bytes);
        let allowed = total <= MOST_BYTES.min(self.received.saturating_mul(MOST_TIMES));
        if allowed {
            self.sent = total;
        }
        allowed
    }

    /// A check of ours is sent there.
    pub fn on_asked(&mut self, now: Instant) {
        self.asked = self.asked.saturating_add(1);
        self.asked_at = Some(now);
    }

    /// The peer answered it.
    pub fn on_answer(&mut self, now: Instant) {
        self.answered = Some(now);
        (self.received, self.sent, self.asked) = (0, 0, 0);
    }

    /// Checks of ours were made with credentials that the peer has no more.
    pub fn ask_anew(&mut self) {
        (self.asked, self.asked_at) = (0, None);
    }

    /// A check came from there: whether it is answered with one of ours as well.
    pub fn asks_back(&self, now: Instant) -> bool {
        let age = |at| now.saturating_duration_since(at);
        let settled = self.connected || self.answered.is_some_and(|at| age(at) < RENEW_AFTER);
        !settled && self.asked_at.is_none_or(|at| age(at) >= ASK_FIRST)
    }

    /// When the next check of ours is due, for an address that is in use or is to be. None: it is
    /// given up.
    pub fn next_ask(&self, now: Instant) -> Option<Instant> {
        if self.connected {
            return None;
        }
        if let (true, Some(answered)) = (self.is_proven(now), self.answered) {
            let due = answered + RENEW_AFTER;
            return Some(self.asked_at.map_or(due, |at| due.max(at + RENEW_EVERY)));
        }
        let asked_at = self.asked_at?;
        (self.asked < MOST_ASKED).then(|| asked_at + ASK_FIRST * (1 << (self.asked.max(1) - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_three_times_what_came_from_it_until_it_answers() {
        let (mut proof, now) = (PathProof::new(false), Instant::now());
        assert!(!proof.spend(now, 1));
        proof.on_received(104);
        assert!(proof.spend(now, 72) && proof.spend(now, 112) && proof.spend(now, 112));
        assert!(!proof.spend(now, 112));
        proof.on_answer(now);
        assert!(proof.spend(now, 1_000_000));
        assert!(
            proof.is_proven(
                (now + PROVEN_FOR)
                    .checked_sub(Duration::from_millis(1))
                    .unwrap()
            )
        );
        assert!(!proof.is_proven(now + PROVEN_FOR) && !proof.spend(now + PROVEN_FOR, 1));
    }

    #[test]
    fn however_much_comes_an_address_that_is_silent_gets_ten_kilobytes() {
        let (mut proof, now) = (PathProof::new(false), Instant::now());
        proof.on_received(usize::MAX);
        let spent = (0..1_000).filter(|_| proof.spend(now, 100)).count();
        assert_eq!(spent, 100);
    }

    #[test]
    fn a_silent_address_is_asked_a_few_times_and_given_up() {
        let (mut proof, mut now) = (PathProof::new(false), Instant::now());
        let start = now;
        assert!(proof.asks_back(now) && proof.next_ask(now).is_none());
        proof.on_asked(now);
        let mut asked = 1;
        while let Some(next) = proof.next_ask(now) {
            assert!(next > now);
            now = next;
            proof.on_asked(now);
            asked += 1;
        }
        assert_eq!(asked, MOST_ASKED);
        assert!(now - start < Duration::from_secs(3));
        assert!(proof.asks_back(now + ASK_FIRST));
    }

    #[test]
    fn a_proof_in_use_is_made_again_in_time() {
        let (mut proof, mut now) = (PathProof::new(false), Instant::now());
        proof.on_answer(now);
        assert!(!proof.asks_back(now));
        let (expires, mut asked) = (now + PROVEN_FOR, 0);
        while proof.is_proven(now) {
            now = proof.next_ask(now).unwrap();
            proof.on_asked(now);
            asked += 1;
        }
        assert!((15..=25).contains(&asked) && now >= expires, "{asked}");
    }

    #[test]
    fn a_connection_is_proof_enough() {
        let (mut proof, now) = (PathProof::new(true), Instant::now());
        assert!(proof.is_proven(now) && proof.spend(now, 1_000_000));
        assert!(!proof.asks_back(now) && proof.next_ask(now).is_none());
    }
}
