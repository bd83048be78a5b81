//! Over long random runs, a sequence number never stands for two packets, and every packet is
//! accounted for.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{Codec, MediaKind, PayloadAccess};
use sealroute_netem::{Conditions, Link, Random};
use std::collections::HashMap;
use std::time::Duration;
use support::wire::{probe, retransmission, rtp, vp8, vp8_continuation};
use support::*;

const STEPS: u32 = 30_000;
/// Reasons for rejecting a packet on the uplink.
const NOT_TAKEN: [&str; 7] = [
    "malformed",
    "unknown_stream",
    "payload_type",
    "padding_only",
    "duplicate",
    "muted",
    "not_encrypted",
];

struct Run {
    session: Session,
    random: Random,
    link: Link,
    rtx: u16,
    number: u16,
    subscribed: bool,
    /// The bytes protected under each SSRC and sequence number.
    seen: HashMap<(u32, u64), Vec<u8>>,
    highest: HashMap<u32, u64>,
}

impl Run {
    fn new(seed: u64, rtx: bool) -> Self {
        let mut session = Session::new(PayloadAccess::Opaque);
        session.publish(PUBLISHER, UPLINK, up_track(Codec::Vp8));
        session.subscribe(
            SUBSCRIBER,
            DOWNLINK,
            if rtx {
                down_track()
            } else {
                down_track_without_rtx()
            },
        );
        let conditions = Conditions {
            loss: 0.08,
            duplication: 0.05,
            reordering: 0.1,
            reordering_delay: Duration::from_millis(12),
            delay: Duration::from_millis(5),
            jitter: Duration::from_millis(3),
        };
        Self {
            session,
            random: Random::new(seed),
            link: Link::new(seed + 1, conditions),
            rtx: 0,
            number: 65_000,
            subscribed: true,
            seen: HashMap::new(),
            highest: HashMap::new(),
        }
    }

    fn media(&mut self, number: u16) -> wire::Rtp {
        let picture = number / 3;
        let body = [
            number.to_be_bytes().as_slice(),
            &self.random.next_u64().to_be_bytes(),
        ]
        .concat();
        let payload = match number % 3 {
            0 => vp8(self.random.chance(0.1), picture, &body),
            _ => vp8_continuation(picture, &body),
        };
        rtp(number, u32::from(picture) * 3_000, &payload)
    }

    /// A publisher that follows no rules: probes, plaintext, jumps, retransmissions of anything.
    fn publish_one(&mut self) {
        self.number = self.number.wrapping_add(1);
        let now = self.session.now;
        let packet = match self.random.below(40) {
            0 | 1 => probe(self.number),
            2 => rtp(self.number, 0, b"\x10\x11 plain").bytes(),
            3 => {
                let near = self
                    .number
                    .wrapping_add(100)
                    .wrapping_sub(self.random.below(300) as u16);
                self.rtx = self.rtx.wrapping_add(1);
                let original = self.media(near);
                retransmission(self.rtx, &original).bytes()
            }
            4 if self.random.chance(0.05) => {
                self.number = self.number.wrapping_add(self.random.below(3_000) as u16);
                probe(self.number)
            }
            5 => vec![0x80, 3],
            6 => self.media(self.number).payload_type(100).bytes(),
            7 => self
                .media(self.number)
                .ssrc(3)
                .extension(MID_ID, b"none")
                .bytes(),
            _ => self.media(self.number).bytes(),
        };
        self.link.send(now, &packet);
    }

    fn command(&mut self) {
        let forwarding = self.random.chance(0.8);
        let router = &mut self.session.router;
        match self.random.below(300) {
            0 if self.subscribed => router
                .set_down_track_forwarding(SUBSCRIBER, MediaKind::Video, forwarding)
                .expect("set"),
            1 => router
                .set_up_track_forwarding(PUBLISHER, "0", forwarding)
                .expect("set"),
            _ => {}
        }
    }

