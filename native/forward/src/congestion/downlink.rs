//! The congestion state of one downlink. Owner: the session's router.

use std::time::{Duration, Instant};

use sealroute_rtp::{DataRate, TransportFeedback, remb_rate};

use super::OVERHEAD_BYTES;
use super::bandwidth_estimator::{BandwidthEstimator, Cause};
use super::pacer::{INTERVAL, Pacer, Queued};
use super::prober::Prober;
use super::sent_packets::SentPackets;
use crate::parameters::TransportHandle;
use crate::registry::DownTrackKey;
use crate::snapshot::DownlinkSnapshot;

/// The time between two allocations, and the longest delay of a change.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// Transport-wide feedback comes ten times a second. A subscriber that has sent receiver reports
/// but no feedback for this long does not support it.
const FEEDBACK_PATIENCE: Duration = Duration::from_secs(2);
/// Video is paced slightly above the estimate, so that a frame is sent before the next one.
/// libwebrtc's 2.5 would make each key frame of an up track that fills its share a sign of
/// congestion.
const PACE: f64 = 1.3;
/// On a path without a known limit, a key frame of five times the usual size is sent before
/// playback stalls.
const PACE_OF_AN_AMPLE_PATH: f64 = 2.5;
/// From this loss on, audio is sent twice, and so are video retransmissions.
const LOSSY: f64 = 0.05;
/// And this long after: repetition makes the loss look smaller.
const LOSSY_FOR: Duration = Duration::from_secs(10);
/// Below this, the audio itself could fill the path.
const ROOM_FOR_REPEATS: DataRate = DataRate::from_kbps(250.0);
/// abs-send-time counts 64 s in 24 bits.
const SEND_TIME_UNITS_PER_SECOND: f64 = 262_144.0;

/// What a packet tells its receiver for the estimate of the path. A retransmission of the same SRTP
/// packet keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    None,
    TransportSequence([u8; 2]),
    SendTime([u8; 3]),
}

/// What a packet counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The subscriber sends no feedback on it.
    Unreported,
    /// The same, and the subscriber estimates the path by itself, from the send times (REMB).
    Timed,
    Media,
    Padding,
}

/// The first transport-wide feedback. While it is still possible, the estimate keeps its start
/// value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstFeedback {
    NotAgreed,
    Agreed,
    /// When the first packet with a transport-wide sequence number was sent.
    AwaitedSince(Instant),
    Missing,
}

/// One downlink.
pub(crate) struct Downlink {
    pub(crate) transport: TransportHandle,
    pub(crate) estimator: BandwidthEstimator,
    pub(crate) pacer: Pacer,
    /// Still frames of paused video, at a bitrate of their own (`down_track/stills.rs`).
    pub(crate) stills: Pacer,
    pub(crate) prober: Prober,
    packets: SentPackets,
    epoch: Instant,
    first_feedback: FirstFeedback,
    lossy_until: Option<Instant>,
    /// Something was sent since the last tick.
    busy: bool,
    /// Something was sent in the tick before.
    lingers: bool,
    /// It is in the router's list of downlinks with a timeout.
    pub(crate) listed: bool,
    /// Keys of the down tracks that send over it.
    pub(crate) down_tracks: Vec<DownTrackKey>,
    next_release: Option<Instant>,
    pub(crate) wanted: DataRate,
    pub(crate) granted: DataRate,
}

impl Downlink {
    pub(crate) fn new(
        now: Instant,
        transport: TransportHandle,
        estimator: BandwidthEstimator,
    ) -> Self {
        Self {
            transport,
            estimator,
            pacer: Pacer::default(),
            stills: Pacer::one_by_one(),
            prober: Prober::default(),
            packets: SentPackets::default(),
            epoch: now,
            first_feedback: FirstFeedback::NotAgreed,
            lossy_until: None,
            busy: false,
            lingers: false,
            listed: false,
            down_tracks: Vec::new(),
            next_release: None,
            wanted: DataRate::ZERO,
            granted: DataRate::ZERO,
        }
    }

    /// Counts and stamps a packet that leaves now.
    pub(crate) fn stamp(&mut self, now: Instant, bytes: usize, content: Content) -> Stamp {
        let bytes = bytes + OVERHEAD_BYTES;
        let is_reported = matches!(content, Content::Media | Content::Padding);
        self.estimator.handle_sent(now, bytes);
        // Without evidence for an estimate there is nothing to allocate.
        let measured = is_reported || self.estimator.has_evidence();
        self.busy |= measured;
        if is_reported && self.first_feedback == FirstFeedback::Agreed {
            self.first_feedback = FirstFeedback::AwaitedSince(now);
        }
        match content {
            Content::Unreported => Stamp::None,
            Content::Timed => {
                let elapsed = now.saturating_duration_since(self.epoch).as_secs_f64();
                let units = (elapsed * SEND_TIME_UNITS_PER_SECOND) as u64;
                let [.., high, middle, low] = units.to_be_bytes();
                Stamp::SendTime([high, middle, low])
            }
            Content::Media | Content::Padding => {
                let is_media = content == Content::Media;
                let probe = self.prober.handle_sent(now, bytes, is_media);
                let sequence = self.packets.send(now, bytes, probe);
                Stamp::TransportSequence(sequence.to_be_bytes())
            }
        }
    }

    pub(crate) fn handle_feedback(&mut self, now: Instant, body: &[u8]) {
        let Some(feedback) = TransportFeedback::parse(body) else {
            return;
        };
        let prober = &mut self.prober;
        self.estimator
            .handle_feedback(now, feedback, &mut self.packets, |packet, arrival_us| {
                if packet.probe != 0 {
                    prober.handle_arrival(packet.probe, arrival_us, packet.bytes);
                }
            });
        self.note_loss(now, self.estimator.loss_share());
        if let Some(rate) = self.prober.poll_result(now, self.estimator.random_loss()) {
            self.estimator.handle_probe(now, rate);
        }
        self.set_pace();
    }

