//! A publisher of three VP8 encodings, packet by packet, and its subscriber.

use super::wire::{Rtp, picture_of, retransmission, rtp, vp8_continuation, vp8_sized};
use super::*;
use sealroute_forward::{Layer, PreferredLayers};

pub const SMALL: usize = 0;
pub const LARGE: usize = 2;
pub const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];
pub const RIDS: [&[u8]; 3] = [b"q", b"h", b"f"];
pub const TICKS: u32 = 3_000;
/// All layers of all encodings.
pub const WHOLE: Layer = Layer {
    encoding: LARGE as u8,
    spatial: 3,
    temporal: 7,
};

/// A publisher whose packets are sent one by one; the sequence numbers of the encodings start at
/// 100, 1000 and 10000.
pub struct Camera {
    pub session: Session,
    rtx: u16,
}

/// The position of a packet in its frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first packet of a key frame.
    Key,
    First,
    Middle,
    Last,
    /// A complete key frame.
    WholeKey,
    /// Another complete frame.
    Whole,
}

impl Camera {
    /// The subscriber gets the small encoding and has not received anything yet.
    pub fn new() -> Self {
        Self::of(down_track())
    }

    pub fn of(down_track: DownTrackParameters) -> Self {
        let mut session = Session::new(PayloadAccess::Opaque);
        session.publish(PUBLISHER, UPLINK, simulcast(Codec::Vp8));
        session.subscribe(SUBSCRIBER, DOWNLINK, down_track);
        let mut camera = Self { session, rtx: 0 };
        camera.prefer(SMALL);
        camera
    }

    pub fn prefer(&mut self, encoding: usize) {
        let preferred = PreferredLayers {
            max_width_px: Some(u32::from(SIZES[encoding].0)),
            ..PreferredLayers::default()
        };
        let outcome = self
            .session
            .router
            .set_preferred_layers(SUBSCRIBER, preferred);
        outcome.expect("set");
    }

    pub fn allocate(&mut self, layer: Option<Layer>) {
        let outcome = self.session.router.set_allocation(SUBSCRIBER, "7", layer);
        outcome.expect("set");
    }

    pub fn packet(encoding: usize, number: u16, picture: u16, part: Part) -> Rtp {
        let body = [&[0x5A; 40], number.to_be_bytes().as_slice()].concat();
        let id = picture + 500 * encoding as u16;
        let payload = match part {
            Part::Middle | Part::Last => vp8_continuation(id, &body),
            _ => {
                let key_frame = matches!(part, Part::Key | Part::WholeKey);
                vp8_sized(key_frame, id, SIZES[encoding], &body)
            }
        };
        let timestamp = u32::from(picture) * TICKS + 77_777 * encoding as u32;
        let packet = rtp(number, timestamp, &payload)
            .ssrc(100 + encoding as u32)
            .extension(MID_ID, b"0")
            .extension(RID_ID, RIDS[encoding]);
        match part {
            Part::Last | Part::WholeKey | Part::Whole => packet.marker(),
            _ => packet,
        }
    }

    pub fn send(&mut self, encoding: usize, number: u16, picture: u16, part: Part) {
        self.take(&Self::packet(encoding, number, picture, part));
    }

    pub fn take(&mut self, packet: &Rtp) {
        self.session.rtp(&packet.bytes());
        self.session.pass(Duration::from_millis(5));
    }

    /// A retransmission of a lost packet.
    pub fn repair(&mut self, encoding: usize, number: u16, picture: u16, part: Part) {
        self.repair_packet(encoding, &Self::packet(encoding, number, picture, part));
    }

    pub fn repair_packet(&mut self, encoding: usize, original: &Rtp) {
        self.rtx += 1;
        let mut again = retransmission(self.rtx, original).ssrc(200 + encoding as u32);
        again.extensions = vec![
            (MID_ID, b"0".to_vec()),
            (REPAIRED_RID_ID, RIDS[encoding].to_vec()),
        ];
        self.take(&again);
    }

    pub fn sequences(&self) -> Vec<u16> {
        self.session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC)
    }

    /// Sequence number, timestamp and picture ids of the last sent packet.
    pub fn last(&self) -> (u16, u32, (u16, u8)) {
        let stream = self.session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
        let packet = stream.last().expect("a packet").packet();
        let picture = picture_of(packet.payload());
        (packet.sequence().0, packet.timestamp(), picture)
    }
}
