//! What subscribers get again: retransmissions, repeated audio, and their limits.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{Codec, DownTrackParameters, PayloadAccess};
use sealroute_rtp::rtcp::{ReportBlock, write_receiver_report};
use std::collections::BTreeSet;
use std::time::Duration;
use support::numbered_video::{MILLISECOND, media, playing};
use support::wire::{rtp, vp8};
use support::*;

#[test]
fn a_packet_is_retransmitted_over_rtx_with_its_sequence_number_first() {
    let mut session = playing();
    session.rtp(&media(1).bytes());
    session.out.clear();
    session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &[1]));
    let sent = session.out.stream(DOWNLINK, DOWN_TRACK_RTX_SSRC);
    let packet = sent[0].packet();
    assert_eq!(packet.payload_type(), DOWN_TRACK_RTX_PAYLOAD_TYPE);
    assert_eq!(
        packet.payload(),
        [&[0, 1], media(1).payload.as_slice()].concat()
    );
}

#[test]
fn every_retransmission_names_its_m_line_however_old_the_stream() {
    // A receiver whose SDP declares no SSRC cannot identify the retransmissions otherwise.
    let mut session = playing();
    for number in 1..1_000 {
        session.rtp(&media(number).bytes());
    }
    session.out.clear();
    for number in 980..990 {
        session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &[number]));
    }
    let sent = session.out.stream(DOWNLINK, DOWN_TRACK_RTX_SSRC);
    assert_eq!(sent.len(), 10);
    for again in sent {
        let mid = again
            .packet()
            .extensions()
            .find(|&(id, _)| id == DOWN_TRACK_MID_ID);
        assert_eq!(mid, Some((DOWN_TRACK_MID_ID, b"7".as_slice())));
    }
}

#[test]
fn without_rtx_the_same_bytes_are_sent_again() {
    let mut session = Session::new(PayloadAccess::Opaque);
    session.publish(PUBLISHER, UPLINK, up_track(Codec::Vp8));
    session.subscribe(SUBSCRIBER, DOWNLINK, down_track_without_rtx());
    for number in 0..200 {
        session.rtp(&media(number).bytes());
    }
    let first = session.out.rtp[3].clone();
    session.out.clear();
    session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &[3]));
    assert_eq!(session.out.rtp, [first]);
}

#[test]
fn a_receiver_without_nack_gets_nothing_twice() {
    for parameters in [down_track(), down_track_without_rtx()] {
        let mut session = Session::new(PayloadAccess::Opaque);
        session.publish(PUBLISHER, UPLINK, up_track(Codec::Vp8));
        let without = DownTrackParameters {
            nack: false,
            ..parameters
        };
        session.subscribe(SUBSCRIBER, DOWNLINK, without);
        session.rtp(&media(0).bytes());
        session.out.clear();
        session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &[0]));
        assert!(session.out.rtp.is_empty());
    }
}

#[test]
fn a_packet_asked_for_twice_within_a_round_trip_is_sent_once() {
    for parameters in [down_track(), down_track_without_rtx()] {
        let mut session = Session::new(PayloadAccess::Opaque);
        session.publish(PUBLISHER, UPLINK, up_track(Codec::Vp8));
        session.subscribe(SUBSCRIBER, DOWNLINK, parameters);
        session.rtp(&media(0).bytes());
        session.out.clear();
        session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &[0]));
        session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &[0]));
        assert_eq!(session.dropped("resent_recently"), 1);
        session.pass(50 * MILLISECOND);
        session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &[0]));
        assert_eq!(session.out.rtp.len(), 2);
    }
}

