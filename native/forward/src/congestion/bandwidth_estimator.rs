//! Estimates the bandwidth of a downlink: reduced by delay first and loss second, raised by probes
//! and growth.
//!
//! Source: draft-ietf-rmcat-gcc-02. Until a sign of congestion the path is not `limited`, and the
//! estimate is only the bitrate shown to pass; see docs/bandwidth.md.

use std::time::{Duration, Instant};

use sealroute_rtp::{DataRate, PacketStatus};

use super::loss_limit::{LossLimit, Verdict};
use super::rate_meter::RateMeter;
use super::sent_packets::{PacketOutcome, SentPacket, SentPackets};
use super::trendline_estimator::{TrendlineEstimator, Usage};

/// Enough for audio alone.
const MIN_RATE: DataRate = DataRate::from_kbps(20.0);
/// Below the acknowledged bitrate, so that the queue drains.
const DECREASE: f64 = 0.85;
/// A queue no longer than this is a key frame in transit.
const TOLERATED: Duration = Duration::from_millis(60);
const REDUCTION_INTERVAL: Duration = Duration::from_millis(200);
const GROWTH_PER_SECOND: f64 = 1.08;
/// As if one packet more were sent each response time.
const ADDITIVE_PER_SECOND: DataRate = DataRate::from_kbps(40.0);
/// The acknowledged bitrate confirms an estimate only from this share on.
const USED_SHARE: f64 = 0.65;
/// The estimate grows to at most this multiple of the acknowledged bitrate.
const MAX_AHEAD: f64 = 1.5;
const AHEAD_AT_LEAST: DataRate = DataRate::from_kbps(10.0);
/// Longer queues are drained by sending less than the path carries.
const QUEUE_TARGET: Duration = Duration::from_millis(150);
/// The time in which the queue should drain.
const DRAIN_SECONDS: f64 = 0.8;
const MIN_DRAIN_SHARE: f64 = 0.3;
const FEEDBACK_SILENCE: Duration = Duration::from_secs(2);
/// Receivers answer each sign of overuse with 85 % of what they get. Only a lower figure is a
/// limit.
const REMB_LIMIT: f64 = 0.75;
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
const LOSS_OF_REPORTS: f64 = 0.1;

/// The cause of the last change of the estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Start,
    Delay,
    Loss,
    Growth,
    Probe,
    Remb,
    Reports,
}

impl Cause {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Delay => "delay",
            Self::Loss => "loss",
            Self::Growth => "growth",
            Self::Probe => "probe",
            Self::Remb => "remb",
            Self::Reports => "reports",
        }
    }
}

/// The bandwidth estimate of one downlink.
#[derive(Debug)]
pub(crate) struct BandwidthEstimator {
    max: DataRate,
    estimate: DataRate,
    cause: Cause,
    limited: bool,
    epoch: Instant,
    trend: TrendlineEstimator,
    loss: LossLimit,
    acknowledged: RateMeter,
    sent: RateMeter,
    /// Until when sent bytes belong to the newest bucket of the meter: most packets need no
    /// conversion of their time.
    sent_bucket_end: Instant,
    /// The acknowledged bitrate when the queue last grew. Growth near it is slow.
    capacity: Option<DataRate>,
    last_change: Option<Instant>,
    last_reduction: Option<Instant>,
    last_feedback: Option<Instant>,
}

impl BandwidthEstimator {
    /// `start_bps`: the estimate before any feedback.
    pub(crate) fn new(now: Instant, start: DataRate, max: DataRate) -> Self {
        Self {
            max,
            estimate: start.min(max),
            cause: Cause::Start,
            limited: false,
            epoch: now,
            trend: TrendlineEstimator::default(),
            loss: LossLimit::default(),
            acknowledged: RateMeter::default(),
            sent: RateMeter::default(),
            sent_bucket_end: now,
            capacity: None,
            last_change: None,
            last_reduction: None,
            last_feedback: None,
        }
    }

    pub(crate) fn estimate(&self) -> DataRate {
        self.estimate
    }

    pub(crate) fn cause(&self) -> Cause {
        self.cause
    }

    /// Whether the path has shown a limit. Until then nothing is paused.
    pub(crate) fn is_limited(&self) -> bool {
        self.limited
    }

    pub(crate) fn loss_share(&self) -> f64 {
        self.loss.share()
    }

    /// The share that the path loses at any bitrate.
    pub(crate) fn random_loss(&self) -> f64 {
        self.loss.random()
    }

    pub(crate) fn queueing(&self) -> Duration {
        self.trend.queueing()
    }

    pub(crate) fn sent(&self) -> Option<DataRate> {
        self.sent.rate()
    }

    /// Whether the peer sends feedback for an estimate.
    pub(crate) fn has_feedback(&self) -> bool {
        self.last_feedback.is_some()
    }

    /// Whether there is any evidence for an estimate.
    pub(crate) fn has_evidence(&self) -> bool {
        self.limited || self.has_feedback()
    }

