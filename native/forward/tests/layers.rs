//! Spatial and temporal layers inside one encoding, with encrypted payloads.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use sealroute_forward::{Codec, Extension, Layer, PayloadAccess, PreferredLayers};
use support::wire::{at_temporal, encrypted, picture_of, rtp, temporal_of, vp8, vp8_continuation};
use support::*;

const FRAME: Duration = Duration::from_millis(33);
const TICKS: u32 = 2_970;

/// VP8 with three temporal layers and two packets per picture.
struct Camera {
    session: Session,
    picture: u64,
    number: u16,
}

impl Camera {
    fn new() -> Self {
        Self {
            session: Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8)),
            picture: 0,
            number: 100,
        }
    }

    /// The packets of the next picture.
    fn next(&mut self) -> Vec<Vec<u8>> {
        let asked = self.session.out.plis(UPLINK, SSRC) > 0;
        if asked {
            self.session.out.rtcp.clear();
            self.picture = self.picture.next_multiple_of(4);
        }
        let (temporal, sync) = temporal_of(self.picture);
        let id = 0x7FF0 + self.picture as u16;
        let body = [temporal; 40];
        let key_frame = asked || self.picture == 0;
        let parts = [vp8(key_frame, id, &body), vp8_continuation(id, &body)];
        let timestamp = self.picture as u32 * TICKS;
        self.picture += 1;
        let packets = parts.into_iter().enumerate().map(|(part, payload)| {
            let packet = rtp(
                self.number.wrapping_add(part as u16),
                timestamp,
                &at_temporal(payload, temporal, sync),
            );
            let packet = packet.ssrc(SSRC).extension(MID_ID, b"0");
            let packet = if part == 1 { packet.marker() } else { packet };
            packet.bytes()
        });
        let packets = packets.collect();
        self.number = self.number.wrapping_add(2);
        packets
    }

    fn frames(&mut self, count: usize) {
        for _ in 0..count {
            for packet in self.next() {
                self.session.rtp(&packet);
            }
            self.session.pass(FRAME);
        }
    }

    fn prefer(&mut self, frame_rate: Option<f32>) {
        let preferred = PreferredLayers {
            max_frame_rate: frame_rate,
            ..PreferredLayers::default()
        };
        let router = &mut self.session.router;
        router
            .set_preferred_layers(SUBSCRIBER, preferred)
            .expect("set");
    }

    fn allocate(&mut self, temporal: u8) {
        let layer = Layer {
            temporal,
            ..Layer::default()
        };
        let router = &mut self.session.router;
        let set = router.set_allocation(SUBSCRIBER, "7", Some(layer));
        set.expect("set");
    }

    /// Temporal layers of the packets sent since the last call.
    fn received(&mut self) -> Vec<u8> {
        let payloads = self.session.out.payloads(DOWNLINK, DOWN_TRACK_SSRC);
        payloads.iter().map(|payload| payload[5] >> 6).collect()
    }

    /// Sequence numbers and picture ids continue without a gap, and timestamps do not go back.
    fn assert_whole(&self) {
        let stream = self.session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
        for pair in stream.windows(2) {
            let step = pair[1].sequence().wrapping_sub(pair[0].sequence());
            assert_eq!(step, 1);
            let (one, other) = (pair[0].packet(), pair[1].packet());
            let (id, next) = (picture_of(one.payload()).0, picture_of(other.payload()).0);
            let steps = next.wrapping_sub(id) & 0x7FFF;
            let same = one.timestamp() == other.timestamp();
            assert_eq!(steps, u16::from(!same), "{id} {next}");
            assert!(other.timestamp().wrapping_sub(one.timestamp()) < 1 << 31);
        }
    }
}

#[test]
fn all_temporal_layers_are_forwarded_without_a_preference() {
    let mut camera = Camera::new();
    camera.frames(90);
    assert_eq!(camera.received().len(), 180);
    camera.assert_whole();
}

#[test]
fn a_lower_preferred_frame_rate_drops_upper_layers_without_a_gap() {
    let mut camera = Camera::new();
    camera.frames(60);
    for (rate, highest) in [(15.0, 1), (8.0, 0), (15.0, 1), (30.0, 2)] {
        camera.prefer(Some(rate));
        camera.frames(8);
        camera.session.out.clear();
        camera.frames(60);
        assert_eq!(camera.received().iter().max(), Some(&highest), "{rate}");
        camera.assert_whole();
    }
    assert!(camera.session.dropped("upper_layer") > 100);
}

#[test]
fn sequence_numbers_continue_through_every_change_of_the_layer() {
    let mut camera = Camera::new();
    camera.frames(60);
    for step in 0..40_u8 {
        camera.allocate((usize::from(step) * 7 % 3) as u8);
        camera.frames(usize::from(step % 5) + 1);
    }
    camera.assert_whole();
}

