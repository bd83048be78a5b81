//! Detects whether the path's queue grows: the trendline filter and its adaptive threshold.
//!
//! Source: draft-ietf-rmcat-gcc-02 section 5; Carlucci et al., "Analysis and design of the Google
//! congestion control for WebRTC", for trend and threshold.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets sent within this time form one group.
const GROUP: Duration = Duration::from_millis(5);
const WINDOW: usize = 20;
const SMOOTHING: f64 = 0.9;
const GAIN: f64 = 4.0;
const MAX_COUNTED: usize = 60;
const FIRST_THRESHOLD_MS: f64 = 12.5;
const THRESHOLD_RANGE_MS: (f64, f64) = (6.0, 600.0);
const RISE: f64 = 0.0087;
const FALL: f64 = 0.039;
/// Spikes that exceed the threshold by more than this (a route change) do not move it.
const MAX_ADAPTED_MS: f64 = 15.0;
const OVERUSE_MS: f64 = 10.0;
/// A jump this large is a new path or a false clock, not a queue.
const MAX_STEP_MS: f64 = 3_000.0;
/// How long the smallest delay counts as that of an empty queue.
const BASE_WINDOW: Duration = Duration::from_secs(15);

/// The state of the path's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Usage {
    #[default]
    Normal,
    /// The queue grows.
    Over,
    /// The queue empties.
    Under,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent: Instant,
    last_sent: Instant,
    last_arrival_us: i64,
}

/// The delay trend of one path.
#[derive(Debug)]
pub(crate) struct TrendlineEstimator {
    group: Option<Group>,
    previous: Option<Group>,
    points: VecDeque<(f64, f64)>,
    began: Option<Instant>,
    accumulated_ms: f64,
    smoothed_ms: f64,
    groups: usize,
    threshold_ms: f64,
    over_for_ms: f64,
    last_trend: f64,
    usage: Usage,
    /// The smallest one-way delay (of unknown offset) of this window and of the previous one.
    base_us: [i64; 2],
    base_since: Option<Instant>,
    latest_us: i64,
}

impl Default for TrendlineEstimator {
    fn default() -> Self {
        Self {
            group: None,
            previous: None,
            points: VecDeque::with_capacity(WINDOW),
            began: None,
            accumulated_ms: 0.0,
            smoothed_ms: 0.0,
            groups: 0,
            threshold_ms: FIRST_THRESHOLD_MS,
            over_for_ms: 0.0,
            last_trend: 0.0,
            usage: Usage::Normal,
            base_us: [i64::MAX; 2],
            base_since: None,
            latest_us: 0,
        }
    }
}

impl TrendlineEstimator {
    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// The delay of the last packets above the recent minimum.
    pub(crate) fn queueing(&self) -> Duration {
        let base = self.base_us[0].min(self.base_us[1]);
        if base == i64::MAX {
            return Duration::ZERO;
        }
        Duration::from_micros(self.latest_us.saturating_sub(base).max(0) as u64)
    }

    /// Takes an arrived packet, in the order of sending.
    pub(crate) fn handle_arrival(&mut self, sent: Instant, arrival_us: i64) {
        let began = *self.began.get_or_insert(sent);
        self.note_delay(began, sent, arrival_us);
        let Some(group) = &mut self.group else {
            self.group = Some(Group {
                first_sent: sent,
                last_sent: sent,
                last_arrival_us: arrival_us,
            });
            return;
        };
        if sent < group.first_sent {
            return;
        }
        if sent.duration_since(group.first_sent) <= GROUP {
            group.last_sent = group.last_sent.max(sent);
            group.last_arrival_us = group.last_arrival_us.max(arrival_us);
            return;
        }
        let finished = *group;
        *group = Group {
            first_sent: sent,
            last_sent: sent,
            last_arrival_us: arrival_us,
        };
        if let Some(previous) = self.previous.replace(finished) {
            self.handle_groups(previous, finished);
        }
    }

    fn note_delay(&mut self, began: Instant, sent: Instant, arrival_us: i64) {
        let sent_us = sent.saturating_duration_since(began).as_micros() as i64;
        self.latest_us = arrival_us.saturating_sub(sent_us);
        let since = *self.base_since.get_or_insert(sent);
        if sent.saturating_duration_since(since) > BASE_WINDOW {
            self.base_us = [i64::MAX, self.base_us[0]];
            self.base_since = Some(sent);
        }
        self.base_us[0] = self.base_us[0].min(self.latest_us);
    }

