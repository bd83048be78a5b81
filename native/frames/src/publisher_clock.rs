//! One clock for the audio and video of a publisher.
//!
//! Sender reports map the RTP time of each track to the publisher's wall clock, so audio and video
//! are exact to each other. One line per publisher maps the wall clock to the host's monotonic clock
//! ([`Delay`]). Before a track's first report, its own arrivals place it.

use sealroute_rtp::rtcp::SenderInfo;

use crate::codec::Kind;
use crate::delay::{Delay, STEP_US};

/// Half of what a viewer notices between lips and voice: corrected at once.
const UNNOTICED_US: f64 = 40_000.0;
/// A hundredth: what is left of an inexact start is gone before anybody gets used to it.
const CATCH_UP: f64 = 0.01;
/// Reports are a few ms inexact: the line goes half of the way to each.
const REPORT_WEIGHT: f64 = 0.5;

/// In so long a pause the line may have drifted: the first packet after it places the track.
const PAUSE_US: u64 = 30_000_000;

/// A point of the line from ticks to the publisher's wall clock.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    ticks: i64,
    capture_us: f64,
    /// When it was set.
    at_us: u64,
}

/// A correction that is being worked off.
#[derive(Clone, Copy, Debug, Default)]
struct Rest {
    us: f64,
    at_us: u64,
}

impl Rest {
    fn work_off(&mut self, now_us: u64) {
        let most = now_us.saturating_sub(self.at_us) as f64 * CATCH_UP;
        self.at_us = self.at_us.max(now_us);
        self.us -= self.us.clamp(-most, most);
    }
}

#[derive(Clone, Debug)]
struct TrackClock {
    rate_hz: u32,
    /// The latest RTP time, unwrapped, and when it arrived.
    latest: Option<(i64, u64)>,
    anchor: Option<Anchor>,
    /// Until there is an anchor: arrivals against ticks.
    alone: Delay,
    /// How far the publisher's wall clock was set since the first report.
    wall_step_us: f64,
    rest: Rest,
}

impl TrackClock {
    fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz: rate_hz.max(1),
            latest: None,
            anchor: None,
            alone: Delay::default(),
            wall_step_us: 0.0,
            rest: Rest::default(),
        }
    }

    /// The unwrapped time nearest to where the clock should be: also right after hours of silence.
    fn unwrap(&self, at_us: u64, rtp_time: u32) -> i64 {
        let Some((latest, since_us)) = self.latest else {
            return i64::from(rtp_time);
        };
        let elapsed = u128::from(at_us.saturating_sub(since_us)) * u128::from(self.rate_hz);
        let expected = latest.wrapping_add((elapsed / 1_000_000) as i64);
        expected.wrapping_add(i64::from(rtp_time.wrapping_sub(expected as u32) as i32))
    }

    fn us(&self, ticks: i64) -> f64 {
        ticks as f64 * 1e6 / f64::from(self.rate_hz)
    }

    fn capture_us(&self, ticks: i64) -> Option<f64> {
        let anchor = self.anchor?;
        Some(anchor.capture_us + self.us(ticks.wrapping_sub(anchor.ticks)))
    }
}

/// Places the frames of one publisher on the host's monotonic clock.
#[derive(Clone, Debug)]
pub struct PublisherClock {
    audio: TrackClock,
    video: TrackClock,
    delay: Option<Delay>,
    first_ntp: Option<u64>,
    wall_step_us: f64,
    steps: u64,
}

impl PublisherClock {
    /// With the clock rates of its tracks.
    pub fn new(audio_hz: u32, video_hz: u32) -> Self {
        Self {
            audio: TrackClock::new(audio_hz),
            video: TrackClock::new(video_hz),
            delay: None,
            first_ntp: None,
            wall_step_us: 0.0,
            steps: 0,
        }
    }

    fn track(&self, kind: Kind) -> &TrackClock {
        match kind {
            Kind::Audio => &self.audio,
            Kind::Video => &self.video,
        }
    }

    fn track_mut(&mut self, kind: Kind) -> &mut TrackClock {
        match kind {
            Kind::Audio => &mut self.audio,
            Kind::Video => &mut self.video,
        }
    }

    /// Takes the RTP time of a packet that arrived at `arrival_us`.
    pub fn handle_arrival(&mut self, arrival_us: u64, kind: Kind, rtp_time: u32) {
        let track = self.track_mut(kind);
        let ticks = track.unwrap(arrival_us, rtp_time);
        let since_us = track.latest.map_or(arrival_us, |(_, since_us)| since_us);
        let paused = arrival_us.saturating_sub(since_us) > PAUSE_US;
        if track
            .latest
            .is_none_or(|(_, since_us)| arrival_us >= since_us)
        {
            track.latest = Some((ticks, arrival_us));
        }
        let Some(capture_us) = track.capture_us(ticks) else {
            let difference = arrival_us as f64 - track.us(ticks);
            track.alone.handle(arrival_us, difference);
            return;
        };
        track.rest.work_off(arrival_us);
        let delay = self.delay.get_or_insert_default();
        let difference = arrival_us as f64 - capture_us;
        let applied = delay.applied().unwrap_or(difference);
        let drifted = paused && (difference - applied).abs() > UNNOTICED_US;
        // No packet overtakes light: the track's RTP time jumped ahead.
        let jumped = applied - difference > STEP_US;
        if !drifted && !jumped {
            delay.handle(arrival_us, difference);
            return;
        }
        self.steps += u64::from(jumped && !drifted);
        // Its next report will be more exact.
        self.track_mut(kind).anchor = Some(Anchor {
            ticks,
            capture_us: arrival_us as f64 - applied,
            at_us: arrival_us,
        });
    }

