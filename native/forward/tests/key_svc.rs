//! SVC with dependency descriptors whose spatial layers depend on each other only in key pictures
//! (K-SVC), with encrypted payloads.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use sealroute_forward::{Codec, Extension, Layer, PayloadAccess};
use support::wire::{encrypted, rtp};
use support::*;

const FRAME: Duration = Duration::from_millis(33);
const TICKS: u32 = 2_970;
const DEPENDENCIES_ID: u8 = 13;

/// Spatial and temporal layers with the dependency descriptors of Chromium's `L2T2_KEY`: pictures
/// between key pictures depend only on their own spatial layer.
struct KeySvc {
    session: Session,
    picture: u16,
}

const TARGETS: [(u8, u8); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];
/// The layer, and its role in the targets: none, discardable, switch.
const TEMPLATES: [((u8, u8), [u8; 4]); 6] = [
    ((0, 0), [2, 2, 2, 2]),
    ((0, 0), [2, 2, 0, 0]),
    ((0, 1), [0, 1, 0, 0]),
    ((1, 0), [0, 0, 2, 2]),
    ((1, 0), [0, 0, 2, 2]),
    ((1, 1), [0, 0, 0, 1]),
];

fn bits(fields: &[(u32, usize)]) -> Vec<u8> {
    let all = fields
        .iter()
        .flat_map(|&(value, width)| (0..width).rev().map(move |bit| (value >> bit & 1) as u8));
    let all: Vec<u8> = all.collect();
    let byte = |chunk: &[u8]| {
        let value = chunk.iter().fold(0, |value, bit| value << 1 | bit);
        value << (8 - chunk.len())
    };
    all.chunks(8).map(byte).collect()
}

fn dependencies(template: u8, number: u16, key: bool) -> Vec<u8> {
    let mut fields = vec![(0b11, 2), (template.into(), 6), (number.into(), 16)];
    if key {
        fields.extend([(0b10000, 5), (0, 6), (TARGETS.len() as u32 - 1, 5)]);
        for pair in TEMPLATES.windows(2) {
            let ((one, next), spatial) = ((pair[0].0, pair[1].0), pair[1].0.0 > pair[0].0.0);
            let same = u32::from(next != one);
            fields.push((if spatial { 2 } else { same }, 2));
        }
        fields.push((3, 2));
        let indications = TEMPLATES.iter().flat_map(|(_, indications)| indications);
        fields.extend(indications.map(|&one| (one.into(), 2)));
        // No frame differences, no chains, no sizes.
        fields.extend([(0, TEMPLATES.len()), (0, 2), (0, 1), (0, 1)]);
    }
    bits(&fields)
}

impl KeySvc {
    fn new(codec: Codec) -> Self {
        let mut parameters = up_track(codec);
        let descriptor = (Extension::DependencyDescriptor, DEPENDENCIES_ID);
        parameters.extensions.0.push(descriptor);
        Self {
            session: Session::with(PayloadAccess::Opaque, parameters),
            picture: 0,
        }
    }

    /// An OBU of type "frame" after its header, encrypted; a new sequence at a key picture.
    fn payload(key: bool, layer: (u8, u8)) -> Vec<u8> {
        let head = [0x10 | u8::from(key) << 3, 6 << 3];
        let (spatial, temporal) = layer;
        [&head, encrypted(&[spatial << 4 | temporal; 20]).as_slice()].concat()
    }

    fn send(&mut self, count: u16, key: bool) {
        for index in 0..count {
            let key = key && index == 0;
            let temporal = if key { 0 } else { (self.picture % 2) as u8 };
            for spatial in 0..2_u8 {
                let template = if key {
                    3 * spatial
                } else {
                    3 * spatial + 1 + temporal
                };
                let number = self.picture * 2 + u16::from(spatial);
                let payload = Self::payload(key && spatial == 0, (spatial, temporal));
                let value = dependencies(template, number, key && spatial == 0);
                let packet = rtp(number, u32::from(self.picture) * TICKS, &payload)
                    .ssrc(SSRC)
                    .extension(MID_ID, b"0")
                    .extension(DEPENDENCIES_ID, &value);
                let packet = if spatial == 1 {
                    packet.marker()
                } else {
                    packet
                };
                self.session.rtp(&packet.bytes());
            }
            self.picture += 1;
            self.session.pass(FRAME);
        }
    }

    fn limit(&mut self, spatial: u8, temporal: u8) {
        let layer = Layer {
            encoding: 0,
            spatial,
            temporal,
        };
        let router = &mut self.session.router;
        let set = router.set_allocation(SUBSCRIBER, "7", Some(layer));
        set.expect("set");
        self.session.out.clear();
    }

    /// Layers and markers of the packets sent since the last limit.
    fn sent(&self) -> Vec<(u8, u8, bool)> {
        let stream = self.session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
        let read = |sent: &&Sent| {
            let packet = sent.packet();
            let body = *packet.payload().last().expect("a body");
            (body >> 4, body & 0x0F, packet.marker())
        };
        stream.iter().map(read).collect()
    }
}

#[test]
fn sizes_that_need_their_own_earlier_pictures_start_only_at_key_pictures() {
    let mut camera = KeySvc::new(Codec::Av1);
    camera.send(40, true);
    camera.limit(0, 1);
    camera.send(4, false);
    let small = [(0, 0, true), (0, 1, true)];
    assert_eq!(camera.sent(), [small, small].concat());
    camera.limit(1, 1);
    camera.send(4, false);
    assert_eq!(
        camera.sent(),
        [small, small].concat(),
        "only switches of its own size came"
    );
    assert!(camera.session.out.plis(UPLINK, SSRC) > 0);
    camera.session.out.clear();
    camera.send(2, true);
    let both = [(0, 0, false), (1, 0, true), (0, 1, false), (1, 1, true)];
    assert_eq!(camera.sent(), both);
}

#[test]
fn pictures_between_come_back_without_a_key_picture_by_the_dependency_descriptor() {
    let mut camera = KeySvc::new(Codec::Av1);
    camera.send(40, true);
    camera.limit(1, 0);
    camera.send(4, false);
    let slow = [(0, 0, false), (1, 0, true)];
    assert_eq!(camera.sent(), [slow, slow].concat());
    camera.limit(1, 1);
    camera.send(4, false);
    let fast = [(0, 0, false), (1, 0, true), (0, 1, false), (1, 1, true)];
    assert_eq!(camera.sent(), [fast, fast].concat());
    assert_eq!(camera.session.out.plis(UPLINK, SSRC), 0);
    let numbers = camera.session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC);
    assert!(
        numbers
            .windows(2)
            .all(|pair| pair[1] == pair[0].wrapping_add(1))
    );
}