#[test]
fn lost_audio_is_retransmitted_at_once_and_with_the_next_packet() {
    let mut session = Session::new(PayloadAccess::Clear);
    session.publish(PUBLISHER, UPLINK, up_track(Codec::Opus));
    session.subscribe(SUBSCRIBER, DOWNLINK, down_track_without_rtx());
    for number in 0..10 {
        session.rtp(&rtp(number, u32::from(number) * 960, b"audio").bytes());
    }
    session.out.clear();
    session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &[7]));
    assert_eq!(session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC), [7]);
    session.rtp(&rtp(10, 9_600, b"audio").bytes());
    session.rtp(&rtp(11, 10_560, b"audio").bytes());
    assert_eq!(
        session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC),
        [7, 7, 10, 11]
    );
}

/// Sequence numbers that an audio subscriber gets of the next ten packets.
fn ten_of_audio(session: &mut Session, first: u16) -> Vec<u16> {
    session.out.clear();
    for number in first..first + 10 {
        session.rtp(&rtp(number, u32::from(number) * 960, b"audio").bytes());
        session.pass(20 * MILLISECOND);
    }
    session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC)
}

fn report_loss(session: &mut Session, highest_sequence: u32, cumulative_lost: i32, share: f64) {
    let block = ReportBlock {
        ssrc: DOWN_TRACK_SSRC,
        fraction_lost: (share * 256.0) as u8,
        cumulative_lost,
        highest_sequence,
        ..ReportBlock::default()
    };
    let mut compound = Vec::new();
    write_receiver_report(&mut compound, 1, &[block]);
    session.rtcp(DOWNLINK, &compound);
}

#[test]
fn a_lossy_subscriber_gets_each_audio_packet_twice_until_ten_seconds_after() {
    let mut session = Session::new(PayloadAccess::Clear);
    session.publish(PUBLISHER, UPLINK, up_track(Codec::Opus));
    session.subscribe(SUBSCRIBER, DOWNLINK, down_track_without_rtx());
    assert_eq!(ten_of_audio(&mut session, 0), (0..10).collect::<Vec<_>>());
    report_loss(&mut session, 9, 0, 0.02);
    assert_eq!(ten_of_audio(&mut session, 10), (10..20).collect::<Vec<_>>());
    report_loss(&mut session, 19, 2, 0.2);
    let twice = [20, 20, 21, 21, 22, 22, 23, 23, 24, 24, 25, 25, 26, 26, 27];
    assert_eq!(ten_of_audio(&mut session, 20)[..15], twice);
    assert_eq!(session.counter("repeated_unasked"), 9);
    report_loss(&mut session, 29, 2, 0.0);
    assert_eq!(ten_of_audio(&mut session, 30)[..4], [29, 30, 30, 31]);
    session.pass(Duration::from_secs(10));
    assert_eq!(ten_of_audio(&mut session, 40)[..4], [39, 40, 41, 42]);
}

/// Original sequence numbers of the retransmissions to a subscriber.
fn retransmitted(session: &Session) -> Vec<u16> {
    let stream = session.out.stream(DOWNLINK, DOWN_TRACK_RTX_SSRC);
    let original = |sent: &&Sent| {
        let number = sent.packet().payload().first_chunk::<2>().copied();
        u16::from_be_bytes(number.expect("an original number"))
    };
    stream.iter().map(original).collect()
}

#[test]
fn a_lossy_subscriber_gets_a_video_retransmission_again_with_a_later_packet() {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8));
    for number in 0..10 {
        session.rtp(&media(number).bytes());
    }
    session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &[3]));
    session.pass(20 * MILLISECOND);
    session.rtp(&media(10).bytes());
    assert_eq!(retransmitted(&session), [3]);
    report_loss(&mut session, 9, 0, 0.0);
    report_loss(&mut session, 10, 1, 0.1);
    session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &[4, 5]));
    assert_eq!(retransmitted(&session), [3, 4, 5]);
    session.rtp(&media(11).bytes());
    assert_eq!(retransmitted(&session), [3, 4, 5]);
    session.pass(20 * MILLISECOND);
    session.rtp(&media(12).bytes());
    session.rtp(&media(13).bytes());
    assert_eq!(retransmitted(&session), [3, 4, 5, 4, 5]);
    assert_eq!(session.counter("repeated_unasked"), 2);
}