    pub(crate) fn handle_remb(&mut self, now: Instant, body: &[u8]) {
        if let Some(rate) = remb_rate(body) {
            self.estimator.handle_remb(now, rate);
            self.set_pace();
        }
    }

    /// A subscriber of this downlink negotiated feedback.
    pub(crate) fn expect_feedback(&mut self) {
        if self.first_feedback == FirstFeedback::NotAgreed {
            self.first_feedback = FirstFeedback::Agreed;
        }
    }

    /// Takes a receiver report. Returns whether it proves that no other feedback will come: media
    /// held back while waiting for it must be released.
    pub(crate) fn handle_report(&mut self, now: Instant, lost: f64) -> bool {
        self.estimator.handle_report(now, lost);
        self.note_loss(now, lost);
        let FirstFeedback::AwaitedSince(at) = self.first_feedback else {
            return false;
        };
        let waits = now.saturating_duration_since(at) < FEEDBACK_PATIENCE;
        if waits || self.estimator.has_evidence() {
            return false;
        }
        self.first_feedback = FirstFeedback::Missing;
        self.set_pace();
        true
    }

    fn note_loss(&mut self, now: Instant, share: f64) {
        if share >= LOSSY {
            self.lossy_until = Some(now + LOSSY_FOR);
        }
    }

    /// Whether the path loses many packets although it has bandwidth to spare.
    pub(crate) fn loses_with_room(&self, now: Instant) -> bool {
        let roomy = self.estimator.estimate() >= ROOM_FOR_REPEATS;
        roomy && self.lossy_until.is_some_and(|until| now < until)
    }

    /// Whether there is a bitrate to allocate: an estimate, or the start value.
    pub(crate) fn is_bounded(&self) -> bool {
        let is_to_come = matches!(
            self.first_feedback,
            FirstFeedback::Agreed | FirstFeedback::AwaitedSince(_)
        );
        is_to_come || self.estimator.has_evidence()
    }

    /// Call after a change of any value that it uses.
    pub(crate) fn set_pace(&mut self) {
        let estimator = &self.estimator;
        let estimate = estimator.estimate();
        // Without a known limit, only bursts are spread. Before any feedback, they are spread over
        // the time that the granted bitrate takes.
        let rate = match estimator.cause() {
            _ if estimator.is_limited() => estimate * PACE,
            Cause::Start => estimate.max(self.granted) * PACE,
            _ => estimate.max(self.wanted) * PACE_OF_AN_AMPLE_PATH,
        };
        let paced = self.is_bounded() && (estimator.is_limited() || self.wanted > DataRate::ZERO);
        self.pacer.set_rate(paced.then_some(rate));
    }

    /// Starts a probe when the requested bitrate exceeds the estimate.
    pub(crate) fn consider_probe(&mut self, now: Instant) {
        let (estimate, reduced) = (self.estimator.estimate(), self.estimator.last_reduction());
        self.prober.consider(now, estimate, self.wanted, reduced);
    }

    /// Paused video resumes at a tick, even if nothing else is sent.
    pub(crate) fn keep_ticking(&mut self) {
        self.busy = true;
    }

    /// The next queued packet whose time has come, or one that is late.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Queued> {
        if let Some(queued) = self.pacer.pop(now) {
            return Some(queued);
        }
        let still = self.stills.pop(now)?;
        if !still.is_late(now) {
            self.pacer.spend(now, still.bytes);
        }
        Some(still)
    }

    /// Keeps only the queued packets for which `stays` holds.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&Queued) -> bool) {
        self.pacer.retain(&mut stays);
        self.stills.retain(stays);
    }

    /// The number of queued packets.
    pub(crate) fn queued(&self) -> usize {
        self.pacer.queued() + self.stills.queued()
    }

    /// Schedules the release of a queued packet.
    pub(crate) fn wake_for_queue(&mut self, now: Instant) {
        let wait = if self.pacer.queued() > 0 {
            INTERVAL
        } else {
            self.stills.wait().max(INTERVAL)
        };
        let earlier = self.next_release.filter(|&at| at < now + wait);
        self.next_release = earlier.or(Some(now + wait));
    }

    /// Something was sent since the last tick.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy
    }

    /// When its queue or probe continues.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let times = [self.next_release, self.prober.poll_timeout()];
        times.into_iter().flatten().min()
    }

    /// Whether the pacer's next packets are due.
    pub(crate) fn take_release(&mut self, now: Instant) -> bool {
        let due = self.next_release.is_some_and(|at| at <= now);
        if due {
            self.next_release = None;
        }
        due
    }

    /// Whether the estimate must be allocated again. Ticks end when nothing is sent.
    pub(crate) fn take_tick(&mut self) -> bool {
        let due = self.busy || self.lingers;
        self.lingers = std::mem::take(&mut self.busy);
        due
    }

    pub(crate) fn snapshot(&self) -> DownlinkSnapshot {
        let estimator = &self.estimator;
        DownlinkSnapshot {
            transport: self.transport,
            has_feedback: estimator.has_feedback(),
            estimate_bps: estimator.estimate().whole_bps(),
            budget_bps: estimator.budget().whole_bps(),
            reason: estimator.cause().name(),
            limited: estimator.is_limited(),
            queueing_ms: estimator.queueing().as_millis() as u64,
            loss_share: estimator.loss_share(),
            sent_bps: estimator.sent().map(DataRate::whole_bps),
            wanted_bps: self.wanted.whole_bps(),
            granted_bps: self.granted.whole_bps(),
            paced_packets: self.queued(),
        }
    }
}
