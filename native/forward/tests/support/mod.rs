//! A session of simulated peers in virtual time.
#![allow(dead_code)] // Each test file is a crate of its own and uses a part of this.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

pub mod camera;
pub mod numbered_video;
pub mod room;
pub mod trunk;
pub mod wire;

use sealroute_forward::{
    Codec, DownTrackParameters, EncodingParameters, Extension, ExtensionIds, ForwardEvent,
    ForwardSettings, MediaKind, Outbox, PayloadAccess, PublisherHandle, SessionRouter,
    SubscriberHandle, TransportHandle, UpTrackParameters,
};
use sealroute_rtp::rtcp::{Compound, RtcpPacket, write_nack, write_pli};
use sealroute_rtp::{RtpPacket, Sequence};
use std::collections::HashMap;
use std::time::{Duration, Instant};

pub const UPLINK: TransportHandle = TransportHandle(1);
pub const DOWNLINK: TransportHandle = TransportHandle(2);
pub const OTHER_DOWNLINK: TransportHandle = TransportHandle(3);
pub const PUBLISHER: PublisherHandle = PublisherHandle(10);
pub const SUBSCRIBER: SubscriberHandle = SubscriberHandle(20);
pub const OTHER_SUBSCRIBER: SubscriberHandle = SubscriberHandle(21);
pub const KID: [u8; 8] = [0x81, 0x23, 0x45, 0x67, 0x89, 0xAB, 0x46, 0xE3];
pub const SSRC: u32 = 0x1111;
pub const RTX_SSRC: u32 = 0x1112;
pub const DOWN_TRACK_SSRC: u32 = 0x9001;
pub const DOWN_TRACK_RTX_SSRC: u32 = 0x9002;
pub const OTHER_DOWN_TRACK_SSRC: u32 = 0x9101;
pub const PAYLOAD_TYPE: u8 = 96;
pub const RTX_PAYLOAD_TYPE: u8 = 97;
pub const DOWN_TRACK_PAYLOAD_TYPE: u8 = 110;
pub const DOWN_TRACK_RTX_PAYLOAD_TYPE: u8 = 111;
pub const MID_ID: u8 = 4;
pub const RID_ID: u8 = 10;
pub const REPAIRED_RID_ID: u8 = 11;
pub const DOWN_TRACK_MID_ID: u8 = 9;
pub const LAYERS_ID: u8 = 12;

/// One packet as the outbox got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub to: TransportHandle,
    pub bytes: Vec<u8>,
}

impl Sent {
    pub fn packet(&self) -> RtpPacket<'_> {
        RtpPacket::parse(&self.bytes).expect("an RTP packet")
    }

    pub fn sequence(&self) -> u16 {
        self.packet().sequence().0
    }
}

/// Records everything sent.
#[derive(Default)]
pub struct Recorder {
    pub rtp: Vec<Sent>,
    pub rtcp: Vec<Sent>,
    pub events: Vec<ForwardEvent>,
    kept: HashMap<(TransportHandle, u32, u16), Vec<u8>>,
}

impl Outbox for Recorder {
    fn rtp(&mut self, to: TransportHandle, header: &[u8], payload: &[u8]) {
        let bytes = [header, payload].concat();
        self.rtp.push(Sent { to, bytes });
    }

    fn rtp_kept(&mut self, to: TransportHandle, header: &[u8], payload: &[u8]) {
        self.rtp(to, header, payload);
        if let Some(sent) = self.rtp.last() {
            let place = (to, sent.packet().ssrc(), sent.sequence());
            self.kept.insert(place, sent.bytes.clone());
        }
    }

    fn rtp_again(&mut self, to: TransportHandle, ssrc: u32, sequence: u16) -> Option<usize> {
        let bytes = self.kept.get(&(to, ssrc, sequence))?.clone();
        let length = bytes.len();
        self.rtp.push(Sent { to, bytes });
        Some(length)
    }

    fn rtcp(&mut self, to: TransportHandle, compound: &[u8]) {
        let bytes = compound.to_vec();
        self.rtcp.push(Sent { to, bytes });
    }

