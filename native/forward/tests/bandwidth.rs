//! Downlinks that carry less than there is, over simulated bottlenecks in virtual time.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{
    Codec, EncodingParameters, Extension, ForwardEvent, MediaKind, PayloadAccess, PublisherHandle,
    SinkParameters, SourceParameters, SubscriberHandle, TransportHandle, VideoSupply,
};
use sealroute_netem::{Bottleneck, Random};
use sealroute_rtp::RtpPacket;
use sealroute_transport::TwccReceiver;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use support::wire::{rtp, sealed, vp8_continuation, vp8_sized};
use support::*;

const TRANSPORT_CC_ID: u8 = 12;
const AUDIO_PUBLISHER: PublisherHandle = PublisherHandle(11);
const AUDIO_UPLINK: TransportHandle = TransportHandle(8);
const STEP: Duration = Duration::from_millis(1);
const DELAY: Duration = Duration::from_millis(25);
const OVERHEAD_BYTES: usize = 44;
/// Bits per second of the three encodings.
const LAYERS: [f64; 3] = [150e3, 500e3, 1_900e3];
const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];
const FRAMES_PER_SECOND: u64 = 25;

/// One subscriber's device.
struct Viewer {
    transport: TransportHandle,
    path: usize,
    loss: f64,
    receiver: TwccReceiver,
    /// In the order of arrival.
    travelling: BTreeMap<(Instant, u64), Vec<u8>>,
    feedback: Vec<(Instant, Vec<u8>)>,
    received: Vec<(Instant, u32, usize)>,
    audio_sent: u64,
    sent: u64,
}

impl Viewer {
    /// What arrived in the time before `now`.
    fn bps(&self, now: Instant, time: Duration) -> f64 {
        let inside = |at: Instant| now.saturating_duration_since(at) < time;
        let bytes: usize = self
            .received
            .iter()
            .filter(|(at, ..)| inside(*at))
            .map(|(_, _, bytes)| bytes)
            .sum();
        bytes as f64 * 8.0 / time.as_secs_f64()
    }

    fn audio_received(&self) -> usize {
        self.received
            .iter()
            .filter(|(_, ssrc, _)| ssrc & 0xF000 == 0xA000)
            .count()
    }
}

struct Room {
    session: Session,
    paths: Vec<Bottleneck>,
    viewers: Vec<Viewer>,
    random: Random,
    began: Instant,
    frame: u64,
    audio: u16,
    sequences: [u16; 3],
    layers: Vec<f64>,
    events: Vec<(Instant, ForwardEvent)>,
    lies: Option<fn(&mut Random, &mut Vec<u8>)>,
}

fn video_source(layers: usize) -> SourceParameters {
    let encoding = |index: usize| EncodingParameters {
        ssrc: Some(0x1000 + index as u32),
        ..EncodingParameters::default()
    };
    SourceParameters {
        encodings: (0..layers).map(encoding).collect(),
        ..source(Codec::Vp8)
    }
}

fn viewer_sink(ssrc: u32, video: bool) -> SinkParameters {
    SinkParameters {
        ssrc,
        rtx_ssrc: video.then_some(ssrc + 1),
        rtx_payload_type: video.then_some(SINK_RTX_PAYLOAD_TYPE),
        extensions: ids(&[(Extension::TransportCc, TRANSPORT_CC_ID)]),
        ..sink()
    }
}

impl Room {
    /// Each path with the subscribers on it.
    fn new(layers: &[f64], paths: &[(f64, usize)]) -> Self {
        let mut session = Session::new(PayloadAccess::Opaque);
        session.publish(PUBLISHER, UPLINK, video_source(layers.len()));
        let sound = SourceParameters {
            encodings: vec![EncodingParameters {
                ssrc: Some(0x2000),
                ..EncodingParameters::default()
            }],
            ..source(Codec::Opus)
        };
        session.publish(AUDIO_PUBLISHER, AUDIO_UPLINK, sound);
        let began = session.now;
        let mut room = Self {
            session,
            paths: Vec::new(),
            viewers: Vec::new(),
            random: Random::new(7),
            began,
            frame: 0,
            audio: 0,
            sequences: [0; 3],
            layers: layers.to_vec(),
            events: Vec::new(),
            lies: None,
        };
        for &(rate_bps, viewers) in paths {
            room.paths
                .push(Bottleneck::new(rate_bps, Duration::from_millis(500)));
            for _ in 0..viewers {
                room.join(room.paths.len() - 1);
            }
        }
        room
    }

