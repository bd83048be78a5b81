//! Dominant speaker, and audio last-N in large sessions.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use sealroute_forward::{
    Codec, Extension, ForwardEvent, ForwardSettings, PayloadAccess, PublisherHandle, SessionRouter,
    SubscriberHandle, TransportHandle, UpTrackParameters,
};
use support::wire::rtp;
use support::{DOWNLINK, Session, down_track, ids, up_track};

const LEVEL_ID: u8 = 1;
const TRANSPORT_CC_ID: u8 = 5;
const VOICE: u8 = 30;
const ROOM: u8 = 90;
const PACKET: Duration = Duration::from_millis(20);
const PEOPLE: u64 = 4;

fn uplink(person: u64) -> TransportHandle {
    TransportHandle(100 + person)
}

fn voice() -> UpTrackParameters {
    UpTrackParameters {
        extensions: ids(&[(Extension::AudioLevel, LEVEL_ID)]),
        declared_kids: Vec::new(),
        ..up_track(Codec::Opus)
    }
}

/// Every client publishes audio, and one listener subscribes to all.
fn party(settings: ForwardSettings) -> Session {
    let mut session = Session::new(PayloadAccess::Clear);
    session.router = SessionRouter::new(PayloadAccess::Clear, settings);
    for person in 0..PEOPLE {
        let publisher = PublisherHandle(200 + person);
        session.publish(publisher, uplink(person), voice());
        let mut down_track = down_track();
        down_track.ssrc = person as u32 + 1;
        down_track.rtx_ssrc = None;
        down_track.mid = person.to_string();
        // Without feedback, a downlink is not allocated.
        down_track.extensions = ids(&[(Extension::TransportCc, TRANSPORT_CC_ID)]);
        let subscriber = SubscriberHandle(300 + person);
        let outcome =
            session
                .router
                .subscribe(session.now, subscriber, publisher, DOWNLINK, &[down_track]);
        outcome.expect("subscribed");
    }
    session
}

/// Packets `from..to` of every client; `loud` talks.
fn talk(session: &mut Session, (from, to): (u16, u16), loud: u64) {
    for number in from..to {
        session.now += PACKET;
        for person in 0..PEOPLE {
            let level = if person == loud { VOICE } else { ROOM };
            let packet =
                rtp(number, u32::from(number) * 960, b"audio").extension(LEVEL_ID, &[level]);
            session.take(uplink(person), &packet.bytes());
        }
        session.router.flush(session.now, &mut session.out);
    }
}

fn speakers(session: &Session) -> Vec<u64> {
    let told = session.out.events.iter().filter_map(|event| match event {
        ForwardEvent::DominantSpeaker { publisher } => Some(publisher.0 - 200),
        _ => None,
    });
    told.collect()
}

fn large(loudest_voices: usize, voices_of_large_session: usize) -> ForwardSettings {
    ForwardSettings {
        loudest_voices,
        voices_of_large_session,
        ..ForwardSettings::default()
    }
}

#[test]
fn each_change_of_the_speaker_is_reported_once() {
    let mut session = party(ForwardSettings::default());
    talk(&mut session, (1, 100), 2);
    talk(&mut session, (100, 200), 0);
    assert_eq!(speakers(&session), [2, 0]);
    assert_eq!(session.dropped("quiet_voice"), 0);
}

#[test]
fn a_large_session_forwards_only_the_loudest_without_gaps_in_their_sequence_numbers() {
    let mut session = party(large(1, 3));
    talk(&mut session, (1, 100), 2);
    session.out.clear();
    talk(&mut session, (100, 150), 2);
    let heard = |session: &Session, person: u32| session.out.stream(DOWNLINK, person + 1).len();
    assert_eq!(heard(&session, 2), 50);
    assert_eq!([0, 1, 3].map(|person| heard(&session, person)), [0; 3]);
    talk(&mut session, (150, 400), 0);
    let numbers = session.out.sequences(DOWNLINK, 1);
    assert!(numbers.len() > 200, "{}", numbers.len());
    let steps = numbers
        .windows(2)
        .all(|pair| pair[1] == pair[0].wrapping_add(1));
    assert!(steps, "{numbers:?}");
}

#[test]
fn a_small_session_forwards_everybody() {
    let mut session = party(large(1, 4));
    talk(&mut session, (1, 100), 2);
    assert_eq!(session.dropped("quiet_voice"), 0);
    assert_eq!(session.counter("rtp_forwarded"), 99 * PEOPLE);
}

#[test]
fn a_voice_that_sent_nothing_in_silence_is_heard_again_as_if_it_had() {
    let mut session = party(large(2, 3));
    talk(&mut session, (1, 100), 2);
    // The encoder of the first client sends nothing for a minute.
    for number in 100..3_100 {
        session.now += PACKET;
        for person in 1..PEOPLE {
            let level = if person == 2 { VOICE } else { ROOM };
            let packet =
                rtp(number, u32::from(number) * 960, b"audio").extension(LEVEL_ID, &[level]);
            session.take(uplink(person), &packet.bytes());
        }
        session.router.flush(session.now, &mut session.out);
    }
    session.out.clear();
    for number in 100..150_u16 {
        session.now += PACKET;
        let timestamp = (u32::from(number) + 3_000) * 960;
        let packet = rtp(number, timestamp, b"audio").extension(LEVEL_ID, &[VOICE]);
        session.take(uplink(0), &packet.bytes());
        session.router.flush(session.now, &mut session.out);
    }
    let heard = session.out.sequences(DOWNLINK, 1);
    assert!(heard.len() >= 46, "{}", heard.len());
    assert!(
        heard
            .windows(2)
            .all(|pair| pair[1] == pair[0].wrapping_add(1))
    );
    assert!(
        session
            .out
            .events
            .iter()
            .all(|event| matches!(event, ForwardEvent::DominantSpeaker { .. }))
    );
}

#[test]
fn voices_that_are_left_out_take_no_room_of_the_downlink() {
    let wanted = |settings| {
        let mut session = party(settings);
        // Bitrates cover the last second, so the downlink is allocated while all continue to talk.
        for second in 0..4 {
            talk(&mut session, (50 * second + 1, 50 * second + 51), 2);
            session.pass(Duration::ZERO);
        }
        session.router.snapshot().downlinks[0].wanted_bps as f64
    };
    let (all, loudest) = (wanted(large(0, 0)), wanted(large(1, 3)));
    assert!(loudest > 0.0 && all >= 3.9 * loudest, "{all:?} {loudest:?}");
}
