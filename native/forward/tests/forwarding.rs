//! A publisher and a subscriber in virtual time.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests stand outside #[test] functions"
)]

use std::time::{Duration, Instant};

use sealroute_forward::{
    Codec, DropReason, EncodingParameters, ExtensionIds, ForwardError, ForwardEvent,
    ForwardSettings, MediaKind, Outbox, PayloadAccess, PublisherHandle, SessionRouter,
    SinkParameters, SourceParameters, SubscriberHandle, TransportHandle,
};
use sealroute_rtp::{HeaderFields, RtpPacket, packets, write_header, write_pli};

const UPLINK: TransportHandle = TransportHandle(1);
const DOWNLINK: TransportHandle = TransportHandle(2);
const PUBLISHER: PublisherHandle = PublisherHandle(3);
const SUBSCRIBER: SubscriberHandle = SubscriberHandle(4);
const KID: [u8; 8] = [0x80, 1, 2, 3, 4, 5, 6, 7];
const KEY: &[u8] = &[0x10, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1];
const DELTA: &[u8] = &[0x10, 1];

#[derive(Default)]
struct Received {
    rtp: Vec<(u16, u32, Vec<u8>)>,
    plis: Vec<u32>,
    events: Vec<ForwardEvent>,
}

impl Outbox for Received {
    fn rtp(&mut self, transport: TransportHandle, header: &[u8], payload: &[u8]) {
        assert_eq!(transport, DOWNLINK);
        let packet = RtpPacket::parse(header).unwrap();
        self.rtp
            .push((packet.sequence, packet.ssrc, payload.to_vec()));
    }
    fn rtcp(&mut self, transport: TransportHandle, compound: &[u8]) {
        assert_eq!(transport, UPLINK);
        self.plis
            .extend(packets(compound).filter_map(|packet| packet.pli_target()));
    }
    fn event(&mut self, event: ForwardEvent) {
        self.events.push(event);
    }
}

fn source(codec: Codec) -> SourceParameters {
    SourceParameters {
        mid: "0".into(),
        kind: MediaKind::Video,
        codec,
        payload_type: 96,
        rtx_payload_type: None,
        clock_rate_hz: 90_000,
        encodings: vec![EncodingParameters {
            ssrc: Some(10),
            ..Default::default()
        }],
        extensions: ExtensionIds::default(),
        nack: true,
        declared_kids: vec![KID],
    }
}

fn session(access: PayloadAccess) -> SessionRouter {
    let mut router = SessionRouter::new(access, ForwardSettings::default());
    router
        .publish(PUBLISHER, UPLINK, vec![source(Codec::Vp8)])
        .unwrap();
    let sink = SinkParameters {
        mid: "7".into(),
        source_mid: "0".into(),
        ssrc: 20,
        rtx_ssrc: None,
        payload_type: 100,
        rtx_payload_type: None,
        extensions: ExtensionIds::default(),
    };
    router
        .subscribe(SUBSCRIBER, PUBLISHER, DOWNLINK, &[sink])
        .unwrap();
    router
}

fn packet(sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let fields = HeaderFields {
        marker: true,
        payload_type: 96,
        sequence,
        timestamp: 5,
        ssrc: 10,
    };
    write_header(&mut bytes, fields, std::iter::empty());
    bytes.extend_from_slice(payload);
    bytes
}

fn sealed(clear: &[u8], kid: [u8; 8]) -> Vec<u8> {
    [clear, &[0xF0], &kid, &[9; 20]].concat()
}

#[test]
fn video_starts_at_a_key_frame_with_the_ssrc_of_the_sink() {
    let (mut router, mut out, now) = (
        session(PayloadAccess::Clear),
        Received::default(),
        Instant::now(),
    );
    for (sequence, payload) in [(1, DELTA), (2, KEY), (3, DELTA)] {
        router.handle_rtp(now, UPLINK, &packet(sequence, payload));
    }
    router.flush(now, &mut out);
    assert_eq!(out.rtp, [(2, 20, KEY.to_vec()), (3, 20, DELTA.to_vec())]);
    assert_eq!(router.counters().dropped(DropReason::AwaitingKeyFrame), 1);
    assert_eq!(out.plis, [10]);
}

