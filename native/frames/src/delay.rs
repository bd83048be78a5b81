//! How far one clock is from another, seen through a network that delays.
//!
//! The difference of arrival and sending is least where a packet did not wait, so the minimum of a
//! window is the clocks' difference and a constant. Clocks that run at different rates tilt the
//! window: the slopes of ten minutes say by how much.

use std::collections::VecDeque;

const SECOND_US: u64 = 1_000_000;
/// The window of the minimum: long enough for a packet that did not wait, short enough to follow a
/// new route.
const WINDOW_SECONDS: usize = 30;
/// After a longer pause, samples from before it say nothing.
const SILENCE_US: u64 = 60 * SECOND_US;
/// A point of the slopes is the minimum of so many seconds; there are 60 points.
const POINT_US: u64 = 10 * SECOND_US;
const POINTS: usize = 60;
/// With fewer, jitter would pass for drift.
const MIN_POINTS: usize = 4;
/// Worse than any crystal; what is beyond is no drift.
const MAX_DRIFT: f64 = 0.001;
/// A viewer does not notice that media runs faster or slower by a thousandth.
const SLEW: f64 = 0.001;
/// At the start, better samples come quickly and little was played.
const SETTLE_US: u64 = 2 * SECOND_US;
/// What slewing would take minutes to correct is corrected at once.
pub(crate) const STEP_US: f64 = 250_000.0;

/// The least difference of a time.
#[derive(Clone, Copy, Debug)]
struct Least {
    at_us: u64,
    difference_us: f64,
}

/// The difference of two clocks, moved slowly to what the samples say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delay {
    seconds: VecDeque<Least>,
    points: VecDeque<Least>,
    drift: f64,
    applied: Option<f64>,
    began_us: u64,
    moved_us: u64,
    steps: u64,
}

impl Delay {
    /// Takes a sample; times may go backwards a little.
    pub(crate) fn handle(&mut self, at_us: u64, difference_us: f64) {
        if at_us.saturating_sub(self.moved_us) > SILENCE_US {
            // Drift of so long a time is known to no sample.
            self.seconds.clear();
            self.points.clear();
        }
        keep_least(
            &mut self.seconds,
            at_us,
            difference_us,
            SECOND_US,
            WINDOW_SECONDS,
        );
        if keep_least(&mut self.points, at_us, difference_us, POINT_US, POINTS) {
            self.drift = slope(&self.points).unwrap_or(self.drift);
        }
        let target = self.target(at_us);
        let Some(applied) = self.applied else {
            self.applied = Some(target);
            (self.began_us, self.moved_us) = (at_us, at_us);
            return;
        };
        let elapsed = at_us.saturating_sub(self.moved_us);
        self.moved_us = self.moved_us.max(at_us);
        let error = target - applied;
        let settling = at_us.saturating_sub(self.began_us) < SETTLE_US;
        let most = elapsed as f64 * SLEW;
        let step = error.abs() > STEP_US;
        if step && !settling {
            self.steps += 1;
            self.points.clear();
        }
        let moved = if step || settling {
            error
        } else {
            error.clamp(-most, most)
        };
        self.applied = Some(applied + moved);
    }

    /// The difference in use.
    pub(crate) fn applied(&self) -> Option<f64> {
        self.applied
    }

    /// How far the difference in use is from what the samples say.
    pub(crate) fn correction_us(&self) -> f64 {
        self.applied
            .map_or(0.0, |applied| self.target(self.moved_us) - applied)
    }

    /// How often it was corrected at once.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// The same samples on a clock that is later by `by_us`.
    pub(crate) fn shifted(&self, by_us: f64) -> Self {
        let mut shifted = self.clone();
        let all = shifted.seconds.iter_mut().chain(&mut shifted.points);
        all.for_each(|least| least.difference_us -= by_us);
        shifted.applied = self.applied.map(|applied| applied - by_us);
        shifted
    }

    fn target(&self, at_us: u64) -> f64 {
        let moved =
            |least: &Least| least.difference_us + self.drift * (at_us as f64 - least.at_us as f64);
        let least = self.seconds.iter().map(moved).fold(f64::INFINITY, f64::min);
        if least.is_finite() { least } else { 0.0 }
    }
}

/// Keeps the least sample of each span; `true` when a span has ended.
fn keep_least(
    kept: &mut VecDeque<Least>,
    at_us: u64,
    difference_us: f64,
    span_us: u64,
    most: usize,
) -> bool {
    let sample = Least {
        at_us,
        difference_us,
    };
    if let Some(last) = kept.back_mut()
        && at_us / span_us <= last.at_us / span_us
    {
        if difference_us < last.difference_us && at_us / span_us == last.at_us / span_us {
            *last = sample;
        }
        return false;
    }
    kept.push_back(sample);
    if kept.len() > most {
        kept.pop_front();
    }
    true
}

/// The median of the slopes between all points (Theil-Sen): a new route does not pass for drift. The
/// last point is of a span that has just begun, and does not count.
fn slope(points: &VecDeque<Least>) -> Option<f64> {
    let count = points.len().saturating_sub(1);
    if count < MIN_POINTS {
        return None;
    }
    let mut slopes = Vec::with_capacity(count * (count - 1) / 2);
    for (index, one) in points.iter().take(count).enumerate() {
        for other in points.iter().take(index) {
            let elapsed = one.at_us as f64 - other.at_us as f64;
            slopes.push((one.difference_us - other.difference_us) / elapsed.max(1.0));
        }
    }
    slopes.sort_unstable_by(f64::total_cmp);
    Some(slopes[slopes.len() / 2].clamp(-MAX_DRIFT, MAX_DRIFT))
}