    /// The last time the queue grew or loss was too high.
    pub(crate) fn last_reduction(&self) -> Option<Instant> {
        self.last_reduction
    }

    /// The bitrate that may be sent: less than the estimate while the path's queue is long.
    pub(crate) fn budget(&self) -> DataRate {
        let queueing = self.trend.queueing();
        if !self.limited || queueing < QUEUE_TARGET {
            return self.estimate;
        }
        let acknowledged = self.acknowledged.rate().unwrap_or(self.estimate);
        let share = (1.0 - queueing.as_secs_f64() / DRAIN_SECONDS).max(MIN_DRAIN_SHARE);
        self.estimate.min(acknowledged * share)
    }

    /// Counts a sent packet.
    #[inline]
    pub(crate) fn handle_sent(&mut self, now: Instant, bytes: usize) {
        if now < self.sent_bucket_end {
            self.sent.add_to_newest(bytes);
        } else {
            self.handle_sent_in_new_bucket(now, bytes);
        }
    }

    fn handle_sent_in_new_bucket(&mut self, now: Instant, bytes: usize) {
        let at_us = self.micros(now);
        self.sent.add(at_us, bytes);
        let end_us = RateMeter::bucket_end_us(at_us);
        self.sent_bucket_end = self.epoch + Duration::from_micros(end_us as u64);
    }

    /// Takes transport-wide feedback; `on_arrival` gets each acknowledged packet.
    pub(crate) fn handle_feedback(
        &mut self,
        now: Instant,
        statuses: impl Iterator<Item = PacketStatus>,
        packets: &mut SentPackets,
        mut on_arrival: impl FnMut(SentPacket, i64),
    ) {
        let mut known = false;
        for status in statuses {
            match packets.take(status.sequence, status.arrival_us.is_some()) {
                Some(PacketOutcome::Lost) => self.loss.count(0, 1),
                Some(PacketOutcome::Received(packet) | PacketOutcome::ReceivedLate(packet)) => {
                    known = true;
                    let arrival_us = status.arrival_us.unwrap_or_default();
                    self.loss.count(1, 0);
                    self.acknowledged.add(arrival_us, usize::from(packet.bytes));
                    self.trend.handle_arrival(packet.at, arrival_us);
                    on_arrival(packet, arrival_us);
                }
                None => {}
            }
        }
        if known {
            self.last_feedback = Some(now);
            self.update(now);
        }
    }

    fn update(&mut self, now: Instant) {
        let verdict = self.loss.judge(self.micros(now));
        let Some(acknowledged) = self.acknowledged.rate() else {
            return;
        };
        let recent = |at: Instant| now.saturating_duration_since(at) < REDUCTION_INTERVAL;
        match self.trend.usage() {
            Usage::Over if self.last_reduction.is_some_and(recent) => {}
            Usage::Over if self.trend.queueing() > TOLERATED => {
                let carried = self.acknowledged.recent_rate();
                self.capacity = Some(carried);
                self.reduce(now, carried * DECREASE, Cause::Delay);
            }
            Usage::Over => {}
            _ if verdict == Verdict::Reduce => self.reduce(now, acknowledged, Cause::Loss),
            Usage::Normal if self.loss.may_grow() => self.grow(now, acknowledged),
            Usage::Normal | Usage::Under => {}
        }
        self.last_change = Some(now);
    }

    /// Before the first sign of congestion more may be sent than the estimate, which is only what was
    /// shown to pass: what the path carries then may be more, too. Later signs never raise it.
    fn reduce(&mut self, now: Instant, to: DataRate, cause: Cause) {
        let is_first = !std::mem::replace(&mut self.limited, true);
        self.last_reduction = Some(now);
        if is_first || to < self.estimate {
            self.set(to, cause);
        }
    }

