//! Subscribed layers: which encodings a publisher should send.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use sealroute_forward::{Codec, ForwardEvent, MediaKind, PayloadAccess, PreferredLayers};
use support::wire::{rtp, vp8_sized};
use support::*;

const FRAME: Duration = Duration::from_millis(33);
const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1_280, 720)];
const RIDS: [&str; 3] = ["q", "h", "f"];

/// A camera that sends the announced encodings, and restarts with a key frame.
struct Camera {
    session: Session,
    frames: u16,
    sending: [bool; 3],
    begins: [bool; 3],
    applied: usize,
}

impl Camera {
    fn new() -> Self {
        Self {
            session: Session::with(PayloadAccess::Opaque, simulcast(Codec::Vp8)),
            frames: 0,
            sending: [true; 3],
            begins: [true; 3],
            applied: 0,
        }
    }

    fn announcements(&self) -> Vec<Vec<Option<String>>> {
        let events = self.session.out.events.iter();
        events
            .filter_map(|event| match event {
                ForwardEvent::SubscribedLayersChanged { subscribed, .. } => {
                    Some(subscribed.clone())
                }
                _ => None,
            })
            .collect()
    }

    fn obey(&mut self) {
        let announcements = self.announcements();
        for subscribed in &announcements[self.applied..] {
            for (index, rid) in RIDS.iter().enumerate() {
                let sends = subscribed.iter().flatten().any(|one| one == rid);
                self.begins[index] |= sends && !self.sending[index];
                self.sending[index] = sends;
            }
        }
        self.applied = announcements.len();
    }

    fn frame(&mut self) {
        self.obey();
        self.frames += 1;
        for index in (0..3).filter(|&index| self.sending[index]) {
            let ssrc = 100 + index as u32;
            let asked = self.session.out.plis(UPLINK, ssrc) > 0;
            if asked {
                self.session.out.rtcp.clear();
            }
            let key_frame = std::mem::take(&mut self.begins[index]) || asked;
            let number = self.frames + 1_000 * index as u16;
            let payload = vp8_sized(key_frame, number, SIZES[index], &[index as u8; 40]);
            let packet = rtp(number, u32::from(self.frames) * 2_970, &payload)
                .ssrc(ssrc)
                .marker()
                .extension(MID_ID, b"0");
            let packet = packet.extension(RID_ID, RIDS[index].as_bytes());
            self.session.rtp(&packet.bytes());
        }
        self.session.pass(FRAME);
    }

    fn seconds(&mut self, seconds: u32) {
        for _ in 0..seconds * 30 {
            self.frame();
        }
    }

    fn prefer(&mut self, width: Option<u32>) {
        let preferred = PreferredLayers {
            max_width_px: width,
            ..PreferredLayers::default()
        };
        let router = &mut self.session.router;
        router
            .set_preferred_layers(SUBSCRIBER, preferred)
            .expect("set");
    }

    /// The encoding of the last forwarded frame.
    fn received(&self) -> u8 {
        let payloads = self.session.out.payloads(DOWNLINK, DOWN_TRACK_SSRC);
        *payloads.last().expect("a packet").last().expect("a byte")
    }
}

fn rids(names: &[&str]) -> Vec<Option<String>> {
    names.iter().map(|&name| Some(name.to_owned())).collect()
}

#[test]
fn nothing_is_said_while_everything_is_watched() {
    let mut camera = Camera::new();
    camera.seconds(20);
    assert!(camera.announcements().is_empty());
}

#[test]
fn what_nobody_watches_is_not_sent_after_a_while() {
    let mut camera = Camera::new();
    camera.seconds(2);
    camera.prefer(Some(320));
    camera.seconds(4);
    assert!(camera.announcements().is_empty());
    camera.seconds(3);
    assert_eq!(camera.announcements(), [rids(&["q"])]);
    assert_eq!(camera.sending, [true, false, false]);
    assert_eq!(camera.received(), 0);
}

