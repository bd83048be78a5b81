//! Audio and video of a publisher on the host's clock, whatever the publisher's clocks do.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

use sealroute_frames::{Kind, PublisherClock};
use sealroute_netem::Random;
use sealroute_rtp::rtcp::SenderInfo;

const SECOND_US: u64 = 1_000_000;
/// The host's clock at the start: it has been up for a while.
const START_US: u64 = 5_000 * SECOND_US;
const LEAST_DELAY_US: u64 = 20_000;

/// A device whose clocks are wrong by some ppm, and start anywhere.
struct Device {
    wall_ppm: f64,
    audio_ppm: f64,
    video_ppm: f64,
    audio_start: u32,
    video_start: u32,
    wall_step_us: f64,
    jitter_us: u64,
    random: Random,
    clock: PublisherClock,
}

impl Device {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            wall_ppm: 0.0,
            audio_ppm: 0.0,
            video_ppm: 0.0,
            audio_start: random.next_u64() as u32,
            video_start: random.next_u64() as u32,
            wall_step_us: 0.0,
            jitter_us: 15_000,
            random,
            clock: PublisherClock::new(48_000, 90_000),
        }
    }

    fn rtp(&self, kind: Kind, at_us: u64) -> u32 {
        let (start, hz, ppm) = match kind {
            Kind::Audio => (self.audio_start, 48_000.0, self.audio_ppm),
            Kind::Video => (self.video_start, 90_000.0, self.video_ppm),
        };
        let ticks = at_us as f64 * (1.0 + ppm * 1e-6) * hz / 1e6;
        start.wrapping_add(ticks as i64 as u32)
    }

    fn arrival(&mut self, at_us: u64) -> u64 {
        START_US + at_us + LEAST_DELAY_US + self.random.below(self.jitter_us)
    }

    fn send(&mut self, kind: Kind, at_us: u64) {
        let (rtp, arrival) = (self.rtp(kind, at_us), self.arrival(at_us));
        self.clock.handle_arrival(arrival, kind, rtp);
    }

    fn report(&mut self, kind: Kind, at_us: u64) {
        let wall_us = 3.9e15 + at_us as f64 * (1.0 + self.wall_ppm * 1e-6) + self.wall_step_us;
        let info = SenderInfo {
            ntp_time: (wall_us / 1e6 * 4_294_967_296.0) as u64,
            rtp_time: self.rtp(kind, at_us),
            ..SenderInfo::default()
        };
        let arrival = self.arrival(at_us);
        self.clock.handle_report(arrival, kind, &info);
    }

    /// Sends both tracks with reports each second, from `from_s` to `to_s`.
    fn run(&mut self, kinds: &[Kind], from_s: u64, to_s: u64) {
        for at_us in (from_s * SECOND_US..to_s * SECOND_US).step_by(20_000) {
            for &kind in kinds {
                self.send(kind, at_us);
                if at_us % SECOND_US == 500_000 {
                    self.report(kind, at_us);
                }
            }
        }
    }

    /// How far a frame captured at `at_us` is placed from its least arrival.
    fn error_us(&self, kind: Kind, at_us: u64) -> i64 {
        let placed = self
            .clock
            .session_us(kind, self.rtp(kind, at_us))
            .expect("placed");
        placed - (START_US + at_us + LEAST_DELAY_US) as i64
    }

    fn check(&self, at_s: u64, limit_us: i64) {
        let audio = self.error_us(Kind::Audio, at_s * SECOND_US);
        let video = self.error_us(Kind::Video, at_s * SECOND_US);
        assert!(audio.abs() <= limit_us, "audio {audio} at {at_s}");
        assert!(video.abs() <= limit_us, "video {video} at {at_s}");
        assert!(
            (audio - video).abs() <= 6_000,
            "{audio} and {video} at {at_s}"
        );
    }
}

const BOTH: [Kind; 2] = [Kind::Audio, Kind::Video];

#[test]
fn before_the_first_report_arrivals_place_the_frames() {
    let mut device = Device::new(1);
    device.send(Kind::Audio, 0);
    device.send(Kind::Video, 20_000);
    assert!(device.error_us(Kind::Audio, 0).abs() <= 15_000);
    assert!(device.error_us(Kind::Video, 20_000).abs() <= 15_000);
    let clock = PublisherClock::new(48_000, 90_000);
    assert_eq!(clock.session_us(Kind::Audio, 0), None);
}