    /// Takes a sender report that arrived at `arrival_us`.
    pub fn handle_report(&mut self, arrival_us: u64, kind: Kind, report: &SenderInfo) {
        let first = *self.first_ntp.get_or_insert(report.ntp_time);
        // The era of NTP ends in 2036: only differences count.
        let since = i128::from(report.ntp_time.wrapping_sub(first) as i64) * 1_000_000;
        let wall_us = (since >> 32) as f64;
        let track = self.track(kind);
        let ticks = track.unwrap(arrival_us, report.rtp_time);
        let reported_us = wall_us - track.wall_step_us;
        match track.capture_us(ticks) {
            None => self.first_report(arrival_us, kind, ticks, wall_us - self.wall_step_us),
            Some(expected_us) => {
                let reported = Anchor {
                    ticks,
                    capture_us: reported_us,
                    at_us: arrival_us,
                };
                self.next_report(kind, reported, expected_us);
            }
        }
    }

    fn first_report(&mut self, arrival_us: u64, kind: Kind, ticks: i64, capture_us: f64) {
        let wall_step_us = self.wall_step_us;
        let track = self.track_mut(kind);
        track.wall_step_us = wall_step_us;
        track.anchor = Some(Anchor {
            ticks,
            capture_us,
            at_us: arrival_us,
        });
        track.latest.get_or_insert((ticks, arrival_us));
        let shift_us = capture_us - track.us(ticks);
        let Some(alone) = track.alone.applied() else {
            return;
        };
        let own = track.alone.shifted(shift_us);
        let Some(delay) = &mut self.delay else {
            self.delay = Some(own);
            return;
        };
        // Where its arrivals placed the track, against where the report does.
        let rest_us = alone - shift_us - delay.applied().unwrap_or(alone - shift_us);
        if rest_us.abs() > STEP_US {
            self.steps += 1;
        } else if rest_us.abs() >= UNNOTICED_US {
            self.track_mut(kind).rest = Rest {
                us: rest_us,
                at_us: arrival_us,
            };
        }
    }

    fn next_report(&mut self, kind: Kind, reported: Anchor, expected_us: f64) {
        let error = reported.capture_us - expected_us;
        let applied = self.delay.as_ref().and_then(Delay::applied).unwrap_or(0.0);
        let own_step = self.track(kind).wall_step_us;
        let publisher_step = self.wall_step_us;
        let mut anchor = Anchor {
            capture_us: error.mul_add(REPORT_WEIGHT, expected_us),
            ..reported
        };
        let mut wall_step_us = own_step;
        if error.abs() >= UNNOTICED_US {
            let off = |capture_us: f64| (reported.at_us as f64 - capture_us - applied).abs();
            if off(reported.capture_us) < off(expected_us) {
                // The RTP time jumped, and the report agrees with the arrivals.
                anchor = reported;
                self.steps += u64::from(error.abs() > STEP_US);
            } else {
                // The wall clock was set; the media went on. The other track's step is the same.
                let step = own_step + error;
                let same = (publisher_step - step).abs() < UNNOTICED_US;
                wall_step_us = if same { publisher_step } else { step };
                self.wall_step_us = wall_step_us;
                anchor.capture_us = expected_us + step - wall_step_us;
            }
        }
        let track = self.track_mut(kind);
        track.wall_step_us = wall_step_us;
        track.anchor = Some(anchor);
    }

    /// When a frame with this RTP time of the latest hours was captured, plus the least delay.
    /// `None`: no packet of the track arrived yet.
    pub fn session_us(&self, kind: Kind, rtp_time: u32) -> Option<i64> {
        let track = self.track(kind);
        let (latest, _) = track.latest?;
        let ticks = latest.wrapping_add(i64::from(rtp_time.wrapping_sub(latest as u32) as i32));
        let placed = match (track.capture_us(ticks), &self.delay) {
            (Some(capture_us), Some(delay)) => capture_us + delay.applied()? + track.rest.us,
            _ => track.us(ticks) + track.alone.applied()?,
        };
        Some(placed.round() as i64)
    }

    /// What the clock still has to be moved by.
    pub fn correction_us(&self) -> i64 {
        self.delay
            .as_ref()
            .map_or(0, |delay| delay.correction_us() as i64)
    }

    /// How often it was moved at once, which leaves a gap.
    pub fn steps(&self) -> u64 {
        self.steps + self.delay.as_ref().map_or(0, Delay::steps)
    }
}
