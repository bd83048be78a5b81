//! Every packet is accounted for: each accepted packet was sent or has a named drop reason, through
//! loss, mutes, layer switches and a narrow downlink.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{
    Codec, DownTrackParameters, DropReason, EncodingParameters, ForwardEvent, ForwardSettings,
    MediaKind, Outbox, PayloadAccess, PreferredLayers, PublisherHandle, SessionRouter,
    SubscriberHandle, TransportHandle, UpTrackParameters,
};
use sealroute_netem::Random;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use support::wire::{
    Rtp, at_temporal, encrypted, probe, retransmission, rtp, temporal_of, vp8_continuation,
    vp8_sized,
};
use support::{
    DOWN_TRACK_RTX_PAYLOAD_TYPE, PUBLISHER, RTX_SSRC, UPLINK, down_track, nack, pli, up_track,
};

const AUDIO_PUBLISHER: PublisherHandle = PublisherHandle(11);
const AUDIO_UPLINK: TransportHandle = TransportHandle(8);
const AUDIO_SSRC: u32 = 0x2000;
const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];
const FRAME_PACKETS: [usize; 3] = [2, 6, 12];
const VIEWERS: u64 = 5;
const STEP: Duration = Duration::from_millis(5);
const STEPS: u64 = 48_000;
const FRAME_EVERY: u64 = 8;
/// Drop reasons of requested retransmissions.
const REPEATS: [DropReason; 4] = [
    DropReason::NotCached,
    DropReason::ResentRecently,
    DropReason::ResendLimit,
    DropReason::ResendPaused,
];

/// Counts sent packets.
#[derive(Default)]
struct Sent {
    media: u64,
    other: u64,
    newest: HashMap<(TransportHandle, u32), u16>,
}

impl Outbox for Sent {
    fn rtp(&mut self, to: TransportHandle, header: &[u8], _payload: &[u8]) {
        let ssrc = u32::from_be_bytes(*header[8..].first_chunk().expect("a header"));
        let is_padding = header[0] & 0x20 != 0;
        if ssrc & 1 == 1 || is_padding {
            self.other += 1;
            return;
        }
        self.media += 1;
        let sequence = u16::from_be_bytes([header[2], header[3]]);
        self.newest.insert((to, ssrc), sequence);
    }

    fn rtp_again(&mut self, _to: TransportHandle, _ssrc: u32, _sequence: u16) -> Option<usize> {
        self.other += 1;
        Some(100)
    }

    fn rtcp(&mut self, _to: TransportHandle, _compound: &[u8]) {}

    fn event(&mut self, _event: ForwardEvent) {}
}

fn video() -> UpTrackParameters {
    let encoding = |index: u32| EncodingParameters {
        ssrc: Some(0x1000 + 2 * index),
        rtx_ssrc: Some(RTX_SSRC + 2 * index),
        rid: None,
    };
    UpTrackParameters {
        encodings: (0..3).map(encoding).collect(),
        ..up_track(Codec::Vp8)
    }
}

fn audio() -> UpTrackParameters {
    UpTrackParameters {
        encodings: vec![EncodingParameters {
            ssrc: Some(AUDIO_SSRC),
            ..EncodingParameters::default()
        }],
        ..up_track(Codec::Opus)
    }
}

/// A viewer has a transport, two subscriptions, and their SSRCs.
fn transport(viewer: u64) -> TransportHandle {
    TransportHandle(100 + viewer)
}

fn subscription(viewer: u64, kind: MediaKind) -> SubscriberHandle {
    SubscriberHandle(200 + 2 * viewer + u64::from(kind == MediaKind::Audio))
}

fn ssrc(viewer: u64, kind: MediaKind) -> u32 {
    let base = if kind == MediaKind::Audio {
        0xA000
    } else {
        0x9000
    };
    base + 16 * viewer as u32
}

/// The last viewer has no retransmission stream.
fn down_track_for(viewer: u64, kind: MediaKind) -> DownTrackParameters {
    let has_rtx = kind == MediaKind::Video && viewer + 1 < VIEWERS;
    let ssrc = ssrc(viewer, kind);
    DownTrackParameters {
        ssrc,
        rtx_ssrc: has_rtx.then_some(ssrc + 1),
        rtx_payload_type: has_rtx.then_some(DOWN_TRACK_RTX_PAYLOAD_TYPE),
        ..down_track()
    }
}