#[test]
fn a_lower_layer_needs_no_key_frame_and_neither_does_a_higher_one() {
    let mut camera = Camera::new();
    camera.frames(60);
    camera.session.out.rtcp.clear();
    camera.allocate(0);
    camera.frames(30);
    camera.allocate(2);
    camera.frames(30);
    assert_eq!(camera.session.out.plis(UPLINK, SSRC), 0);
    assert_eq!(camera.received().last(), Some(&2));
}

/// Only the lowest layer passes; the first packet of an upper picture is late and comes last.
fn one_filled(camera: &mut Camera) {
    camera.frames(60);
    camera.allocate(0);
    camera.frames(4);
    camera.session.out.clear();
    // Pictures of layers 0 and 2; the first packet of the second one is late.
    camera.frames(1);
    let upper = camera.next();
    let later: Vec<_> = (0..3).flat_map(|_| camera.next()).collect();
    camera.session.rtp(&upper[1]);
    for packet in &later {
        camera.session.rtp(packet);
    }
    camera.session.rtp(&upper[0]);
}

#[test]
fn a_late_packet_of_an_upper_layer_is_replaced_by_padding() {
    let mut camera = Camera::new();
    one_filled(&mut camera);
    let stream = camera.session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
    let mut numbers: Vec<_> = stream.iter().map(|sent| sent.sequence()).collect();
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    let media = camera.session.out.payloads(DOWNLINK, DOWN_TRACK_SSRC);
    let media = media.iter().filter(|payload| payload.len() > 1);
    assert!(media.clone().all(|payload| payload[5] >> 6 == 0));
}

#[test]
fn padding_is_retransmitted_as_padding() {
    for rtx in [true, false] {
        let mut camera = Camera::new();
        if !rtx {
            let router = &mut camera.session.router;
            router.unsubscribe(SUBSCRIBER).expect("unsubscribed");
            camera
                .session
                .subscribe(SUBSCRIBER, DOWNLINK, down_track_without_rtx());
        }
        one_filled(&mut camera);
        let stream = camera.session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
        let padding = (*stream.last().expect("a packet")).clone();
        assert!(padding.packet().payload().is_empty());
        let compound = nack(DOWN_TRACK_SSRC, &[padding.sequence()]);
        camera.session.rtcp(DOWNLINK, &compound);
        assert_eq!(camera.session.counter("rtx_sent"), 1, "{rtx}");
        let again = camera.session.out.rtp.last().expect("a packet");
        if rtx {
            assert_eq!(again.packet().ssrc(), DOWN_TRACK_RTX_SSRC);
            let payload = again.packet().payload().to_vec();
            assert_eq!(payload, padding.sequence().to_be_bytes());
        } else {
            assert_eq!(again.bytes, padding.bytes);
        }
    }
}

#[test]
fn a_lost_packet_of_a_forwarded_layer_is_retransmitted_with_its_own_sequence_number() {
    let mut camera = Camera::new();
    camera.frames(60);
    camera.allocate(1);
    camera.frames(5);
    camera.session.out.clear();
    let mut lost = Vec::new();
    for _ in 0..8 {
        let packets = camera.next();
        let wanted = packets[0][packets[0].len() - 1] == 0;
        let sends = if wanted && lost.is_empty() { 1.. } else { 0.. };
        if sends.start == 1 {
            lost.clone_from(&packets[0]);
        }
        for packet in &packets[sends] {
            camera.session.rtp(packet);
        }
        camera.session.pass(FRAME);
    }
    camera.session.rtp(&lost);
    let mut numbers = camera.session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC);
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn the_snapshot_tells_the_highest_temporal_layer_and_the_frame_rate() {
    let mut camera = Camera::new();
    camera.frames(90);
    let snapshot = camera.session.router.snapshot();
    let encoding = &snapshot.up_tracks[0].encodings[0];
    assert_eq!(encoding.layers, (0, 2));
    let rate = encoding.frame_rate.expect("measured");
    assert!((28.0..32.0).contains(&rate), "{rate}");
}

/// VP9 with three spatial layers, one packet each; only the first picture is a key picture.
fn vp9_picture(picture: u16, inter: bool) -> [Vec<u8>; 3] {
    [0, 1, 2].map(|spatial: u8| {
        let id = (picture | 0x8000).to_be_bytes();
        // I P L F=0 B E V=0: a 15-bit id, layers, TL0PICIDX; D: predicted from the spatial layer
        // below.
        let flags = 0x80 | u8::from(inter) << 6 | 0x20 | 0x08 | 0x04;
        let layer = spatial << 1 | u8::from(spatial > 0);
        let descriptor = [flags, id[0], id[1], layer, picture as u8];
        let body = [spatial; 20];
        let payload = [&descriptor, encrypted(&body).as_slice()].concat();
        let packet = rtp(
            picture * 3 + u16::from(spatial),
            u32::from(picture) * TICKS,
            &payload,
        )
        .ssrc(SSRC)
        .extension(MID_ID, b"0");
        if spatial == 2 {
            packet.marker().bytes()
        } else {
            packet.bytes()
        }
    })
}