#[test]
fn clocks_off_by_500_ppm_do_not_drift_apart_in_an_hour() {
    for (wall, audio, video) in [
        (500.0, 0.0, 0.0),
        (-500.0, 0.0, 0.0),
        (0.0, 500.0, -500.0),
        (500.0, -500.0, 500.0),
        (-500.0, 500.0, 0.0),
    ] {
        let mut device = Device::new(2);
        (device.wall_ppm, device.audio_ppm, device.video_ppm) = (wall, audio, video);
        let mut from_s = 0;
        for to_s in [10, 60, 600, 3_600] {
            device.run(&BOTH, from_s, to_s);
            // Drift is known after a minute.
            device.check(to_s - 1, if to_s > 60 { 5_000 } else { 20_000 });
            from_s = to_s;
        }
        assert_eq!(device.clock.steps(), 0, "{wall} {audio} {video}");
    }
}

#[test]
fn a_wall_clock_that_is_set_does_not_move_the_media() {
    for step_us in [3_600e6, -3_600e6, 300_000.0, -100_000.0] {
        let mut device = Device::new(3);
        device.run(&BOTH, 0, 60);
        device.wall_step_us = step_us;
        for to_s in 61..=120 {
            device.run(&BOTH, to_s - 1, to_s);
            device.check(to_s - 1, 10_000);
        }
        assert_eq!(device.clock.steps(), 0, "{step_us}");
    }
}

#[test]
fn rtp_time_wraps_without_a_jump() {
    let mut device = Device::new(4);
    device.audio_start = u32::MAX - 48_000 * 30;
    device.video_start = u32::MAX - 90_000 * 40;
    for to_s in 1..=60 {
        device.run(&BOTH, to_s - 1, to_s);
        device.check(to_s - 1, 16_000);
    }
    assert_eq!(device.clock.steps(), 0);
}

#[test]
fn the_map_lasts_through_pauses_of_minutes_and_hours() {
    let mut device = Device::new(5);
    (device.wall_ppm, device.audio_ppm) = (200.0, -200.0);
    device.run(&BOTH, 0, 300);
    // A muted microphone while the camera goes on, then both muted for longer than a wrap's half.
    device.run(&[Kind::Video], 300, 900);
    device.run(&BOTH, 900, 901);
    device.check(900, 20_000);
    let hours_s = 901 + 8 * 3_600;
    device.run(&BOTH, hours_s, hours_s + 120);
    device.check(hours_s + 119, 20_000);
}

#[test]
fn a_track_whose_rtp_time_jumps_is_placed_again_and_the_other_stays() {
    for jump in [90_000 * 1_000, 90_000 * 2, (-90_000_i32 * 60) as u32] {
        let mut device = Device::new(6);
        device.run(&BOTH, 0, 60);
        device.video_start = device.video_start.wrapping_add(jump);
        device.run(&BOTH, 60, 61);
        assert!(device.error_us(Kind::Audio, 60 * SECOND_US).abs() <= 10_000);
        device.run(&BOTH, 61, 70);
        device.check(69, 10_000);
    }
}

#[test]
fn a_new_route_is_followed_slowly() {
    let mut device = Device::new(7);
    device.run(&BOTH, 0, 60);
    let before = device.error_us(Kind::Audio, 59 * SECOND_US);
    // All packets arrive 60 ms later from now on: the publisher's clocks seem to be late.
    let late = 60_000;
    for at_us in (60 * SECOND_US..180 * SECOND_US).step_by(20_000) {
        let arrival = device.arrival(at_us) + late;
        let rtp = device.rtp(Kind::Audio, at_us);
        let placed = device.clock.session_us(Kind::Audio, rtp);
        device.clock.handle_arrival(arrival, Kind::Audio, rtp);
        let after = device.clock.session_us(Kind::Audio, rtp);
        let moved = after.expect("placed") - placed.expect("placed");
        assert!(moved.abs() <= 40, "{moved} at {at_us}");
    }
    let after = device.error_us(Kind::Audio, 179 * SECOND_US);
    assert!(
        (after - before - late as i64).abs() <= 6_000,
        "{before} {after}"
    );
}

#[test]
fn an_inexact_start_is_corrected_at_once_or_soon() {
    for (late_us, at_once) in [(30_000, true), (150_000, false)] {
        let mut device = Device::new(8);
        device.jitter_us = 1;
        device.run(&[Kind::Audio], 0, 2);
        // All video of the first seconds waits somewhere.
        for at_us in (0..2 * SECOND_US).step_by(20_000) {
            let arrival = START_US + at_us + LEAST_DELAY_US + late_us;
            let rtp = device.rtp(Kind::Video, at_us);
            device.clock.handle_arrival(arrival, Kind::Video, rtp);
        }
        device.report(Kind::Video, 2 * SECOND_US);
        let error = device.error_us(Kind::Video, 2 * SECOND_US);
        let wanted = if at_once { 0 } else { late_us as i64 };
        assert!((error - wanted).abs() < 1_000, "{error} of {late_us}");
        device.run(&BOTH, 2, 25);
        device.check(24, 2_000);
    }
}
