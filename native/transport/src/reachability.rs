//! Whether a peer still gets what is sent to it, judged by how often it is heard.
//!
//! A network that goes takes both ways with it, and says nothing. A peer that was heard regularly
//! and then is not, although it is sent to, is asked by checks of ours; when it does not answer
//! where it was, it is asked wherever its own checks came from. Pure: time is a parameter.

use std::time::{Duration, Instant};

/// Receivers report on what they get at least this often; who speaks less is not judged.
const REGULAR: Duration = Duration::from_millis(500);
/// The least silence that counts: more than browsers ever wait with feedback (250 ms).
const QUIET: Duration = Duration::from_millis(260);
/// Fewer packets than this may leave a peer nothing to report.
const MIN_SENT: u32 = 5;
/// The selected address gets this time to answer before others are asked too.
const PATIENCE: Duration = Duration::from_millis(120);
/// Between checks of ours.
const INTERVAL: Duration = Duration::from_millis(60);
/// With the next ones a peer is asked no more often than this.
const MANY: u32 = 16;
const RARE_INTERVAL: Duration = Duration::from_secs(1);
/// So many packets after the question say as much as an answer: not every peer gives one.
const MIN_HEARD: u32 = 3;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// Ask at the selected address.
    AskSelected,
    /// Ask at every address that the peer's checks came from.
    AskEverywhere,
}

#[derive(Clone, Copy, Debug)]
struct Suspicion {
    since: Instant,
    asked: u32,
    heard: u32,
}

/// One peer's.
#[derive(Clone, Copy, Debug)]
pub struct Reachability {
    heard: Option<Instant>,
    /// The usual longest time between two packets of the peer.
    usual: Duration,
    /// Since the peer was heard.
    sent: u32,
    suspicion: Option<Suspicion>,
}

impl Default for Reachability {
    fn default() -> Self {
        Self {
            heard: None,
            usual: 2 * REGULAR,
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

    /// An authentic packet came from the selected address.
    pub fn on_heard(&mut self, now: Instant) {
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.heard += 1;
            if suspicion.heard < MIN_HEARD {
                return;
            }
        }
        if let Some(before) = self.heard {
            let interval = now.saturating_duration_since(before).min(2 * REGULAR);
            self.usual = if interval > self.usual {
                interval
            } else {
                (self.usual * 7 + interval) / 8
            };
        }
        self.on_answer(now);
    }

    /// The peer answered a check of ours from the selected address, or is at another one now.
    pub fn on_answer(&mut self, now: Instant) {
        self.heard = Some(now);
        self.sent = 0;
        self.suspicion = None;
    }

    /// Whether the peer was asked and has not answered yet.
    pub fn is_suspected(&self) -> bool {
        self.suspicion.is_some()
    }

    /// What is due now, and when to call again.
    pub fn handle_timeout(&mut self, now: Instant) -> (Step, Instant) {
        let Some(suspicion) = &mut self.suspicion else {
            return self.consider(now);
        };
        suspicion.asked += 1;
        let step = if now.saturating_duration_since(suspicion.since) < PATIENCE {
            Step::AskSelected
        } else {
            Step::AskEverywhere
        };
        let interval = if suspicion.asked < MANY {
            INTERVAL
        } else {
            RARE_INTERVAL
        };
        (step, now + interval)
    }

    fn consider(&mut self, now: Instant) -> (Step, Instant) {
        let quiet = QUIET.max(2 * self.usual);
        let due = self.heard.map_or(now + quiet, |heard| heard + quiet);
        if now < due {
            return (Step::Wait, due);
        }
        if self.usual > REGULAR || self.sent < MIN_SENT {
            return (Step::Wait, now + quiet);
        }
        self.suspicion = Some(Suspicion {
            since: now,
            asked: 1,
            heard: 0,
        });
        (Step::AskSelected, now + INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Heard every `interval` for five seconds up to the time that is returned.
    fn after_a_call(interval: Duration) -> (Reachability, Instant) {
        let (mut peer, mut now) = (Reachability::default(), Instant::now());
        let end = now + ms(5_000);
        while now < end {
            now += interval;
            for _ in 0..10 {
                peer.on_sent();
            }
            peer.on_heard(now);
        }
        (peer, now)
    }

    fn send(peer: &mut Reachability) {
        for _ in 0..10 {
            peer.on_sent();
        }
    }

    /// Steps until `limit`, with the time since `now`.
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
    fn a_peer_that_falls_silent_is_asked_where_it_was_and_soon_everywhere() {
        let (mut peer, now) = after_a_call(ms(100));
        send(&mut peer);
        let found = steps(&mut peer, now, ms(1_000));
        assert_eq!(found[0], (260, Step::AskSelected));
        let everywhere = found.iter().find(|(_, step)| *step == Step::AskEverywhere);
        assert!(everywhere.is_some_and(|(at, _)| *at <= 400), "{found:?}");
        assert!(peer.is_suspected());
    }

    #[test]
    fn an_answer_ends_the_questions() {
        let (mut peer, now) = after_a_call(ms(100));
        send(&mut peer);
        steps(&mut peer, now, ms(300));
        peer.on_answer(now + ms(310));
        assert!(!peer.is_suspected());
        send(&mut peer);
        assert!(steps(&mut peer, now + ms(310), ms(250)).is_empty());
    }

    #[test]
    fn who_is_heard_seldom_or_is_sent_nothing_is_never_asked() {
        let (mut seldom, now) = after_a_call(ms(1_000));
        send(&mut seldom);
        assert!(steps(&mut seldom, now, ms(5_000)).is_empty());
        let (mut idle, now) = after_a_call(ms(100));
        assert!(steps(&mut idle, now, ms(5_000)).is_empty());
        assert!(steps(&mut Reachability::default(), now, ms(5_000)).is_empty());
    }

    #[test]
    fn a_peer_that_never_answers_but_goes_on_speaking_is_believed() {
        let (mut peer, now) = after_a_call(ms(100));
        send(&mut peer);
        steps(&mut peer, now, ms(300));
        for _ in 0..MIN_HEARD {
            assert!(peer.is_suspected());
            peer.on_heard(now + ms(320));
        }
        assert!(!peer.is_suspected());
    }

    #[test]
    fn slow_reporters_get_more_time() {
        let (mut peer, now) = after_a_call(ms(250));
        send(&mut peer);
        let found = steps(&mut peer, now, ms(2_000));
        assert!((500..=640).contains(&found[0].0), "{found:?}");
    }

    #[test]
    fn questions_become_rare_when_nobody_answers() {
        let (mut peer, now) = after_a_call(ms(100));
        send(&mut peer);
        let found = steps(&mut peer, now, ms(30_000));
        assert!(found.len() < 50, "{}", found.len());
    }
}
