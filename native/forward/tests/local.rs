//! Local transports: what a reader on this host gets that a peer does not, and the other way round.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use sealroute_forward::{
    Codec, DownTrackParameters, Extension, ForwardError, ForwardEvent, ForwardSettings, MediaKind,
    Outbox, PayloadAccess, SessionRouter, TransportHandle,
};
use support::wire::{rtp, vp8};
use support::*;

const LEVEL_ID: u8 = 1;
const FRAME: Duration = Duration::from_millis(33);

/// What is told to the reader, beside what a peer would get.
#[derive(Default)]
struct Told {
    recorder: Recorder,
    lost: Vec<(TransportHandle, u32, u32)>,
}

impl Outbox for Told {
    fn rtp(&mut self, to: TransportHandle, header: &[u8], payload: &[u8]) {
        self.recorder.rtp(to, header, payload);
    }

    fn rtcp(&mut self, to: TransportHandle, compound: &[u8]) {
        self.recorder.rtcp(to, compound);
    }

    fn lost(&mut self, to: TransportHandle, ssrc: u32, packets: u32) {
        self.lost.push((to, ssrc, packets));
    }

    fn event(&mut self, event: ForwardEvent) {
        self.recorder.event(event);
    }
}

/// A publisher whose only receiver is local.
fn tapped(codec: Codec) -> Session {
    let mut session = Session::new(PayloadAccess::Clear);
    session.publish(PUBLISHER, UPLINK, up_track(codec));
    session.router.open_local(DOWNLINK).expect("clear media");
    session.subscribe(SUBSCRIBER, DOWNLINK, down_track());
    session
}

/// A frame of one packet.
fn frame(session: &mut Session, number: u16, key_frame: bool) {
    session.now += FRAME;
    let payload = vp8(key_frame, number, b"a");
    let packet = rtp(number, u32::from(number) * 2_970, &payload).marker();
    session.rtp(&packet.bytes());
}

fn room(session: &mut Session, has_room: bool) -> Vec<(TransportHandle, u32, u32)> {
    let mut told = Told::default();
    session.router.set_room(DOWNLINK, has_room, &mut told);
    told.lost
}

#[test]
fn only_a_session_of_clear_media_has_local_transports() {
    for (access, expected) in [
        (PayloadAccess::Opaque, Some(ForwardError::Opaque)),
        (PayloadAccess::Clear, None),
    ] {
        let mut router = SessionRouter::new(access, ForwardSettings::default());
        assert_eq!(router.open_local(DOWNLINK).err(), expected);
        // A refusal leaves the transport as it was; one that is local stays it.
        let again = expected.unwrap_or(ForwardError::HandleTaken);
        assert_eq!(router.open_local(DOWNLINK).err(), Some(again));
    }
}

#[test]
fn a_closed_transport_is_no_longer_local() {
    let mut session = tapped(Codec::Vp8);
    session.router.close_transport(DOWNLINK).expect("closed");
    session.subscribe(SUBSCRIBER, DOWNLINK, down_track());
    frame(&mut session, 1, true);
    let sent = session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
    // A peer gets its MID.
    assert!(
        sent[0]
            .packet()
            .extensions()
            .get(DOWN_TRACK_MID_ID)
            .is_some()
    );
}

#[test]
fn a_reader_gets_media_without_the_extensions_of_a_network() {
    let mut session = tapped(Codec::Vp8);
    frame(&mut session, 1, true);
    frame(&mut session, 2, false);
    let sent = session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
    assert_eq!(sent.len(), 2);
    for one in sent {
        assert_eq!(one.packet().extensions().count(), 0);
        assert_eq!(one.packet().payload_type(), DOWN_TRACK_PAYLOAD_TYPE);
    }
    assert_eq!(session.out.plis(UPLINK, SSRC), 0);
}

#[test]
fn nothing_is_sent_again_to_a_reader() {
    let mut session = tapped(Codec::Vp8);
    for number in 1..10 {
        frame(&mut session, number, number == 1);
    }
    let last = session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC)[7];
    session.out.clear();
    session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &[last]));
    assert!(session.out.rtp.is_empty());
}

#[test]
fn a_reader_gets_the_quiet_voices_too_and_their_time_does_not_jump() {
    let mut session = Session::new(PayloadAccess::Clear);
    let settings = ForwardSettings {
        loudest_voices: 1,
        voices_of_large_session: 1,
        ..ForwardSettings::default()
    };
    session.router = SessionRouter::new(PayloadAccess::Clear, settings);
    session.router.open_local(DOWNLINK).expect("clear media");
    let uplinks = [UPLINK, TransportHandle(100)];
    for (number, uplink) in (0..).zip(uplinks) {
        let publisher = sealroute_forward::PublisherHandle(200 + number);
        let up_track = sealroute_forward::UpTrackParameters {
            extensions: ids(&[(Extension::AudioLevel, LEVEL_ID)]),
            ..up_track(Codec::Opus)
        };
        session.publish(publisher, uplink, up_track);
        for (transport, base) in [(DOWNLINK, 300), (OTHER_DOWNLINK, 400)] {
            let subscriber = sealroute_forward::SubscriberHandle(base + number);
            let down_track = DownTrackParameters {
                ssrc: number as u32 + 1,
                mid: number.to_string(),
                ..down_track_without_rtx()
            };
            let router = &mut session.router;
            router
                .subscribe(session.now, subscriber, publisher, transport, &[down_track])
                .expect("subscribed");
        }
    }
    for number in 1..200_u16 {
        session.now += Duration::from_millis(20);
        for (person, uplink) in uplinks.into_iter().enumerate() {
            let level = if usize::from(number / 50 % 2) == person {
                30
            } else {
                90
            };
            let packet = rtp(number, u32::from(number) * 960, b"audio");
            session.take(uplink, &packet.extension(LEVEL_ID, &[level]).bytes());
        }
        session.router.flush(session.now, &mut session.out);
    }
    assert!(session.dropped("quiet_voice") > 100);
    for ssrc in [1, 2] {
        let heard = session.out.stream(DOWNLINK, ssrc);
        assert_eq!(heard.len(), 199);
        let steps = heard.windows(2).map(|two| {
            let [one, next] = [two[0].packet(), two[1].packet()];
            (
                next.sequence().0.wrapping_sub(one.sequence().0),
                next.timestamp().wrapping_sub(one.timestamp()),
            )
        });
        assert!({ steps }.all(|step| step == (1, 960)));
    }
}