#[test]
fn second_retransmissions_leave_half_of_the_share_to_those_that_are_asked_for() {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8));
    let body = [9; 1_000];
    for number in 0..60 {
        let payload = vp8(number == 0, number, &body);
        session.rtp(&rtp(number, u32::from(number) * 3_000, &payload).bytes());
    }
    report_loss(&mut session, 0, 0, 0.0);
    report_loss(&mut session, 59, 12, 0.2);
    session.rtcp(
        DOWNLINK,
        &nack(DOWN_TRACK_SSRC, &(0..30).collect::<Vec<_>>()),
    );
    assert_eq!(retransmitted(&session).len(), 30);
    session.pass(20 * MILLISECOND);
    let payload = vp8(false, 60, &body);
    session.rtp(&rtp(60, 180_000, &payload).bytes());
    assert_eq!(session.counter("repeated_unasked"), 0);
    assert_eq!(session.dropped("resend_limit"), 0);
}

#[test]
fn a_subscriber_without_nacks_gets_audio_once() {
    let mut session = Session::new(PayloadAccess::Clear);
    session.publish(PUBLISHER, UPLINK, up_track(Codec::Opus));
    let parameters = DownTrackParameters {
        nack: false,
        ..down_track_without_rtx()
    };
    session.subscribe(SUBSCRIBER, DOWNLINK, parameters);
    ten_of_audio(&mut session, 0);
    report_loss(&mut session, 9, 2, 0.2);
    assert_eq!(ten_of_audio(&mut session, 10), (10..20).collect::<Vec<_>>());
}

#[test]
fn a_flood_of_nacks_gets_at_most_a_fifth_of_the_media_and_a_burst() {
    let mut session = playing();
    let mut again = BTreeSet::new();
    let (mut media_bytes, mut again_bytes) = (0, 0);
    for number in 1..5_000_u16 {
        session.rtp(&media(number).bytes());
        let recent: Vec<u16> = (number.saturating_sub(300)..=number).collect();
        session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &recent));
        session.pass(3 * MILLISECOND);
        for sent in session.out.rtp.drain(..) {
            let packet = sent.packet();
            if packet.ssrc() == DOWN_TRACK_SSRC {
                media_bytes += packet.payload().len();
            } else {
                again_bytes += packet.payload().len() - 2;
                again.insert(packet.sequence().0);
            }
        }
        session.out.clear();
    }
    assert!(
        again_bytes > media_bytes / 7,
        "{again_bytes} of {media_bytes}"
    );
    assert!(
        again_bytes <= media_bytes * 18 / 100 + 48_000,
        "{again_bytes} of {media_bytes}"
    );
    assert!(session.dropped("resend_limit") > 0);
}

#[test]
fn where_the_share_for_repeats_is_used_up_a_key_frame_is_asked_for_instead() {
    let mut session = playing();
    session.pass(Duration::from_secs(2));
    for number in 1..300 {
        session.rtp(&media(number).bytes());
    }
    session.out.clear();
    let lost: Vec<u16> = (100..110).collect();
    session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &lost));
    assert_eq!(session.dropped("resend_limit"), 0);
    assert_eq!(session.out.plis(UPLINK, SSRC), 0);
    let many: Vec<u16> = (110..290).collect();
    session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &many));
    assert!(session.dropped("resend_limit") > 0);
    assert_eq!(session.out.plis(UPLINK, SSRC), 1);
}

#[test]
fn nobody_gets_packets_of_anothers_stream_by_asking() {
    let mut session = playing();
    session.rtcp(OTHER_DOWNLINK, &nack(DOWN_TRACK_SSRC, &[0]));
    session.rtcp(DOWNLINK, &nack(SSRC, &[0]));
    assert!(session.out.rtp.is_empty());
}
