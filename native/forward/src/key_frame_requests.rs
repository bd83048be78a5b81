//! When a publisher is asked for a key frame (RFC 4585 section 6.3.1).
//!
//! Requests of receivers become one wish of each encoding, and all wishes of an up track share what
//! its publisher may be asked: many encoders answer any request with key frames of all encodings.

use std::time::{Duration, Instant};

/// How much longer a silent encoding is waited for each time, at most: 8 times.
const MAX_DOUBLINGS: u32 = 3;

/// One encoding's wish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyFrameRequests {
    /// Not before this time.
    wanted: Option<Instant>,
    asked: Option<Instant>,
    unanswered: u32,
    since: Instant,
}

impl KeyFrameRequests {
    /// Of an encoding that begins at `since`.
    pub(crate) fn new(since: Instant) -> Self {
        Self {
            wanted: None,
            asked: None,
            unanswered: 0,
            since,
        }
    }

    pub(crate) fn want(&mut self) {
        self.wanted = Some(self.since);
    }

    /// Wants one unless it comes by itself before `due`.
    pub(crate) fn want_after(&mut self, due: Instant) {
        self.wanted.get_or_insert(due);
    }

    /// Whether the publisher has been asked, or is to be as soon as it may.
    pub(crate) fn is_wanted(&self, now: Instant) -> bool {
        self.wanted.is_some_and(|due| due <= now)
    }

    pub(crate) fn handle_key_frame(&mut self) {
        self.wanted = None;
        self.unanswered = 0;
    }

    /// Whether the publisher is to be asked now. `patience`: how long an answer may take.
    pub(crate) fn is_due(&self, now: Instant, patience: Duration, live: bool) -> bool {
        let doublings = if live { 0 } else { self.doublings() };
        self.due(patience, doublings).is_some_and(|at| at <= now)
    }

    /// The publisher is being asked: true when this is wanted too.
    pub(crate) fn ask(&mut self, now: Instant) -> bool {
        let wanted = self.is_wanted(now);
        if wanted {
            self.asked = Some(now);
            self.unanswered += 1;
        }
        wanted
    }

    /// When to ask; in the past when it is due. `None` while nothing is wanted. Encodings that
    /// send are looked at with each packet: they may be asked earlier.
    pub(crate) fn poll_timeout(&self, patience: Duration) -> Option<Instant> {
        self.due(patience, self.doublings())
    }

    fn doublings(&self) -> u32 {
        self.unanswered.saturating_sub(1).min(MAX_DOUBLINGS)
    }

    fn due(&self, patience: Duration, doublings: u32) -> Option<Instant> {
        let wanted = self.wanted?;
        let unanswered = self.asked.filter(|_| self.unanswered > 0);
        let again = unanswered.map(|at| at + patience * (1 << doublings));
        Some(again.map_or(wanted, |at| at.max(wanted)))
    }
}

/// A burst, then a steady trickle: a token bucket, kept as the time when it is full again.
#[derive(Clone, Copy, Debug, Default)]
struct Allowance {
    full: Option<Instant>,
}

impl Allowance {
    /// From when on one more is allowed; `None`: at any time.
    fn due(&self, period: Duration, burst: u32) -> Option<Instant> {
        self.full?.checked_sub(period * burst.saturating_sub(1))
    }

    fn spend(&mut self, now: Instant, period: Duration) {
        self.full = Some(self.full.map_or(now, |full| full.max(now)) + period);
    }
}

/// What one up track's publisher may be asked: soon after each other for a few times, as when
/// several join, then half as often.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UpTrackBudget {
    last: Option<Instant>,
    allowance: Allowance,
}

const UP_TRACK_BURST: u32 = 4;

impl UpTrackBudget {
    /// From when on the publisher may be asked again; `None`: at any time.
    pub(crate) fn due(&self, interval: Duration) -> Option<Instant> {
        let next = self.last.map(|at| at + interval);
        next.max(self.allowance.due(interval * 2, UP_TRACK_BURST))
    }