    fn grow(&mut self, now: Instant, acknowledged: DataRate) {
        let passed = self
            .last_change
            .map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64())
            .min(1.0);
        if acknowledged < self.estimate * USED_SHARE {
            return;
        }
        let near = self
            .capacity
            .is_some_and(|capacity| (acknowledged / capacity - 1.0).abs() < 0.15);
        let grown = if near {
            self.estimate + ADDITIVE_PER_SECOND * passed
        } else {
            self.estimate * GROWTH_PER_SECOND.powf(passed)
        };
        let target = grown.min(acknowledged * MAX_AHEAD + AHEAD_AT_LEAST);
        if target > self.estimate {
            self.set(target, Cause::Growth);
        }
    }

    /// A probe showed that this bitrate passes. The start value is only a guess: a probe below it
    /// has found the limit of the path.
    pub(crate) fn handle_probe(&mut self, now: Instant, rate: DataRate) {
        if rate > self.estimate {
            self.capacity = None;
            self.set(rate, Cause::Probe);
        } else if self.cause == Cause::Start {
            self.capacity = Some(rate);
            self.reduce(now, rate, Cause::Probe);
        }
    }

    /// Takes the estimate of a receiver without transport-wide feedback. Receivers report at most a
    /// multiple of what they get, so only a figure below the sent bitrate is a limit.
    pub(crate) fn handle_remb(&mut self, now: Instant, rate: DataRate) {
        if !rate.is_finite() {
            return;
        }
        self.last_feedback = Some(now);
        let sent = self.sent.rate().unwrap_or_default();
        if rate < sent * REMB_LIMIT {
            self.reduce(now, rate, Cause::Remb);
            return;
        }
        let grown = self.estimate * GROWTH_PER_SECOND.powf(self.passed(now));
        self.last_change = Some(now);
        self.set(rate.max(grown), Cause::Remb);
    }

    /// The last resort: the loss (0 to 1) in receiver reports, about once a second.
    pub(crate) fn handle_report(&mut self, now: Instant, lost: f64) {
        let silent = self
            .last_feedback
            .is_none_or(|at| now.saturating_duration_since(at) > FEEDBACK_SILENCE);
        let recent = |at: Instant| now.saturating_duration_since(at) < REPORT_INTERVAL;
        if !silent || self.last_change.is_some_and(recent) {
            return;
        }
        if lost > LOSS_OF_REPORTS {
            let sent = self.sent.rate().unwrap_or(self.estimate);
            let from = self.estimate.min(sent.max(MIN_RATE));
            self.reduce(now, from * (1.0 - 0.5 * lost), Cause::Reports);
        } else if self.limited {
            let grown = self.estimate * GROWTH_PER_SECOND.powf(self.passed(now));
            self.set(grown, Cause::Reports);
        }
        self.last_change = Some(now);
    }

    fn passed(&self, now: Instant) -> f64 {
        self.last_change
            .map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64())
            .min(1.0)
    }

    fn set(&mut self, rate: DataRate, cause: Cause) {
        self.estimate = rate.max(MIN_RATE).min(self.max);
        self.cause = cause;
    }

    fn micros(&self, now: Instant) -> i64 {
        now.saturating_duration_since(self.epoch).as_micros() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::{BandwidthEstimator, Cause, DataRate, PacketStatus, SentPackets};
    use std::time::{Duration, Instant};

    const START: DataRate = DataRate::from_kbps(800.0);
    const PACKET_BYTES: usize = 1_200;
    const FEEDBACK_PACKETS: usize = 20;

    fn new(now: Instant) -> BandwidthEstimator {
        BandwidthEstimator::new(now, START, DataRate::from_kbps(100_000.0))
    }

    /// Sends steadily over a path that carries less, until its queue is noticed.
    fn filled(sent_kbps: f64, carried_kbps: f64) -> BandwidthEstimator {
        let start = Instant::now();
        let mut estimator = new(start);
        let mut packets = SentPackets::default();
        let interval = |kbps: f64| Duration::from_secs_f64(PACKET_BYTES as f64 * 8e-3 / kbps);
        let (mut now, mut arrival) = (start, start);
        let mut statuses = Vec::new();
        for _ in 0..1_000 {
            now += interval(sent_kbps);
            arrival = (arrival + interval(carried_kbps)).max(now);
            estimator.handle_sent(now, PACKET_BYTES);
            statuses.push(PacketStatus {
                sequence: packets.send(now, PACKET_BYTES, 0),
                arrival_us: Some((arrival - start).as_micros() as i64),
            });
            if statuses.len() == FEEDBACK_PACKETS {
                let at = arrival + Duration::from_millis(20);
                estimator.handle_feedback(at, statuses.drain(..), &mut packets, |_, _| ());
                if estimator.is_limited() {
                    break;
                }
            }
        }
        estimator
    }

    #[test]
    fn a_path_that_carried_more_than_the_estimate_is_taken_at_what_it_carried() {
        let estimator = filled(3_000.0, 2_000.0);
        assert!(estimator.is_limited());
        assert_eq!(estimator.cause(), Cause::Delay);
        let bps = estimator.estimate().bps();
        assert!((1.5e6..1.9e6).contains(&bps), "{bps}");
    }

    #[test]
    fn a_path_that_carries_less_than_the_estimate_is_taken_at_that() {
        let estimator = filled(700.0, 500.0);
        assert_eq!(estimator.cause(), Cause::Delay);
        let bps = estimator.estimate().bps();
        assert!((375e3..500e3).contains(&bps), "{bps}");
    }

    #[test]
    fn later_signs_of_congestion_never_raise_the_estimate() {
        let now = Instant::now();
        let mut estimator = new(now);
        let (less, more) = (DataRate::from_kbps(500.0), DataRate::from_kbps(700.0));
        estimator.reduce(now, less, Cause::Delay);
        estimator.reduce(now, more, Cause::Loss);
        assert_eq!(estimator.estimate(), less);
        assert_eq!(estimator.cause(), Cause::Delay);
    }

    #[test]
    fn a_probe_that_finds_just_the_start_value_has_found_the_limit() {
        let now = Instant::now();
        let mut estimator = new(now);
        estimator.handle_probe(now, START);
        assert!(estimator.is_limited());
        assert_eq!(estimator.cause(), Cause::Probe);
    }
}