    fn resubscribe(&mut self, parameters: &sealroute_forward::DownTrackParameters) {
        if self.random.below(2_000) == 0 {
            if self.subscribed {
                self.session
                    .router
                    .unsubscribe(SUBSCRIBER)
                    .expect("unsubscribed");
            } else {
                self.session
                    .subscribe(SUBSCRIBER, DOWNLINK, parameters.clone());
            }
            self.subscribed = !self.subscribed;
        }
    }

    fn ask_again(&mut self) {
        let highest = self
            .highest
            .get(&DOWN_TRACK_SSRC)
            .copied()
            .unwrap_or_default() as u16;
        let lost: Vec<u16> = (0..5)
            .map(|_| highest.wrapping_sub(self.random.below(700) as u16))
            .collect();
        self.session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &lost));
    }

    /// Every pair of SSRC and unwrapped sequence number stands for the bytes of one packet.
    fn check(&mut self) {
        for sent in self.session.out.rtp.drain(..) {
            let packet = sent.packet();
            let (ssrc, wire) = (packet.ssrc(), packet.sequence().0);
            let highest = self
                .highest
                .entry(ssrc)
                .or_insert(0x1_0000 + u64::from(wire));
            let ahead = i64::from(wire.wrapping_sub(*highest as u16) as i16);
            let full = highest.saturating_add_signed(ahead);
            *highest = full.max(*highest);
            let before = self
                .seen
                .entry((ssrc, full))
                .or_insert_with(|| sent.bytes.clone());
            assert_eq!(*before, sent.bytes, "{ssrc:#x} {full}");
        }
    }

    fn step(&mut self) {
        self.publish_one();
        self.command();
        self.session.pass(Duration::from_millis(1));
        while let Some(datagram) = self.link.receive(self.session.now) {
            self.session.take(UPLINK, &datagram);
        }
        if self.random.chance(0.7) {
            self.session
                .router
                .flush(self.session.now, &mut self.session.out);
        }
        if self.random.chance(0.1) {
            self.ask_again();
        }
        self.check();
    }
}

#[test]
fn a_sequence_number_never_stands_for_two_packets() {
    for (seed, rtx) in [(1, false), (2, true), (3, false), (4, true)] {
        let mut run = Run::new(seed, rtx);
        let parameters = if rtx {
            down_track()
        } else {
            down_track_without_rtx()
        };
        for _ in 0..STEPS {
            run.step();
            run.resubscribe(&parameters);
        }
        assert!(run.seen.len() > 3_000, "{}", run.seen.len());
        assert!(run.session.counter("rtx_sent") > 1_000);
    }
}

#[test]
fn every_packet_has_exactly_one_outcome() {
    for seed in [11, 12] {
        let mut run = Run::new(seed, true);
        run.session
            .subscribe(OTHER_SUBSCRIBER, OTHER_DOWNLINK, other_down_track());
        for _ in 0..STEPS {
            run.step();
        }
        let session = &mut run.session;
        session.router.flush(session.now, &mut session.out);
        let taken = session.router.snapshot().up_tracks[0].packets;
        let sum = |names: &[&str]| names.iter().map(|name| session.counter(name)).sum::<u64>();
        let to_down_tracks = ["rtp_forwarded", "awaiting_key_frame", "other_encoding"];
        let (late, paused) = (session.counter("too_late"), session.counter("paused"));
        let refused = [
            "resend_paused",
            "not_cached",
            "resent_recently",
            "resend_limit",
        ];
        let answered = session.counter("rtx_sent") + sum(&refused);
        assert_eq!(session.counter("nacks_received"), answered);
        let not_taken = session.counter("rtp_received") - sum(&NOT_TAKEN) - taken;
        assert!(not_taken <= late, "{not_taken} of {late}");
        assert_eq!(
            sum(&to_down_tracks) + (late - not_taken) + paused,
            2 * taken + session.counter("rtp_caught_up")
        );
        for name in NOT_TAKEN.iter().chain(&to_down_tracks[..2]) {
            assert!(session.counter(name) > 0, "{name}");
        }
        assert!(late > 0 && paused > 0);
    }
}