fn publisher_of(kind: MediaKind) -> PublisherHandle {
    match kind {
        MediaKind::Audio => AUDIO_PUBLISHER,
        MediaKind::Video => PUBLISHER,
    }
}

/// Receiver-estimated maximum bitrate (draft-alvestrand-rmcat-remb-03 section 2.2).
fn remb(bps: u32) -> Vec<u8> {
    let exponent = 32_u32.saturating_sub(bps.leading_zeros() + 18);
    let mantissa = bps >> exponent;
    let mut packet = vec![0x8F, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0];
    packet.extend_from_slice(b"REMB\x01");
    packet.extend_from_slice(&(exponent << 18 | mantissa).to_be_bytes()[1..]);
    packet.extend_from_slice(&[0; 4]);
    packet
}

/// A busy room, and the totals that its packets must add up to.
struct Room {
    router: SessionRouter,
    out: Sent,
    now: Instant,
    random: Random,
    /// Accepted since the last flush, by kind.
    pending: HashMap<MediaKind, u64>,
    subscribed: HashMap<MediaKind, Vec<u64>>,
    given: u64,
    refused: u64,
    due: u64,
    sequences: [u16; 4],
    repeat_sequence: u16,
    lost: Vec<Rtp>,
}

impl Room {
    fn new(seed: u64) -> Self {
        let mut router = SessionRouter::new(PayloadAccess::Opaque, ForwardSettings::default());
        let now = Instant::now();
        for (publisher, uplink, up_track) in [
            (PUBLISHER, UPLINK, video()),
            (AUDIO_PUBLISHER, AUDIO_UPLINK, audio()),
        ] {
            let outcome = router.publish(now, publisher, uplink, vec![up_track]);
            outcome.expect("published");
        }
        Self {
            router,
            out: Sent::default(),
            now,
            random: Random::new(seed),
            pending: HashMap::new(),
            subscribed: HashMap::new(),
            given: 0,
            refused: 0,
            due: 0,
            sequences: [0xFF00, 0xFF80, 7, 9],
            repeat_sequence: 0,
            lost: Vec::new(),
        }
    }

    fn drops(&self) -> u64 {
        let counters = self.router.counters();
        let is_repeat = |reason: &DropReason| REPEATS.contains(reason);
        let reasons = DropReason::ALL.iter().filter(|reason| !is_repeat(reason));
        reasons.map(|&reason| counters.dropped(reason)).sum()
    }

    fn repeats_refused(&self) -> u64 {
        let counters = self.router.counters();
        REPEATS.iter().map(|&reason| counters.dropped(reason)).sum()
    }

    fn give(&mut self, kind: MediaKind, uplink: TransportHandle, packet: &[u8]) {
        let before = self.drops();
        self.router.handle_rtp(self.now, uplink, packet);
        self.given += 1;
        match self.drops() - before {
            0 => *self.pending.entry(kind).or_default() += 1,
            1 => self.refused += 1,
            more => panic!("{more} reasons for one packet"),
        }
    }

    /// Carries a packet over a path that loses, duplicates and corrupts.
    fn carry(&mut self, kind: MediaKind, packet: Rtp) {
        let uplink = match kind {
            MediaKind::Audio => AUDIO_UPLINK,
            MediaKind::Video => UPLINK,
        };
        match self.random.below(100) {
            0..=3 => self.lost.push(packet),
            4 => {
                self.give(kind, uplink, &packet.bytes());
                self.give(kind, uplink, &packet.bytes());
            }
            5 => self.give(kind, uplink, &packet.payload_type(88).bytes()),
            6 => {
                let clear = Rtp {
                    payload: vec![0x10, 0x55, 0x66, 0x77],
                    ..packet
                };
                self.give(kind, uplink, &clear.bytes());
            }
            7 => self.give(kind, uplink, &packet.ssrc(0xDEAD).payload_type(0).bytes()),
            8 => self.give(kind, uplink, &[0x80, 96, 0]),
            _ => self.give(kind, uplink, &packet.bytes()),
        }
    }