    pub(crate) fn spend(&mut self, now: Instant, interval: Duration) {
        self.last = Some(now);
        self.allowance.spend(now, interval * 2);
    }
}

/// What one receiver may ask for. Several losses in a row are normal; more than this is a broken
/// or hostile receiver.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestBudget {
    allowance: Allowance,
}

const RECEIVER_BURST: u32 = 5;
const RECEIVER_PERIOD: Duration = Duration::from_secs(2);

impl RequestBudget {
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let due = self.allowance.due(RECEIVER_PERIOD, RECEIVER_BURST);
        let granted = due.is_none_or(|due| due <= now);
        if granted {
            self.allowance.spend(now, RECEIVER_PERIOD);
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(500);
    const PATIENCE: Duration = Duration::from_secs(1);

    /// Milliseconds at which a wish is asked for within `seconds`, when nothing answers.
    fn asked(live: bool, seconds: u64) -> Vec<u64> {
        let start = Instant::now();
        let mut requests = KeyFrameRequests::new(start);
        requests.want();
        let at = |ms| start + Duration::from_millis(ms);
        (0..seconds * 1_000)
            .step_by(10)
            .filter(|&ms| requests.is_due(at(ms), PATIENCE, live) && requests.ask(at(ms)))
            .collect()
    }

    #[test]
    fn an_unanswered_request_is_repeated_and_less_often_where_nothing_arrives() {
        assert_eq!(asked(true, 4), [0, 1_000, 2_000, 3_000]);
        assert_eq!(asked(false, 30), [0, 1_000, 3_000, 7_000, 15_000, 23_000]);
    }

    #[test]
    fn the_timeout_of_a_silent_encoding_is_when_it_is_asked() {
        let start = Instant::now();
        let mut requests = KeyFrameRequests::new(start);
        assert_eq!(requests.poll_timeout(PATIENCE), None);
        requests.want();
        for _ in 0..6 {
            let due = requests.poll_timeout(PATIENCE).expect("wanted");
            let early = due.checked_sub(Duration::from_millis(1)).expect("early");
            assert!(!requests.is_due(early, PATIENCE, false));
            assert!(requests.is_due(due, PATIENCE, false));
            requests.ask(due);
        }
    }

    #[test]
    fn a_key_frame_that_comes_by_itself_is_not_asked_for() {
        let start = Instant::now();
        let mut requests = KeyFrameRequests::new(start);
        requests.want_after(start + INTERVAL);
        assert!(!requests.is_wanted(start));
        assert!(!requests.is_due(start, PATIENCE, true));
        assert!(!requests.ask(start));
        requests.handle_key_frame();
        assert!(!requests.is_due(start + INTERVAL, PATIENCE, true));
        requests.want_after(start + INTERVAL);
        assert!(requests.is_due(start + INTERVAL, PATIENCE, true));
    }

    #[test]
    fn an_up_track_is_asked_soon_for_a_few_times_and_then_half_as_often() {
        let start = Instant::now();
        let mut budget = UpTrackBudget::default();
        let asked: Vec<u64> = (0..8_000)
            .step_by(10)
            .filter(|&ms| {
                let now = start + Duration::from_millis(ms);
                let may = budget.due(INTERVAL).is_none_or(|due| due <= now);
                if may {
                    budget.spend(now, INTERVAL);
                }
                may
            })
            .collect();
        assert_eq!(
            asked,
            [
                0, 500, 1_000, 1_500, 2_000, 2_500, 3_000, 4_000, 5_000, 6_000, 7_000
            ]
        );
    }

    #[test]
    fn a_receiver_has_a_burst_and_then_one_in_two_seconds() {
        let start = Instant::now();
        let mut budget = RequestBudget::default();
        let granted = (0..10_000).filter(|&ms| budget.take(start + Duration::from_millis(ms)));
        assert_eq!(granted.count(), 5 + 4);
    }
}