    fn handle_groups(&mut self, previous: Group, group: Group) {
        let sent_ms = millis(
            group
                .last_sent
                .saturating_duration_since(previous.last_sent),
        );
        let arrived_ms = group
            .last_arrival_us
            .saturating_sub(previous.last_arrival_us) as f64
            / 1e3;
        let step_ms = arrived_ms - sent_ms;
        if step_ms.abs() > MAX_STEP_MS {
            *self = Self::default();
            return;
        }
        self.groups = (self.groups + 1).min(MAX_COUNTED);
        self.accumulated_ms += step_ms;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.accumulated_ms;
        let began = self.began.unwrap_or(group.last_sent);
        let at_ms = millis(group.last_sent.saturating_duration_since(began));
        if self.points.len() == WINDOW {
            self.points.pop_front();
        }
        self.points.push_back((at_ms, self.smoothed_ms));
        if self.points.len() == WINDOW {
            let trend = slope(&self.points).unwrap_or(self.last_trend);
            self.judge(trend, sent_ms);
        }
    }

    fn judge(&mut self, trend: f64, passed_ms: f64) {
        let modified_ms = self.groups as f64 * trend * GAIN;
        if modified_ms > self.threshold_ms {
            self.over_for_ms += passed_ms;
            if self.over_for_ms > OVERUSE_MS && trend >= self.last_trend {
                self.usage = Usage::Over;
            }
        } else {
            self.over_for_ms = 0.0;
            self.usage = if modified_ms < -self.threshold_ms {
                Usage::Under
            } else {
                Usage::Normal
            };
        }
        self.last_trend = trend;
        let distance_ms = modified_ms.abs() - self.threshold_ms;
        if distance_ms <= MAX_ADAPTED_MS {
            let gain = if distance_ms < 0.0 { FALL } else { RISE };
            let moved = self.threshold_ms + gain * distance_ms * passed_ms.min(100.0);
            self.threshold_ms = moved.clamp(THRESHOLD_RANGE_MS.0, THRESHOLD_RANGE_MS.1);
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Least squares.
fn slope(points: &VecDeque<(f64, f64)>) -> Option<f64> {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
    let mean_y = points.iter().map(|point| point.1).sum::<f64>() / count;
    let (mut above, mut below) = (0.0, 0.0);
    for (x, y) in points {
        above += (x - mean_x) * (y - mean_y);
        below += (x - mean_x) * (x - mean_x);
    }
    (below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests {
    use super::{TrendlineEstimator, Usage};
    use std::time::{Duration, Instant};

    /// Packets every 10 ms whose delay grows by `growth_us` each.
    fn run(trend: &mut TrendlineEstimator, start: Instant, from: u64, growth_us: i64) {
        for index in from..from + 100 {
            let sent = start + Duration::from_millis(10 * index);
            let delay_us = 20_000 + growth_us * (index - from) as i64;
            trend.handle_arrival(sent, 10_000 * index as i64 + delay_us);
        }
    }

    #[test]
    fn a_growing_queue_is_overuse_and_a_steady_delay_is_not() {
        let start = Instant::now();
        let mut trend = TrendlineEstimator::default();
        run(&mut trend, start, 0, 0);
        assert_eq!(trend.usage(), Usage::Normal);
        assert_eq!(trend.queueing(), Duration::ZERO);
        run(&mut trend, start, 100, 2_000);
        assert_eq!(trend.usage(), Usage::Over);
        assert_eq!(trend.queueing(), Duration::from_millis(198));
    }

    #[test]
    fn clocks_that_jump_are_no_queue() {
        let start = Instant::now();
        let mut trend = TrendlineEstimator::default();
        for index in 0..1_000_u64 {
            let lie = if index % 2 == 0 { i64::MAX / 4 } else { -1 };
            trend.handle_arrival(start + Duration::from_millis(7 * index), lie);
        }
        assert_eq!(trend.usage(), Usage::Normal);
    }
}