    fn send_media(&mut self, step: u64) {
        if step.is_multiple_of(4) {
            let sequence = self.next(3);
            let packet = rtp(sequence, u32::from(sequence) * 960, &encrypted(&[7; 80]));
            self.carry(MediaKind::Audio, packet.ssrc(AUDIO_SSRC));
        }
        if step.is_multiple_of(FRAME_EVERY) {
            let frame = step / FRAME_EVERY;
            // Now and then an encoding stops, so that others must replace it.
            let awake = 1 + (frame / 300) as usize % 3;
            for layer in 0..awake {
                self.send_frame(layer, frame);
            }
        }
        if self.random.chance(0.2) {
            self.repeat_lost();
        }
        if self.random.chance(0.01) {
            let number = self.next(0);
            let mut padding = probe(number);
            padding[8..12].copy_from_slice(&0x1000_u32.to_be_bytes());
            self.give(MediaKind::Video, UPLINK, &padding);
        }
    }

    fn next(&mut self, stream: usize) -> u16 {
        let sequence = self.sequences[stream];
        self.sequences[stream] = sequence.wrapping_add(1);
        sequence
    }

    fn send_frame(&mut self, layer: usize, frame: u64) {
        let key_frame = frame.is_multiple_of(25);
        let timestamp = (frame * 3_600) as u32;
        let size = if key_frame { 4 } else { 1 };
        for part in 0..FRAME_PACKETS[layer] * size {
            let body = [0x5A; 900];
            let payload = if part == 0 {
                vp8_sized(key_frame, frame as u16, SIZES[layer], &body)
            } else {
                vp8_continuation(frame as u16, &body)
            };
            let (temporal, sync) = temporal_of(frame % 25);
            let payload = at_temporal(payload, temporal, sync);
            let packet = rtp(self.next(layer), timestamp, &payload);
            self.carry(MediaKind::Video, packet.ssrc(0x1000 + 2 * layer as u32));
        }
    }

    /// Retransmits lost packets, over the retransmission stream if there is one.
    fn repeat_lost(&mut self) {
        let Some(packet) = self.lost.pop() else {
            return;
        };
        if packet.header.ssrc == AUDIO_SSRC {
            self.give(MediaKind::Audio, AUDIO_UPLINK, &packet.bytes());
            return;
        }
        self.repeat_sequence = self.repeat_sequence.wrapping_add(1);
        let ssrc = RTX_SSRC + (packet.header.ssrc - 0x1000);
        let again = retransmission(self.repeat_sequence, &packet).ssrc(ssrc);
        self.give(MediaKind::Video, UPLINK, &again.bytes());
    }