    fn event(&mut self, event: ForwardEvent) {
        self.events.push(event);
    }
}

impl Recorder {
    /// RTP to one transport with one SSRC, in order.
    pub fn stream(&self, to: TransportHandle, ssrc: u32) -> Vec<&Sent> {
        let wanted = |sent: &&Sent| sent.to == to && sent.packet().ssrc() == ssrc;
        self.rtp.iter().filter(wanted).collect()
    }

    pub fn payloads(&self, to: TransportHandle, ssrc: u32) -> Vec<Vec<u8>> {
        let stream = self.stream(to, ssrc);
        stream
            .iter()
            .map(|s| s.packet().payload().to_vec())
            .collect()
    }

    pub fn sequences(&self, to: TransportHandle, ssrc: u32) -> Vec<u16> {
        self.stream(to, ssrc).iter().map(|s| s.sequence()).collect()
    }

    pub fn plis(&self, to: TransportHandle, ssrc: u32) -> usize {
        let packets = self.rtcp.iter().filter(|sent| sent.to == to);
        packets
            .flat_map(|sent| Compound::new(&sent.bytes))
            .filter(|p| matches!(p, RtcpPacket::Pli { media_ssrc } if *media_ssrc == ssrc))
            .count()
    }

    /// Sequence numbers in NACKs to a publisher.
    pub fn asked(&self, to: TransportHandle, ssrc: u32) -> Vec<u16> {
        let packets = self.rtcp.iter().filter(|sent| sent.to == to);
        packets
            .flat_map(|sent| Compound::new(&sent.bytes))
            .filter_map(|packet| match packet {
                RtcpPacket::Nack { media_ssrc, lost } if media_ssrc == ssrc => Some(lost),
                _ => None,
            })
            .flatten()
            .map(|sequence| sequence.0)
            .collect()
    }

    pub fn clear(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        *self = Self {
            kept,
            ..Self::default()
        };
    }
}

/// A router, a clock and the recorded output.
pub struct Session {
    pub router: SessionRouter,
    pub out: Recorder,
    pub now: Instant,
}

impl Session {
    pub fn new(access: PayloadAccess) -> Self {
        Self {
            router: SessionRouter::new(access, ForwardSettings::default()),
            out: Recorder::default(),
            now: Instant::now(),
        }
    }

    /// One publisher of one up track with one subscriber to it.
    pub fn with(access: PayloadAccess, up_track: UpTrackParameters) -> Self {
        let mut session = Self::new(access);
        session.publish(PUBLISHER, UPLINK, up_track);
        session.subscribe(SUBSCRIBER, DOWNLINK, down_track());
        session
    }

    pub fn publish(
        &mut self,
        publisher: PublisherHandle,
        transport: TransportHandle,
        up_track: UpTrackParameters,
    ) {
        let outcome = self
            .router
            .publish(self.now, publisher, transport, vec![up_track]);
        outcome.expect("published");
    }

    pub fn subscribe(
        &mut self,
        subscriber: SubscriberHandle,
        transport: TransportHandle,
        down_track: DownTrackParameters,
    ) {
        let outcome =
            self.router
                .subscribe(self.now, subscriber, PUBLISHER, transport, &[down_track]);
        outcome.expect("subscribed");
    }

    pub fn take(&mut self, transport: TransportHandle, packet: &[u8]) {
        self.router.handle_rtp(self.now, transport, packet);
    }

    /// Handles a packet of the uplink and forwards it.
    pub fn rtp(&mut self, packet: &[u8]) {
        self.rtp_from(UPLINK, packet);
    }

    pub fn rtp_from(&mut self, transport: TransportHandle, packet: &[u8]) {
        self.take(transport, packet);
        self.router.flush(self.now, &mut self.out);
    }

    pub fn rtcp(&mut self, transport: TransportHandle, compound: &[u8]) {
        self.router
            .handle_rtcp(self.now, transport, compound, &mut self.out);
    }