    fn join(&mut self, path: usize) {
        let index = self.viewers.len() as u32;
        let transport = TransportHandle(100 + u64::from(index));
        let (router, now) = (&mut self.session.router, self.session.now);
        let video = viewer_sink(0x9000 + 16 * index, true);
        let video_name = SubscriberHandle(200 + u64::from(index));
        router
            .subscribe(now, video_name, PUBLISHER, transport, &[video])
            .expect("subscribed");
        let sound = viewer_sink(0xA000 + 16 * index, false);
        let sound_name = SubscriberHandle(300 + u64::from(index));
        router
            .subscribe(now, sound_name, AUDIO_PUBLISHER, transport, &[sound])
            .expect("subscribed");
        self.viewers.push(Viewer {
            transport,
            path,
            loss: 0.0,
            receiver: TwccReceiver::new(),
            travelling: BTreeMap::new(),
            feedback: Vec::new(),
            received: Vec::new(),
            audio_sent: 0,
            sent: 0,
        });
    }

    /// What a camera and a microphone send at this time.
    fn send_media(&mut self) {
        let passed_ms = self.session.now.duration_since(self.began).as_millis() as u64;
        if passed_ms.is_multiple_of(20) {
            let packet = rtp(self.audio, u32::from(self.audio) * 960, &sealed(&[7; 80]));
            self.audio = self.audio.wrapping_add(1);
            self.session
                .take(AUDIO_UPLINK, &packet.ssrc(0x2000).bytes());
        }
        if passed_ms * FRAMES_PER_SECOND / 1_000 >= self.frame {
            // A key frame each second, so that switches need no second party here.
            let key_frame = self.frame.is_multiple_of(FRAMES_PER_SECOND);
            for layer in 0..self.layers.len() {
                self.send_frame(layer, key_frame);
            }
            self.frame += 1;
        }
        self.session
            .router
            .flush(self.session.now, &mut self.session.out);
    }

    fn send_frame(&mut self, layer: usize, key_frame: bool) {
        let average = self.layers[layer] / FRAMES_PER_SECOND as f64 / 8.0;
        let mut left = (average * if key_frame { 3.0 } else { 0.92 }) as usize;
        let timestamp = (self.frame * 90_000 / FRAMES_PER_SECOND) as u32;
        let picture = self.frame as u16;
        let mut first = true;
        while left > 0 {
            let body = vec![0x5A; left.min(1_100)];
            left -= body.len();
            let payload = if first {
                vp8_sized(key_frame, picture, SIZES[layer], &body)
            } else {
                vp8_continuation(picture, &body)
            };
            first = false;
            let packet = rtp(self.sequences[layer], timestamp, &payload);
            self.sequences[layer] = self.sequences[layer].wrapping_add(1);
            let packet = packet.ssrc(0x1000 + layer as u32);
            self.session.take(UPLINK, &packet.bytes());
        }
    }

    fn carry(&mut self) {
        let now = self.session.now;
        for sent in std::mem::take(&mut self.session.out.rtp) {
            let Some(viewer) = self.viewers.iter_mut().find(|v| v.transport == sent.to) else {
                continue;
            };
            let ssrc = sent.packet().ssrc();
            viewer.audio_sent += u64::from(ssrc & 0xF000 == 0xA000);
            let size = sent.bytes.len() + OVERHEAD_BYTES;
            let Some(passed) = self.paths[viewer.path].send(now, size) else {
                continue;
            };
            if self.random.chance(viewer.loss) {
                continue;
            }
            viewer.sent += 1;
            viewer
                .travelling
                .insert((passed + DELAY, viewer.sent), sent.bytes);
        }
        for event in std::mem::take(&mut self.session.out.events) {
            self.events.push((now, event));
        }
        self.session.out.rtcp.clear();
        for index in 0..self.viewers.len() {
            self.receive(index);
        }
    }