#[test]
fn what_is_watched_again_is_sent_at_once_and_the_lower_one_goes_on_meanwhile() {
    let mut camera = Camera::new();
    camera.seconds(2);
    camera.prefer(Some(320));
    camera.seconds(8);
    camera.prefer(None);
    let before = camera.session.out.payloads(DOWNLINK, DOWN_TRACK_SSRC).len();
    camera.frame();
    camera.frame();
    assert_eq!(camera.announcements().last(), Some(&rids(&["q", "h", "f"])));
    camera.frame();
    let after = camera.session.out.payloads(DOWNLINK, DOWN_TRACK_SSRC).len();
    assert!(
        after - before >= 3,
        "no frame is missing while another begins"
    );
    assert_eq!(camera.received(), 2);
}

#[test]
fn without_receivers_the_whole_video_stops_and_a_receiver_starts_it() {
    let mut camera = Camera::new();
    camera.seconds(2);
    let router = &mut camera.session.router;
    let hold = router.set_down_track_forwarding(SUBSCRIBER, MediaKind::Video, false);
    hold.expect("held");
    camera.seconds(8);
    assert_eq!(camera.announcements(), [vec![]]);
    let router = &mut camera.session.router;
    let resume = router.set_down_track_forwarding(SUBSCRIBER, MediaKind::Video, true);
    resume.expect("resumed");
    camera.frame();
    camera.frame();
    assert_eq!(camera.announcements().last(), Some(&rids(&["q", "h", "f"])));
    assert_eq!(camera.received(), 2);
}

#[test]
fn the_end_of_a_subscription_counts_as_nobody_watching() {
    let mut camera = Camera::new();
    camera.seconds(2);
    let router = &mut camera.session.router;
    router.unsubscribe(SUBSCRIBER).expect("ended");
    camera.seconds(8);
    assert_eq!(camera.announcements(), [vec![]]);
}

#[test]
fn no_key_frame_is_asked_of_an_encoding_that_is_not_to_be_sent() {
    let mut camera = Camera::new();
    camera.seconds(2);
    camera.prefer(Some(320));
    camera.seconds(8);
    camera.session.resume(MediaKind::Video);
    camera.session.pass(Duration::from_secs(5));
    assert!(camera.session.out.plis(UPLINK, 100) > 0);
    assert_eq!(camera.session.out.plis(UPLINK, 102), 0);
}

#[test]
fn a_muted_video_is_neither_stopped_nor_started() {
    let mut camera = Camera::new();
    camera.seconds(2);
    let router = &mut camera.session.router;
    let muted = router.set_up_track_forwarding(PUBLISHER, "0", false);
    muted.expect("muted");
    router.unsubscribe(SUBSCRIBER).expect("ended");
    camera.seconds(10);
    assert!(camera.announcements().is_empty());
}

#[test]
fn an_ignored_announcement_is_repeated_to_the_publisher() {
    let mut camera = Camera::new();
    camera.seconds(2);
    camera.prefer(Some(320));
    camera.seconds(8);
    // The announcement of more encodings is lost.
    camera.prefer(None);
    camera.frame();
    camera.applied = camera.announcements().len();
    camera.frame();
    assert_eq!(camera.sending, [true, false, false]);
    camera.seconds(4);
    assert_eq!(camera.announcements().last(), Some(&rids(&["q", "h", "f"])));
    assert_eq!(camera.sending, [true; 3]);
    assert_eq!(camera.received(), 2);
}

#[test]
fn what_need_not_be_sent_is_counted_while_its_publisher_lasts() {
    let mut camera = Camera::new();
    let paused = |camera: &Camera| camera.session.counter("encodings_paused");
    camera.seconds(2);
    camera.prefer(Some(320));
    camera.seconds(8);
    assert_eq!(paused(&camera), 2);
    camera.prefer(Some(640));
    camera.seconds(1);
    assert_eq!(paused(&camera), 1);
    camera.session.router.unpublish(PUBLISHER).expect("ended");
    assert_eq!(paused(&camera), 0);
}

#[test]
fn the_bitrate_of_what_was_paused_is_not_spread_over_the_pause() {
    let mut camera = Camera::new();
    camera.seconds(4);
    let bitrate = |camera: &Camera| {
        let snapshot = camera.session.router.snapshot();
        snapshot.up_tracks[0].encodings[2].bitrate_bps
    };
    let before = bitrate(&camera);
    camera.prefer(Some(320));
    camera.seconds(30);
    camera.prefer(None);
    for _ in 0..60 {
        camera.frame();
        let now = bitrate(&camera);
        assert!(now >= before * 9 / 10, "{now:?} after {before:?}");
    }
}