    /// The subscriber pauses one kind of media and resumes it.
    pub fn resume(&mut self, kind: MediaKind) {
        for forwarding in [false, true] {
            let router = &mut self.router;
            let outcome = router.set_down_track_forwarding(SUBSCRIBER, kind, forwarding);
            outcome.expect("subscribed");
        }
    }

    /// Advances the time; due work runs at its time.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.router.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.router.handle_timeout(self.now, &mut self.out);
        }
        self.now = end;
    }

    pub fn dropped(&self, reason: &str) -> u64 {
        self.counter(reason)
    }

    pub fn counter(&self, name: &str) -> u64 {
        let found = self
            .router
            .counters()
            .iter()
            .find(|(known, _)| *known == name);
        found
            .map(|(_, value)| value)
            .expect("a counter of this name")
    }
}

pub fn ids(ids: &[(Extension, u8)]) -> ExtensionIds {
    ExtensionIds(ids.to_vec())
}

pub fn up_track(codec: Codec) -> UpTrackParameters {
    let audio = codec == Codec::Opus;
    UpTrackParameters {
        mid: "0".into(),
        kind: if audio {
            MediaKind::Audio
        } else {
            MediaKind::Video
        },
        codec,
        payload_type: PAYLOAD_TYPE,
        rtx_payload_type: (!audio).then_some(RTX_PAYLOAD_TYPE),
        clock_rate_hz: if audio { 48_000 } else { 90_000 },
        encodings: vec![EncodingParameters {
            ssrc: Some(SSRC),
            rtx_ssrc: (!audio).then_some(RTX_SSRC),
            rid: None,
        }],
        extensions: ids(&[(Extension::Mid, MID_ID)]),
        nack: true,
        declared_kids: vec![KID],
    }
}

/// Three encodings, found by RID.
pub fn simulcast(codec: Codec) -> UpTrackParameters {
    let encoding = |rid: &str| EncodingParameters {
        rid: Some(rid.into()),
        ..EncodingParameters::default()
    };
    UpTrackParameters {
        encodings: vec![encoding("q"), encoding("h"), encoding("f")],
        extensions: ids(&[
            (Extension::Mid, MID_ID),
            (Extension::Rid, RID_ID),
            (Extension::RepairedRid, REPAIRED_RID_ID),
            (Extension::VideoLayersAllocation, LAYERS_ID),
        ]),
        ..up_track(codec)
    }
}

pub fn down_track() -> DownTrackParameters {
    DownTrackParameters {
        mid: "7".into(),
        up_track_mid: "0".into(),
        ssrc: DOWN_TRACK_SSRC,
        rtx_ssrc: Some(DOWN_TRACK_RTX_SSRC),
        payload_type: DOWN_TRACK_PAYLOAD_TYPE,
        rtx_payload_type: Some(DOWN_TRACK_RTX_PAYLOAD_TYPE),
        extensions: ids(&[(Extension::Mid, DOWN_TRACK_MID_ID)]),
        nack: true,
    }
}

pub fn down_track_without_rtx() -> DownTrackParameters {
    DownTrackParameters {
        rtx_ssrc: None,
        rtx_payload_type: None,
        ..down_track()
    }
}

pub fn other_down_track() -> DownTrackParameters {
    DownTrackParameters {
        ssrc: OTHER_DOWN_TRACK_SSRC,
        rtx_ssrc: Some(OTHER_DOWN_TRACK_SSRC + 1),
        ..down_track()
    }
}

/// A NACK of a subscriber.
pub fn nack(media_ssrc: u32, lost: &[u16]) -> Vec<u8> {
    let lost: Vec<Sequence> = lost.iter().copied().map(Sequence).collect();
    let mut compound = Vec::new();
    write_nack(&mut compound, 1, media_ssrc, &lost);
    compound
}

/// A key-frame request of a subscriber.
pub fn pli(media_ssrc: u32) -> Vec<u8> {
    let mut compound = Vec::new();
    write_pli(&mut compound, 1, media_ssrc);
    compound
}
