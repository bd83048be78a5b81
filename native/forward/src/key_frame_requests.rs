//! When a publisher is asked for a key frame (RFC 4585 section 6.3.1).
//!
//! The requests of all receivers become one request per encoding. All encodings of an up track
//! share one request budget, because many encoders answer any request with key frames of all
//! encodings.

use std::time::{Duration, Instant};

/// The retry time of a silent encoding doubles at most this often: to 8 times.
const MAX_DOUBLINGS: u32 = 3;

/// The pending request of one encoding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyFrameRequests {
    /// Not before this time.
    wanted: Option<Instant>,
    asked: Option<Instant>,
    unanswered: u32,
    since: Instant,
}

impl KeyFrameRequests {
    /// For an encoding that starts at `since`.
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

    /// Requests a key frame unless one arrives before `due`.
    pub(crate) fn want_after(&mut self, due: Instant) {
        self.wanted.get_or_insert(due);
    }

    /// Whether a key frame is requested, or will be as soon as the budget allows.
    pub(crate) fn is_wanted(&self, now: Instant) -> bool {
        self.wanted.is_some_and(|due| due <= now)
    }

    pub(crate) fn handle_key_frame(&mut self) {
        self.wanted = None;
        self.unanswered = 0;
    }

    /// Whether the request is due. `patience`: the time allowed for an answer.
    pub(crate) fn is_due(&self, now: Instant, patience: Duration, live: bool) -> bool {
        let doublings = if live { 0 } else { self.doublings() };
        self.due(patience, doublings).is_some_and(|at| at <= now)
    }

    /// Sends the request if one is wanted; returns whether it is.
    pub(crate) fn ask(&mut self, now: Instant) -> bool {
        let wanted = self.is_wanted(now);
        if wanted {
            self.asked = Some(now);
            self.unanswered += 1;
        }
        wanted
    }

    /// When the request is due. A time in the past means now; `None`: no request. Active encodings
    /// are checked with each packet, so their request may go out earlier.
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

/// A token bucket, stored as the time when it is full again.
#[derive(Clone, Copy, Debug, Default)]
struct Allowance {
    full: Option<Instant>,
}

impl Allowance {
    /// When the next token is available. `None`: now.
    fn due(&self, period: Duration, burst: u32) -> Option<Instant> {
        self.full?.checked_sub(period * burst.saturating_sub(1))
    }

    fn spend(&mut self, now: Instant, period: Duration) {
        self.full = Some(self.full.map_or(now, |full| full.max(now)) + period);
    }
}

/// The request budget of one publisher: a short burst, as when several subscribers join, then half
/// the rate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UpTrackBudget {
    last: Option<Instant>,
    allowance: Allowance,
}

const UP_TRACK_BURST: u32 = 4;

impl UpTrackBudget {
    /// When the publisher may be asked again. `None`: now.
    pub(crate) fn due(&self, interval: Duration) -> Option<Instant> {
        let next = self.last.map(|at| at + interval);
        next.max(self.allowance.due(interval * 2, UP_TRACK_BURST))
    }

    pub(crate) fn spend(&mut self, now: Instant, interval: Duration) {
        self.last = Some(now);
        self.allowance.spend(now, interval * 2);
    }
}

/// The request budget of one receiver. Several losses in a row are normal; more requests than this
/// come from a broken or hostile receiver.
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

    /// Milliseconds at which an unanswered request is sent within `seconds`.
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
