//! When a client pings, takes its WebSocket for dead, tries again, and gives up.

use std::time::Duration;

use sealroute_rules::{
    DEFAULT_GRACE, DEFAULT_KEEP_ALIVE, FIRST_RETRY, MAX_GRACE, MAX_KEEP_ALIVE, MAX_RETRY,
    MIN_KEEP_ALIVE, OPEN_TIMEOUT, PASSING, RECONNECT_FOR, STAYED_UP,
};

/// What a client does about its WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send a `ping`.
    Ping,
    /// Close it: nothing came for two intervals.
    Drop,
    /// Open one, and send `hello`.
    Open,
    /// It is over.
    GiveUp,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing is open, and nothing may be opened before this.
    Waiting(Duration),
    /// Until then.
    Opening(Duration),
    Up {
        since: Duration,
        heard: Duration,
        pinged: Option<Duration>,
    },
    /// To be closed; it was up since then.
    Dropped {
        since: Option<Duration>,
    },
    Over,
}

/// The life of one connection over all its WebSockets.
#[derive(Debug)]
pub struct Recovery {
    state: State,
    keep_alive: Duration,
    grace: Duration,
    backoff: Duration,
    /// Since when no WebSocket was of use.
    lost: Option<Duration>,
    is_joined: bool,
}

impl Recovery {
    /// To be opened at once.
    pub fn new(now: Duration) -> Self {
        Self {
            state: State::Waiting(now),
            keep_alive: DEFAULT_KEEP_ALIVE,
            grace: DEFAULT_GRACE,
            backoff: FIRST_RETRY,
            lost: None,
            is_joined: false,
        }
    }

