//! Probe clusters: short bursts of padding that show whether a path carries more than it gets.
//!
//! Source of cluster length and judgment: libwebrtc's probe clusters (25 ms here for 15 ms there:
//! the worker's timer is coarser than a dedicated pacer).

use std::time::{Duration, Instant};

use sealroute_rtp::DataRate;

/// The time between two bursts of a cluster, and the number of bursts.
pub(crate) const BURST_INTERVAL: Duration = Duration::from_millis(5);
const BURSTS: u32 = 6;
const MIN_BURST_BYTES: f64 = 300.0;
/// A cluster without an answer ends after this time.
const PATIENCE: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// No probe within this time after a sign of congestion.
const CALM: Duration = Duration::from_secs(2);
/// A probe targets at most this multiple of the estimate.
const STEP: f64 = 2.0;
const HEADROOM: f64 = 1.1;
const NEARLY_ALL: f64 = 0.8;
/// All of it may arrive at once, by a clock that counts in steps.
const LEAST_ARRIVAL: Duration = Duration::from_millis(1);
/// Below this share of the sent bitrate, the acknowledged bitrate is the limit of the path.
const PASSED: f64 = 0.9;
/// The share of a saturated probe's bitrate that is trusted.
const BELIEVED: f64 = 0.95;

#[derive(Clone, Copy, Debug)]
struct ProbeCluster {
    id: u16,
    target: DataRate,
    began: Instant,
    next_burst: Instant,
    bursts_left: u32,
    first_sent: Option<Instant>,
    last_sent: Option<Instant>,
    last_burst: Option<Instant>,
    sent_bytes: f64,
    last_burst_bytes: f64,
    /// Media sent since the last burst; part of the cluster.
    media_bytes: f64,
    acknowledged_bytes: f64,
    first_arrival: Option<(i64, f64)>,
    last_arrival_us: i64,
}

/// Decides when to probe and evaluates the result.
#[derive(Debug)]
pub(crate) struct Prober {
    cluster: Option<ProbeCluster>,
    id: u16,
    next: Option<Instant>,
    pause: Duration,
}

impl Default for Prober {
    fn default() -> Self {
        Self {
            cluster: None,
            id: 0,
            next: None,
            pause: FIRST_PAUSE,
        }
    }
}

impl Prober {
    /// Starts a cluster when the requested bitrate exceeds the estimate.
    pub(crate) fn consider(
        &mut self,
        now: Instant,
        estimate: DataRate,
        wanted: DataRate,
        last_reduction: Option<Instant>,
    ) {
        let calm = last_reduction.is_none_or(|at| now.saturating_duration_since(at) >= CALM);
        if self.cluster.is_some() || !calm || wanted <= estimate {
            return;
        }
        if self.next.is_some_and(|at| now < at) {
            return;
        }
        self.id = self.id.wrapping_add(1).max(1);
        self.cluster = Some(ProbeCluster {
            id: self.id,
            target: (estimate * STEP).min(wanted * HEADROOM),
            began: now,
            next_burst: now,
            bursts_left: BURSTS,
            first_sent: None,
            last_sent: None,
            last_burst: None,
            sent_bytes: 0.0,
            last_burst_bytes: 0.0,
            media_bytes: 0.0,
            acknowledged_bytes: 0.0,
            first_arrival: None,
            last_arrival_us: 0,
        });
    }

    /// Whether a cluster is in flight.
    pub(crate) fn is_busy(&self) -> bool {
        self.cluster.is_some()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let cluster = self.cluster.as_ref()?;
        Some(if cluster.bursts_left > 0 {
            cluster.next_burst
        } else {
            cluster.began + PATIENCE
        })
    }

    /// The size in bytes of the burst that is due. A cluster without an answer ends here.
    pub(crate) fn poll_burst(&mut self, now: Instant) -> Option<f64> {
        let cluster = self.cluster.as_mut()?;
        if cluster.bursts_left == 0 {
            if now >= cluster.began + PATIENCE {
                self.fail(now);
            }
            return None;
        }
        if now < cluster.next_burst {
            return None;
        }
        cluster.bursts_left -= 1;
        let elapsed = cluster
            .last_burst
            .map_or(BURST_INTERVAL, |at| now.duration_since(at))
            .min(4 * BURST_INTERVAL);
        cluster.last_burst = Some(now);
        cluster.next_burst = now + BURST_INTERVAL;
        let bytes = (cluster.target.bytes_in(elapsed) - std::mem::take(&mut cluster.media_bytes))
            .max(MIN_BURST_BYTES);
        Some(bytes)
    }

    /// Counts a packet of a burst, or media sent meanwhile (`is_media`). Returns the cluster it
    /// belongs to.
    pub(crate) fn handle_sent(&mut self, now: Instant, bytes: usize, is_media: bool) -> u16 {
        let Some(cluster) = &mut self.cluster else {
            return 0;
        };
        if is_media && (cluster.first_sent.is_none() || cluster.bursts_left == 0) {
            return 0;
        }
        let bytes = bytes as f64;
        cluster.first_sent.get_or_insert(now);
        if cluster.last_sent != Some(now) {
            cluster.last_burst_bytes = 0.0;
        }
        cluster.last_sent = Some(now);
        cluster.sent_bytes += bytes;
        cluster.last_burst_bytes += bytes;
        if is_media {
            cluster.media_bytes += bytes;
        }
        cluster.id
    }

    /// The path has no stream that can carry padding.
    pub(crate) fn abandon(&mut self, now: Instant) {
        self.fail(now);
    }

    pub(crate) fn handle_arrival(&mut self, probe: u16, arrival_us: i64, bytes: u16) {
        let Some(cluster) = self.cluster.as_mut().filter(|cluster| cluster.id == probe) else {
            return;
        };
        let bytes = f64::from(bytes);
        cluster.acknowledged_bytes += bytes;
        cluster.first_arrival.get_or_insert((arrival_us, bytes));
        cluster.last_arrival_us = cluster.last_arrival_us.max(arrival_us);
    }

    /// The bitrate that the cluster showed, once nearly all of it is acknowledged. `random_loss`:
    /// the share that the path loses at any bitrate.
    pub(crate) fn poll_result(&mut self, now: Instant, random_loss: f64) -> Option<DataRate> {
        let cluster = self.cluster.as_ref()?;
        if cluster.bursts_left > 0
            || cluster.acknowledged_bytes < NEARLY_ALL * cluster.sent_bytes * (1.0 - random_loss)
        {
            return None;
        }
        let sending = cluster.last_sent?.duration_since(cluster.first_sent?);
        let (first_us, first_bytes) = cluster.first_arrival?;
        let arriving_us = cluster.last_arrival_us.saturating_sub(first_us);
        let arriving = Duration::from_micros(arriving_us.max(0) as u64).max(LEAST_ARRIVAL);
        if sending.is_zero() {
            self.fail(now);
            return None;
        }
        let sent = DataRate::of(cluster.sent_bytes - cluster.last_burst_bytes, sending);
        let acknowledged_bytes = (cluster.acknowledged_bytes - first_bytes) / (1.0 - random_loss);
        let acknowledged = DataRate::of(acknowledged_bytes, arriving);
        if acknowledged < sent * PASSED {
            self.fail(now);
            return Some(acknowledged * BELIEVED);
        }
        self.cluster = None;
        self.pause = FIRST_PAUSE;
        self.next = None;
        Some(sent.min(acknowledged))
    }

    fn fail(&mut self, now: Instant) {
        self.cluster = None;
        self.next = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
