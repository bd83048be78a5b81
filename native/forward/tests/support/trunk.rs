//! One session in two routers, joined by a trunk.

use super::wire::{Rtp, encrypted, rtp, vp8_sized};
use super::*;
use sealroute_netem::Random;

/// The trunk's handles: at the origin, and where its packets are an input.
pub const TRUNK: TransportHandle = TransportHandle(50);
pub const INPUT: TransportHandle = TransportHandle(60);
pub const LEVEL_ID: u8 = 1;
pub const MILLISECOND: Duration = Duration::from_millis(1);
pub const FRAME: Duration = Duration::from_millis(33);

/// One session in two routers: a publisher at the origin, and a subscriber at each.
pub struct Pair {
    pub origin: Session,
    pub other: Session,
    /// Packets on the trunk are lost with this probability.
    pub loss: f64,
    pub random: Random,
    /// Everything that crossed, lost packets too.
    pub crossed: Vec<Sent>,
}

/// The up track where it is an input: its SSRCs are 1, 2 and so on.
pub fn input_of(mut parameters: UpTrackParameters) -> UpTrackParameters {
    for (ssrc, encoding) in (1..).zip(&mut parameters.encodings) {
        *encoding = EncodingParameters {
            ssrc: Some(ssrc),
            rtx_ssrc: None,
            ..encoding.clone()
        };
    }
    UpTrackParameters {
        rtx_payload_type: None,
        nack: true,
        declared_kids: Vec::new(),
        ..parameters
    }
}

pub fn drained(sent: &mut Vec<Sent>, to: TransportHandle) -> Vec<Sent> {
    let (taken, kept) = sent.drain(..).partition(|one| one.to == to);
    *sent = kept;
    taken
}

impl Pair {
    pub fn of(access: PayloadAccess, parameters: UpTrackParameters) -> Self {
        let ssrcs = (1..=parameters.encodings.len() as u32).collect();
        let mut origin = Session::with(access, parameters.clone());
        origin.router.open_trunk(TRUNK).expect("opened");
        let fed = origin.router.feed_trunk(PUBLISHER, "0", TRUNK, ssrcs);
        fed.expect("fed");
        let mut other = Session::new(access);
        other.now = origin.now;
        other.router.open_trunk(INPUT).expect("opened");
        other.publish(PUBLISHER, INPUT, input_of(parameters));
        other.subscribe(SUBSCRIBER, DOWNLINK, down_track());
        Self {
            origin,
            other,
            loss: 0.0,
            random: Random::new(1),
            crossed: Vec::new(),
        }
    }

    /// Carries what waits, both ways, until nothing does.
    pub fn carry(&mut self) {
        loop {
            let packets = drained(&mut self.origin.out.rtp, TRUNK);
            let reports = drained(&mut self.origin.out.rtcp, TRUNK);
            let requests = drained(&mut self.other.out.rtcp, INPUT);
            if packets.is_empty() && reports.is_empty() && requests.is_empty() {
                return;
            }
            for sent in packets {
                if !self.random.chance(self.loss) {
                    self.other.take(INPUT, &sent.bytes);
                }
                self.crossed.push(sent);
            }
            self.other.router.flush(self.other.now, &mut self.other.out);
            for sent in reports {
                self.other.rtcp(INPUT, &sent.bytes);
            }
            for sent in requests {
                self.origin.rtcp(TRUNK, &sent.bytes);
            }
        }
    }

    pub fn take(&mut self, packet: &[u8]) {
        self.origin.rtp(packet);
        self.carry();
    }

    pub fn pass(&mut self, time: Duration) {
        for _ in 0..time.as_millis() {
            self.origin.pass(MILLISECOND);
            self.other.pass(MILLISECOND);
            self.carry();
        }
    }

    pub fn payloads(&self) -> [Vec<Vec<u8>>; 2] {
        [&self.origin, &self.other].map(|side| in_order(&side.out))
    }
}

/// What a subscriber makes of its packets and of their retransmissions: payloads by number.
pub fn in_order(out: &Recorder) -> Vec<Vec<u8>> {
    let mut numbered = Vec::new();
    for sent in &out.rtp {
        let (packet, payload) = (sent.packet(), sent.packet().payload());
        if packet.ssrc() == DOWN_TRACK_RTX_SSRC {
            let number = u16::from_be_bytes([payload[0], payload[1]]);
            numbered.push((number, payload[2..].to_vec()));
        } else {
            numbered.push((sent.sequence(), payload.to_vec()));
        }
    }
    numbered.sort();
    numbered.dedup();
    numbered.into_iter().map(|(_, payload)| payload).collect()
}

pub fn audio() -> UpTrackParameters {
    UpTrackParameters {
        extensions: ids(&[(Extension::Mid, MID_ID), (Extension::AudioLevel, LEVEL_ID)]),
        ..up_track(Codec::Opus)
    }
}

/// With a retransmission stream.
pub fn repaired_audio() -> UpTrackParameters {
    UpTrackParameters {
        rtx_payload_type: Some(RTX_PAYLOAD_TYPE),
        encodings: vec![EncodingParameters {
            ssrc: Some(SSRC),
            rtx_ssrc: Some(RTX_SSRC),
            rid: None,
        }],
        ..audio()
    }
}

pub fn voice(number: u16) -> Rtp {
    let body = encrypted(&number.to_be_bytes());
    let packet = rtp(number, u32::from(number) * 960, &body).marker();
    packet.extension(MID_ID, b"0").extension(LEVEL_ID, &[30])
}

/// A frame of the camera's encoding, under a number of its own.
pub fn frame(encoding: usize, number: u16, key_frame: bool) -> Rtp {
    let size = [(320, 180), (640, 360), (1_280, 720)][encoding];
    let payload = vp8_sized(key_frame, number, size, &number.to_be_bytes());
    let packet = rtp(number, u32::from(number) * 2_970, &payload).marker();
    let packet = packet.ssrc(100 + encoding as u32).extension(MID_ID, b"0");
    packet.extension(RID_ID, [&b"q"[..], b"h", b"f"][encoding])
}