    /// Once for each step that is due.
    pub fn poll(&mut self, now: Duration) -> Option<Step> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        let patience = self.grace.max(RECONNECT_FOR);
        let (next, step) = match self.state {
            State::Waiting(_) if self.lost.is_some_and(|lost| lost + patience <= now) => {
                (State::Over, Step::GiveUp)
            }
            State::Waiting(_) => (State::Opening(now + OPEN_TIMEOUT), Step::Open),
            State::Up {
                since,
                heard,
                pinged: None,
            } => (
                State::Up {
                    since,
                    heard,
                    pinged: Some(now),
                },
                Step::Ping,
            ),
            State::Up { since, .. } => (State::Dropped { since: Some(since) }, Step::Drop),
            State::Opening(_) => (State::Dropped { since: None }, Step::Drop),
            State::Dropped { .. } | State::Over => return None,
        };
        self.state = next;
        Some(step)
    }

    /// When [`Self::poll`] has something to say, if nothing else happens.
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Waiting(until) | State::Opening(until) => Some(until),
            State::Up { heard, pinged, .. } => Some(pinged.unwrap_or(heard) + self.keep_alive),
            State::Dropped { .. } | State::Over => None,
        }
    }

    /// A welcome that was accepted, with the server's times within what they are for.
    pub fn on_welcome(&mut self, keep_alive_ms: u64, grace_ms: u64, now: Duration) {
        self.keep_alive =
            Duration::from_millis(keep_alive_ms).clamp(MIN_KEEP_ALIVE, MAX_KEEP_ALIVE);
        self.grace = Duration::from_millis(grace_ms).min(MAX_GRACE);
        self.is_joined = true;
        self.state = State::Up {
            since: now,
            heard: now,
            pinged: None,
        };
    }

    /// Any message came.
    pub fn on_message(&mut self, now: Duration) {
        if let State::Up { heard, pinged, .. } = &mut self.state {
            (*heard, *pinged) = (now, None);
        }
    }

    /// The WebSocket is open; the welcome gets its own time.
    pub fn on_open(&mut self, now: Duration) {
        if let State::Opening(until) = &mut self.state {
            *until = now + OPEN_TIMEOUT;
        }
    }

    /// The WebSocket is gone, or did not come to be. True if this is the end: a client that was
    /// never let in does not try again, its application may. `random`: 0 to 255, spreads the
    /// clients of a session.
    pub fn on_lost(&mut self, random: u8, now: Duration) -> bool {
        let since = match self.state {
            State::Over => return true,
            State::Up { since, .. } => Some(since),
            State::Dropped { since } => since,
            State::Waiting(_) | State::Opening(_) => None,
        };
        if !self.is_joined {
            self.state = State::Over;
            return true;
        }
        let until = if since.is_some_and(|since| since + STAYED_UP <= now) {
            (self.lost, self.backoff) = (Some(now), FIRST_RETRY);
            now
        } else {
            // A server that lets a client in and ends it at once has no more time than one that
            // does not answer.
            now + self.pause(random)
        };
        self.lost.get_or_insert(now);
        self.state = State::Waiting(until);
        false
    }

    /// The server refused a `hello`. True if this is the end.
    pub fn on_refused(&mut self, code: &str, random: u8, now: Duration) -> bool {
        if PASSING.contains(&code) {
            return self.on_lost(random, now);
        }
        self.state = State::Over;
        true
    }

    /// The application left, or the server said that it is over.
    pub fn on_end(&mut self) {
        self.state = State::Over;
    }

    /// Half of the wait at least, all of it at most.
    fn pause(&mut self, random: u8) -> Duration {
        let wait = self.backoff;
        self.backoff = (2 * wait).min(MAX_RETRY);
        wait / 2 + wait * u32::from(random) / 510
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Recovery, Step};

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn up(now: Duration) -> Recovery {
        let mut recovery = Recovery::new(now);
        assert_eq!(recovery.poll(now), Some(Step::Open));
        assert_eq!(recovery.poll(now), None);
        recovery.on_welcome(10_000, 15_000, now);
        recovery
    }

    #[test]
    fn a_silent_websocket_is_pinged_and_then_dropped() {
        let mut recovery = up(s(0));
        assert_eq!(recovery.poll(s(9)), None);
        assert_eq!(recovery.poll(s(10)), Some(Step::Ping));
        assert_eq!(recovery.poll(s(11)), None);
        recovery.on_message(s(12));
        assert_eq!(recovery.deadline(), Some(s(22)));
        assert_eq!(recovery.poll(s(22)), Some(Step::Ping));
        assert_eq!(recovery.poll(s(32)), Some(Step::Drop));
    }

    #[test]
    fn a_websocket_that_does_not_open_or_welcome_in_time_is_dropped() {
        let mut recovery = Recovery::new(s(0));
        recovery.poll(s(0));
        assert_eq!(recovery.deadline(), Some(s(10)));
        recovery.on_open(s(4));
        assert_eq!(recovery.poll(s(10)), None);
        assert_eq!(recovery.poll(s(14)), Some(Step::Drop));
        assert_eq!(recovery.poll(s(99)), None);
        assert!(recovery.on_lost(0, s(99)));
        assert_eq!(recovery.deadline(), None);
    }

    #[test]
    fn the_times_of_a_server_are_bounded() {
        let mut recovery = up(s(0));
        recovery.on_welcome(0, u64::MAX, s(0));
        assert_eq!(recovery.deadline(), Some(Duration::from_millis(100)));
        recovery.on_welcome(u64::MAX, 0, s(0));
        assert_eq!(recovery.deadline(), Some(s(120)));
    }

    #[test]
    fn a_websocket_that_was_of_use_is_replaced_at_once_others_after_longer_and_longer_waits() {
        let mut recovery = up(s(0));
        recovery.on_lost(255, s(60));
        assert_eq!(recovery.poll(s(60)), Some(Step::Open));
        let mut now = s(60);
        let mut waits = Vec::new();
        for _ in 0..6 {
            recovery.on_lost(255, now);
            let until = recovery.deadline().unwrap();
            waits.push(until.saturating_sub(now).as_millis());
            now = until;
            assert_eq!(recovery.poll(now), Some(Step::Open));
        }
        assert_eq!(waits, [200, 400, 800, 1_600, 3_000, 3_000]);
        recovery.on_lost(0, now);
        assert_eq!(
            recovery.deadline(),
            Some(now + Duration::from_millis(1_500))
        );
    }

    #[test]
    fn two_minutes_without_a_websocket_of_use_are_the_end() {
        for lets_in in [false, true] {
            let mut recovery = up(s(0));
            let mut now = s(60);
            recovery.on_lost(128, now);
            let ended = loop {
                match recovery.poll(now) {
                    Some(Step::GiveUp) => break now,
                    Some(Step::Open) if lets_in => {
                        recovery.on_welcome(10_000, 15_000, now);
                        now += s(1);
                    }
                    _ => {}
                }
                recovery.on_lost(128, now);
                now = recovery.deadline().unwrap();
            };
            assert!((s(180)..s(184)).contains(&ended), "{ended:?}");
            assert_eq!(recovery.poll(ended), None);
        }
    }

    #[test]
    fn a_refusal_that_passes_is_tried_again_any_other_is_the_end() {
        let mut recovery = up(s(0));
        recovery.on_lost(0, s(60));
        recovery.poll(s(60));
        assert!(!recovery.on_refused("overloaded", 0, s(60)));
        assert_eq!(recovery.poll(s(61)), Some(Step::Open));
        assert!(recovery.on_refused("token_expired", 0, s(61)));
        assert_eq!(recovery.deadline(), None);
    }
}
