//! When a publisher is asked for a key frame of one encoding (RFC 4585 section 6.3.1).
//!
//! Every request of every receiver becomes one wish; the publisher is asked at once, and again
//! each interval until the key frame begins.

use std::time::{Duration, Instant};

/// One encoding's wish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyFrameRequests {
    wanted: bool,
    asked: Option<Instant>,
    since: Instant,
}

impl KeyFrameRequests {
    /// Of an encoding that begins at `since`.
    pub(crate) fn new(since: Instant) -> Self {
        Self {
            wanted: false,
            asked: None,
            since,
        }
    }

    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    pub(crate) fn handle_key_frame(&mut self) {
        self.wanted = false;
    }

    /// True when the publisher is to be asked now.
    pub(crate) fn poll(&mut self, now: Instant, interval: Duration) -> bool {
        let due = self.poll_timeout(interval).is_some_and(|at| at <= now);
        if due {
            self.asked = Some(now);
        }
        due
    }

    /// When to ask; in the past when it is due. `None` while nothing is wanted.
    pub(crate) fn poll_timeout(&self, interval: Duration) -> Option<Instant> {
        let due = self.asked.map_or(self.since, |at| at + interval);
        self.wanted.then_some(due)
    }
}

/// What one receiver may ask for: a burst, then a steady trickle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestBudget {
    tokens: f32,
    filled: Option<Instant>,
}

/// Several losses in a row are normal; more than this is a broken or hostile receiver.
const BURST: f32 = 5.0;
const PER_SECOND: f32 = 0.5;

impl Default for RequestBudget {
    fn default() -> Self {
        Self {
            tokens: BURST,
            filled: None,
        }
    }
}

impl RequestBudget {
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let elapsed = self
            .filled
            .map_or(0.0, |at| now.duration_since(at).as_secs_f32());
        self.tokens = (self.tokens + elapsed * PER_SECOND).min(BURST);
        self.filled = Some(now);
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }
}