    fn flush(&mut self) {
        for (kind, pending) in std::mem::take(&mut self.pending) {
            let subscribers = self.subscribed.get(&kind).map_or(0, Vec::len) as u64;
            self.due += pending * subscribers.max(1);
        }
        self.router.flush(self.now, &mut self.out);
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.router.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.router.handle_timeout(self.now, &mut self.out);
        }
        self.now = end;
    }

    /// One action of the members of a session.
    fn act(&mut self) {
        let viewer = self.random.below(VIEWERS);
        let kind = match self.random.below(3) {
            0 => MediaKind::Audio,
            _ => MediaKind::Video,
        };
        let name = subscription(viewer, kind);
        match self.random.below(12) {
            0 => self.toggle_subscription(viewer, kind),
            1 => {
                let wanted = self.random.chance(0.7);
                let _ = self.router.set_down_track_forwarding(name, kind, wanted);
            }
            2 => {
                let size = SIZES[self.random.below(3) as usize];
                let rates = [None, Some(15.0), Some(7.0)];
                let preferred = PreferredLayers {
                    max_width_px: Some(size.0.into()),
                    max_height_px: Some(size.1.into()),
                    max_frame_rate: rates[self.random.below(3) as usize],
                };
                let _ = self.router.set_preferred_layers(name, preferred);
            }
            3 => {
                let sends = self.random.chance(0.8);
                let muted = self
                    .router
                    .set_up_track_forwarding(publisher_of(kind), "0", sends);
                muted.expect("the publisher is there");
            }
            4..=6 => {
                let bps = [60_000, 200_000, 900_000, 20_000_000][self.random.below(4) as usize];
                self.rtcp(viewer, &remb(bps));
            }
            7 => self.rtcp(viewer, &pli(ssrc(viewer, kind))),
            _ => self.ask_again(viewer, kind),
        }
    }

    fn toggle_subscription(&mut self, viewer: u64, kind: MediaKind) {
        let name = subscription(viewer, kind);
        let those = self.subscribed.entry(kind).or_default();
        if let Some(place) = those.iter().position(|&one| one == viewer) {
            those.remove(place);
            self.router.unsubscribe(name).expect("it was subscribed");
        } else {
            those.push(viewer);
            let (publisher, down_track) = (publisher_of(kind), down_track_for(viewer, kind));
            let outcome =
                self.router
                    .subscribe(self.now, name, publisher, transport(viewer), &[down_track]);
            outcome.expect("subscribed");
        }
    }

    fn ask_again(&mut self, viewer: u64, kind: MediaKind) {
        let media = ssrc(viewer, kind);
        let newest = self.out.newest.get(&(transport(viewer), media)).copied();
        let back = self.random.below(40) as u16;
        let first = newest.unwrap_or_default().wrapping_sub(back);
        let lost: Vec<u16> = (0..17).map(|more| first.wrapping_add(more)).collect();
        self.rtcp(viewer, &nack(media, &lost));
    }

    fn rtcp(&mut self, viewer: u64, compound: &[u8]) {
        self.router
            .handle_rtcp(self.now, transport(viewer), compound, &mut self.out);
    }

    fn leave(&mut self, viewer: u64) {
        for those in self.subscribed.values_mut() {
            those.retain(|&one| one != viewer);
        }
        // A viewer that never subscribed has no transport.
        let _ = self.router.close_transport(transport(viewer));
    }

    fn run(&mut self) {
        for step in 0..STEPS {
            self.send_media(step);
            if self.random.chance(0.3) {
                self.act();
            }
            if self.random.chance(0.001) {
                let viewer = self.random.below(VIEWERS);
                self.leave(viewer);
            }
            self.flush();
            self.pass(STEP);
        }
        // Queued packets leave, or become too late.
        self.pass(Duration::from_secs(120));
    }
}

#[test]
fn every_packet_is_forwarded_or_has_one_named_reason() {
    for seed in 1..=3 {
        let mut room = Room::new(seed);
        room.run();
        let counters = room.router.counters();
        assert_eq!(room.given, counters.rtp_received);
        assert_eq!(room.out.media, counters.rtp_forwarded, "seed {seed}");
        // Each accepted packet once for each subscriber of its up track, plus the ones that a down
        // track catches up on.
        let wanted = room.refused + room.due + counters.rtp_caught_up;
        assert_eq!(wanted, room.out.media + room.drops(), "seed {seed}");
        assert!(room.out.media > 20_000, "{}", room.out.media);
    }
}

#[test]
fn every_requested_retransmission_is_sent_or_has_one_drop_reason() {
    let mut room = Room::new(4);
    room.run();
    let counters = room.router.counters();
    let answered = counters.rtx_sent + room.repeats_refused();
    assert_eq!(counters.nacks_received, answered);
    assert!(counters.rtx_sent > 500, "{}", counters.rtx_sent);
}

#[test]
fn a_busy_room_meets_nearly_every_reason() {
    let mut room = Room::new(5);
    room.run();
    let counters = room.router.counters();
    let rare = [
        DropReason::Overflow,
        DropReason::PacerFull,
        DropReason::QuietVoice,
        // Of sessions without encryption: `local.rs`.
        DropReason::TapFull,
        // Of sessions on two workers: `trunks.rs`.
        DropReason::UnwantedBehindTrunk,
    ];
    for &reason in DropReason::ALL {
        assert!(
            rare.contains(&reason) || counters.dropped(reason) > 0,
            "{}",
            reason.name()
        );
    }
}