#[test]
fn without_room_video_is_withheld_and_starts_again_at_a_key_frame() {
    let mut session = tapped(Codec::Vp8);
    for number in 1..=5 {
        frame(&mut session, number, number == 1);
    }
    assert_eq!(room(&mut session, false), []);
    // A key frame does not help a reader that is behind, and none is requested for it.
    for number in 6..=20 {
        frame(&mut session, number, number == 10);
        session.pass(Duration::from_millis(200));
    }
    assert_eq!(session.dropped("tap_full"), 15);
    assert_eq!(session.out.plis(UPLINK, SSRC), 0);
    assert_eq!(room(&mut session, false), [], "told once");
    assert_eq!(room(&mut session, true), [(DOWNLINK, DOWN_TRACK_SSRC, 15)]);
    frame(&mut session, 21, false);
    frame(&mut session, 22, false);
    assert_eq!(session.out.plis(UPLINK, SSRC), 1);
    assert_eq!(session.dropped("awaiting_key_frame"), 2);
    frame(&mut session, 23, true);
    frame(&mut session, 24, false);
    let numbers = session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC);
    assert_eq!(numbers.len(), 7);
    assert!(
        numbers
            .windows(2)
            .all(|two| two[1] == two[0].wrapping_add(1))
    );
    assert_eq!(room(&mut session, true), []);
    let sent = session.counter("rtp_forwarded");
    assert_eq!(session.counter("rtp_received"), sent + 15 + 2);
}

#[test]
fn without_room_audio_continues() {
    let mut session = tapped(Codec::Opus);
    room(&mut session, false);
    for number in 1..=5 {
        session.rtp(&rtp(number, u32::from(number) * 960, b"audio").bytes());
    }
    assert_eq!(session.out.stream(DOWNLINK, DOWN_TRACK_SSRC).len(), 5);
    assert_eq!(session.dropped("tap_full"), 0);
}

#[test]
fn a_subscription_that_begins_while_there_is_no_room_waits_for_it() {
    let mut session = tapped(Codec::Vp8);
    room(&mut session, false);
    session.router.unsubscribe(SUBSCRIBER).expect("subscribed");
    session.subscribe(OTHER_SUBSCRIBER, DOWNLINK, other_down_track());
    frame(&mut session, 1, true);
    assert_eq!(session.dropped("tap_full"), 1);
    assert_eq!(
        room(&mut session, true),
        [(DOWNLINK, OTHER_DOWN_TRACK_SSRC, 1)]
    );
    frame(&mut session, 2, true);
    assert_eq!(session.out.stream(DOWNLINK, OTHER_DOWN_TRACK_SSRC).len(), 1);
}

#[test]
fn a_peers_downlink_has_no_room_to_set() {
    let mut session = Session::with(PayloadAccess::Clear, up_track(Codec::Vp8));
    room(&mut session, false);
    frame(&mut session, 1, true);
    assert_eq!(session.out.stream(DOWNLINK, DOWN_TRACK_SSRC).len(), 1);
}

#[test]
fn key_frame_requests_of_a_reader_spend_its_budget_and_go_out_together() {
    let mut session = tapped(Codec::Vp8);
    frame(&mut session, 1, true);
    session.pass(Duration::from_secs(1));
    let now = session.now;
    for _ in 0..20 {
        for ssrc in [DOWN_TRACK_SSRC, 0xDEAD] {
            let router = &mut session.router;
            router.request_key_frame(now, DOWNLINK, ssrc, &mut session.out);
        }
    }
    assert_eq!(session.counter("plis_received"), 40);
    assert_eq!(session.out.plis(UPLINK, SSRC), 1);
    for number in 2..200 {
        frame(&mut session, number, true);
        let router = &mut session.router;
        router.request_key_frame(session.now, DOWNLINK, DOWN_TRACK_SSRC, &mut session.out);
    }
    assert!(session.counter("plis_refused") > 100);
}

#[test]
fn a_video_that_only_a_reader_receives_counts_as_watched() {
    let mut session = tapped(Codec::Vp8);
    for number in 1..400 {
        frame(&mut session, number, number == 1);
        session.pass(Duration::ZERO);
    }
    assert_eq!(session.counter("encodings_paused"), 0);
    let router = &mut session.router;
    router
        .set_down_track_forwarding(SUBSCRIBER, MediaKind::Video, false)
        .expect("subscribed");
    for number in 400..800 {
        frame(&mut session, number, false);
        session.pass(Duration::ZERO);
    }
    assert_eq!(session.counter("encodings_paused"), 1);
}