    fn receive(&mut self, index: usize) {
        let now = self.session.now;
        let viewer = &mut self.viewers[index];
        while let Some(first) = viewer.travelling.first_entry()
            && first.key().0 <= now
        {
            let (at, _) = *first.key();
            let bytes = first.remove();
            let packet = RtpPacket::parse(&bytes).expect("RTP");
            let number = packet.extensions().get(TRANSPORT_CC_ID).expect("numbered");
            viewer
                .receiver
                .record(at, u16::from_be_bytes([number[0], number[1]]));
            viewer
                .received
                .push((at, packet.ssrc(), bytes.len() + OVERHEAD_BYTES));
        }
        if viewer.receiver.poll_timeout().is_some_and(|at| at <= now) {
            let mut compound = Vec::new();
            viewer.receiver.poll_feedback(now, 1, 2, &mut compound);
            if let (0, Some(lie)) = (index, self.lies) {
                lie(&mut self.random, &mut compound);
            }
            viewer.feedback.push((now + DELAY, compound));
        }
        let transport = viewer.transport;
        let (due, later) = std::mem::take(&mut viewer.feedback)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        viewer.feedback = later;
        let due: Vec<(Instant, Vec<u8>)> = due;
        for (_, compound) in due {
            self.session.rtcp(transport, &compound);
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.session.now + time;
        while self.session.now < end {
            self.send_media();
            self.carry();
            self.session.pass(STEP);
        }
    }

    fn supply(&self, viewer: u64) -> Option<VideoSupply> {
        let of_viewer = |event: &ForwardEvent| match event {
            ForwardEvent::VideoSupply { subscriber, supply } if subscriber.0 == 200 + viewer => {
                Some(*supply)
            }
            _ => None,
        };
        self.events
            .iter()
            .rev()
            .find_map(|(_, event)| of_viewer(event))
    }

    fn trace(&self, index: usize) -> String {
        self.session.router.dump()["downlinks"][index].to_string()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn an_ample_path_soon_carries_the_best_layer() {
    let mut room = Room::new(&LAYERS, &[(20e6, 1)]);
    room.run(seconds(5));
    let now = room.session.now;
    let bps = room.viewers[0].bps(now, seconds(1));
    assert!(bps > LAYERS[2], "{bps} {}", room.trace(0));
    assert_eq!(room.supply(0), None);
}

#[test]
fn a_path_that_shrinks_is_followed_within_three_seconds_and_back_within_fifteen() {
    let mut room = Room::new(&LAYERS, &[(3e6, 1), (50e6, 1)]);
    room.run(seconds(12));
    let before = room.viewers[1].received.len();
    room.paths[0].set_rate(600e3);
    room.run(seconds(3));
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        room.run(Duration::from_millis(50));
        longest = longest.max(room.paths[0].queueing(room.session.now));
    }
    assert!(
        longest < Duration::from_millis(300),
        "{longest:?} {}",
        room.trace(0)
    );
    room.paths[0].set_rate(3e6);
    room.run(seconds(15));
    let now = room.session.now;
    let back = room.viewers[0].bps(now, seconds(2));
    let best = LAYERS[2] * 0.9;
    assert!(back >= best, "{back} {}", room.trace(0));
    let other = room.viewers[1].bps(now, seconds(28));
    assert!(other > LAYERS[2], "{other}");
    assert!(room.viewers[1].received.len() > before);
    assert_eq!(room.supply(1), None);
}

#[test]
fn a_tenth_lost_at_random_leaves_the_path_in_use() {
    let mut room = Room::new(&LAYERS, &[(3e6, 1)]);
    room.viewers[0].loss = 0.1;
    room.run(seconds(30));
    let now = room.session.now;
    let bps = room.viewers[0].bps(now, seconds(10));
    let arriving = LAYERS[2] * 0.9 * 0.95;
    assert!(bps > arriving, "{bps} {}", room.trace(0));
    let estimate = room.session.router.dump()["downlinks"][0]["estimate_bps"]
        .as_f64()
        .expect("a figure");
    assert!(estimate >= 0.7 * 3e6, "{estimate} {}", room.trace(0));
}

#[test]
fn two_subscribers_on_one_path_get_the_same_within_a_fifth() {
    let mut room = Room::new(&LAYERS, &[(1.6e6, 2)]);
    room.run(seconds(60));
    let now = room.session.now;
    let each: Vec<f64> = room
        .viewers
        .iter()
        .map(|viewer| viewer.bps(now, seconds(30)))
        .collect();
    let (less, more) = (each[0].min(each[1]), each[0].max(each[1]));
    assert!(
        less >= 0.8 * more,
        "{each:?} {} {}",
        room.trace(0),
        room.trace(1)
    );
}

#[test]
fn at_80_kbps_sound_passes_and_video_pauses_and_says_so() {
    let mut room = Room::new(&LAYERS, &[(3e6, 1)]);
    room.run(seconds(5));
    room.paths[0].set_rate(80e3);
    room.run(seconds(6));
    assert_eq!(
        room.supply(0),
        Some(VideoSupply::Paused),
        "{}",
        room.trace(0)
    );
    let (sent, received) = (room.viewers[0].audio_sent, room.viewers[0].audio_received());
    room.run(seconds(30));
    let sent = room.viewers[0].audio_sent - sent;
    let received = (room.viewers[0].audio_received() - received) as f64;
    assert!(
        received >= 0.99 * sent as f64,
        "{received} of {sent} {}",
        room.trace(0)
    );
    room.paths[0].set_rate(3e6);
    room.run(seconds(20));
    assert_eq!(
        room.supply(0),
        Some(VideoSupply::Enough),
        "{}",
        room.trace(0)
    );
    let now = room.session.now;
    let bps = room.viewers[0].bps(now, seconds(2));
    assert!(bps > LAYERS[1], "{bps} {}", room.trace(0));
}

#[test]
fn lies_neither_pass_the_cap_nor_touch_others() {
    let lies: [fn(&mut Random, &mut Vec<u8>); 3] = [
        |_, compound| compound.iter_mut().skip(12).for_each(|byte| *byte = 0),
        |_, compound| compound.iter_mut().skip(12).for_each(|byte| *byte = 0xFF),
        |random, compound| {
            for byte in compound.iter_mut().skip(12) {
                *byte = random.below(256) as u8;
            }
        },
    ];
    for lie in lies {
        let mut room = Room::new(&LAYERS, &[(3e6, 1), (3e6, 1)]);
        room.lies = Some(lie);
        room.run(seconds(5));
        let remb = [
            0x8F, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0xFF, 0xFF, 0xFF,
            0, 0, 0, 1,
        ];
        let liar = room.viewers[0].transport;
        room.session.rtcp(liar, &remb);
        room.run(seconds(10));
        let dump = room.session.router.dump();
        let estimate = dump["downlinks"][0]["estimate_bps"].as_f64();
        assert!(estimate.expect("a figure") <= 100e6);
        let now = room.session.now;
        let honest = room.viewers[1].bps(now, seconds(5));
        assert!(honest > 0.9 * LAYERS[2], "{honest} {}", room.trace(1));
    }
}

#[test]
fn without_feedback_nothing_is_held_back() {
    let mut session = Session::with(PayloadAccess::Opaque, source(Codec::Vp8));
    for number in 0..200_u16 {
        let payload = vp8_sized(number == 0, number, SIZES[0], &[1; 1_000]);
        session.rtp(&rtp(number, 0, &payload).bytes());
    }
    assert_eq!(session.out.stream(DOWNLINK, SINK_SSRC).len(), 200);
    assert_eq!(source(Codec::Vp8).kind, MediaKind::Video);
}