/// Spatial layers and markers of the packets sent since the last clear.
fn sizes(session: &Session) -> Vec<(u8, bool)> {
    let stream = session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
    let read = |sent: &&Sent| {
        let packet = sent.packet();
        let size = packet.payload()[3] >> 1;
        (size, packet.marker())
    };
    stream.iter().map(read).collect()
}

#[test]
fn lower_layers_of_vp9_end_with_the_marker_and_higher_ones_wait_for_a_key_picture() {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Vp9));
    let mut picture = 0;
    let mut send = |session: &mut Session, count: u16, key: bool| {
        for index in 0..count {
            for packet in vp9_picture(picture, !(key && index == 0)) {
                session.rtp(&packet);
            }
            picture += 1;
            session.pass(FRAME);
        }
    };
    send(&mut session, 40, true);
    session.out.clear();
    send(&mut session, 2, false);
    let whole = [(0, false), (1, false), (2, true)];
    assert_eq!(sizes(&session), [whole, whole].concat());
    let limit = |session: &mut Session, spatial| {
        let layer = Layer {
            spatial,
            temporal: 7,
            ..Layer::default()
        };
        let set = session.router.set_allocation(SUBSCRIBER, "7", Some(layer));
        set.expect("set");
    };
    limit(&mut session, 1);
    session.out.clear();
    send(&mut session, 2, false);
    let smaller = [(0, false), (1, true)];
    assert_eq!(sizes(&session), [smaller, smaller].concat());
    limit(&mut session, 2);
    session.out.clear();
    send(&mut session, 2, false);
    assert_eq!(sizes(&session), [smaller, smaller].concat());
    assert!(
        session.out.plis(UPLINK, SSRC) > 0,
        "a key picture is asked for"
    );
    session.out.clear();
    send(&mut session, 1, true);
    assert_eq!(sizes(&session), whole);
    let numbers = session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

/// Two temporal layers: the structure of a key frame, then the two templates.
const KEY_DEPENDENCIES: [u8; 8] = [0xC0, 0, 0, 0x80, 0x01, 0x7A, 0x24, 0];
const DEPENDENCIES_ID: u8 = 13;

#[test]
fn vp8_says_its_layer_by_the_dependency_descriptor_where_that_is_negotiated() {
    // Without the optional bytes: no picture id, no temporal layer.
    assert_layers_are_read_from_the_dependency_descriptor(Codec::Vp8, |key| {
        if key {
            &[0x10, 0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0, 5, 0xD0, 2]
        } else {
            &[0x10, 0x11]
        }
    });
}

#[test]
fn h264_says_its_layer_by_the_dependency_descriptor_alone() {
    // The NAL header and a slice header of three codes of one bit.
    assert_layers_are_read_from_the_dependency_descriptor(Codec::H264, |key| {
        if key { &[0x65, 0xE0] } else { &[0x41, 0xE0] }
    });
}

fn assert_layers_are_read_from_the_dependency_descriptor(
    codec: Codec,
    clear: impl Fn(bool) -> &'static [u8],
) {
    let mut parameters = up_track(codec);
    let descriptor = (Extension::DependencyDescriptor, DEPENDENCIES_ID);
    parameters.extensions.0.push(descriptor);
    let mut session = Session::with(PayloadAccess::Opaque, parameters);
    let mut picture = 0_u16;
    let mut send = |session: &mut Session, count: u16| {
        for _ in 0..count {
            let temporal = (picture % 2) as u8;
            let dependencies = match picture {
                0 => KEY_DEPENDENCIES.to_vec(),
                _ => vec![0xC0 | temporal, 0, picture as u8],
            };
            let payload = [clear(picture == 0), &encrypted(&[temporal; 20])].concat();
            let packet = rtp(picture, u32::from(picture) * TICKS, &payload).ssrc(SSRC);
            let packet = packet.marker().extension(MID_ID, b"0");
            session.rtp(&packet.extension(DEPENDENCIES_ID, &dependencies).bytes());
            picture += 1;
            session.pass(FRAME);
        }
    };
    send(&mut session, 60);
    let limit = |session: &mut Session, rate| {
        let preferred = PreferredLayers {
            max_frame_rate: rate,
            ..PreferredLayers::default()
        };
        let set = session.router.set_preferred_layers(SUBSCRIBER, preferred);
        set.expect("set");
    };
    for (rate, both) in [(Some(15.0), false), (None, true)] {
        limit(&mut session, rate);
        send(&mut session, 2);
        session.out.clear();
        send(&mut session, 20);
        let payloads = session.out.payloads(DOWNLINK, DOWN_TRACK_SSRC);
        let upper = payloads.iter().filter(|payload| payload.last() == Some(&1));
        assert_eq!(upper.count(), if both { 10 } else { 0 });
        let numbers = session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC);
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }
}