#[test]
fn a_sealed_session_forwards_frames_with_a_declared_key_id_and_no_others() {
    let (mut router, mut out, now) = (
        session(PayloadAccess::Opaque),
        Received::default(),
        Instant::now(),
    );
    let wrong = sealed(KEY, [0x81; 8]);
    let right = sealed(KEY, KID);
    for (sequence, payload) in [(1, KEY), (2, &wrong[..]), (3, &right[..]), (4, DELTA)] {
        router.handle_rtp(now, UPLINK, &packet(sequence, payload));
    }
    router.flush(now, &mut out);
    assert_eq!(out.rtp, [(3, 20, right)]);
    assert_eq!(router.counters().dropped(DropReason::NotEncrypted), 3);
    let reports = out
        .events
        .iter()
        .filter(|e| matches!(e, ForwardEvent::NotEncrypted { packets: 3, .. }));
    assert_eq!(reports.count(), 1);
}

#[test]
fn a_sealed_session_refuses_codecs_that_the_guard_can_not_check() {
    let mut router = SessionRouter::new(PayloadAccess::Opaque, ForwardSettings::default());
    let refused = router.publish(PUBLISHER, UPLINK, vec![source(Codec::H264)]);
    assert_eq!(refused, Err(ForwardError::CodecNotGuarded));
}

#[test]
fn packets_of_another_transport_never_match_a_declared_ssrc() {
    let mut router = session(PayloadAccess::Clear);
    router.handle_rtp(Instant::now(), DOWNLINK, &packet(1, KEY));
    assert_eq!(router.counters().dropped(DropReason::UnknownStream), 1);
}

#[test]
fn a_flood_of_key_frame_requests_reaches_the_publisher_once_a_second() {
    let (mut router, mut out, start) = (
        session(PayloadAccess::Clear),
        Received::default(),
        Instant::now(),
    );
    for millisecond in 0..3_000 {
        let now = start + Duration::from_millis(millisecond);
        router.handle_rtcp(now, DOWNLINK, &write_pli(1, 20), &mut out);
    }
    assert_eq!(out.plis.len(), 3);
}

#[test]
fn numbers_go_on_when_a_paused_sink_resumes() {
    let (mut router, mut out, now) = (
        session(PayloadAccess::Clear),
        Received::default(),
        Instant::now(),
    );
    router.handle_rtp(now, UPLINK, &packet(1, KEY));
    router.flush(now, &mut out);
    router
        .set_sink_forwarding(SUBSCRIBER, MediaKind::Video, false)
        .unwrap();
    router.handle_rtp(now, UPLINK, &packet(2, KEY));
    router.flush(now, &mut out);
    router
        .set_sink_forwarding(SUBSCRIBER, MediaKind::Video, true)
        .unwrap();
    router.handle_rtp(now, UPLINK, &packet(900, KEY));
    router.flush(now, &mut out);
    assert_eq!(
        out.rtp
            .iter()
            .map(|(sequence, ..)| *sequence)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(router.counters().dropped(DropReason::Paused), 1);
}

#[test]
fn a_wanted_key_frame_is_asked_for_again_when_its_time_comes() {
    let (mut router, mut out, start) = (
        session(PayloadAccess::Clear),
        Received::default(),
        Instant::now(),
    );
    router.handle_timeout(start, &mut out);
    router.request_key_frame(PUBLISHER).unwrap();
    let due = router.poll_timeout().unwrap();
    router.handle_timeout(start, &mut out);
    assert_eq!((out.plis.len(), due), (1, start + Duration::from_secs(1)));
    router.handle_timeout(due, &mut out);
    assert_eq!((out.plis.len(), router.poll_timeout()), (2, None));
}

#[test]
fn noise_does_not_panic_and_is_counted() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        let mut router = SessionRouter::new(PayloadAccess::Clear, ForwardSettings::default());
        router
            .publish(PUBLISHER, UPLINK, vec![source(codec)])
            .unwrap();
        let (mut out, now) = (Received::default(), Instant::now());
        for _ in 0..5_000 {
            let payload: Vec<u8> = (0..random() % 40).map(|_| random() as u8).collect();
            router.handle_rtp(now, UPLINK, &packet(random() as u16, &payload));
            router.handle_rtp(now, UPLINK, &payload);
            router.handle_rtcp(now, DOWNLINK, &payload, &mut out);
            router.flush(now, &mut out);
        }
        let refused = [DropReason::Malformed, DropReason::UnknownStream];
        let refused: u64 = refused
            .map(|reason| router.counters().dropped(reason))
            .iter()
            .sum();
        assert!(
            refused >= 5_000,
            "{refused} of 5,000 pieces of noise were counted"
        );
    }
}
