//! Reports to publishers and to subscribers.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{
    Codec, EncodingParameters, MediaKind, PayloadAccess, PreferredLayers, TransportHandle,
};
use sealroute_netem::Random;
use sealroute_rtp::rtcp::{
    Compound, ReportBlock, RtcpPacket, SenderInfo, write_receiver_report, write_sender_report,
};
use std::time::Duration;
use support::wire::{rtp, vp8, vp8_sized};
use support::*;

const MILLISECOND: Duration = Duration::from_millis(1);
const AUDIO_SSRC: u32 = 0x2222;
const AUDIO_DOWN_TRACK_SSRC: u32 = 0x9003;

fn receiver_reports(session: &Session) -> Vec<ReportBlock> {
    let sent = session.out.rtcp.iter().filter(|sent| sent.to == UPLINK);
    sent.flat_map(|sent| Compound::new(&sent.bytes))
        .filter_map(|packet| match packet {
            RtcpPacket::ReceiverReport { reports } => Some(reports),
            _ => None,
        })
        .flatten()
        .collect()
}

fn sender_reports(session: &Session, to: TransportHandle, of: u32) -> Vec<SenderInfo> {
    let sent = session.out.rtcp.iter().filter(|sent| sent.to == to);
    sent.flat_map(|sent| Compound::new(&sent.bytes))
        .filter_map(|packet| match packet {
            RtcpPacket::SenderReport { ssrc, info, .. } if ssrc == of => Some(info),
            _ => None,
        })
        .collect()
}

fn sender_report(ssrc: u32, ntp_time: u64, rtp_time: u32) -> Vec<u8> {
    let info = SenderInfo {
        ntp_time,
        rtp_time,
        packets: 5,
        bytes: 500,
    };
    let mut compound = Vec::new();
    write_sender_report(&mut compound, ssrc, &info);
    compound
}

/// Audio of 20 ms packets, each with its offset from the previous one in milliseconds.
fn audio() -> Session {
    let mut parameters = up_track(Codec::Opus);
    parameters.nack = false;
    Session::with(PayloadAccess::Clear, parameters)
}

#[test]
fn loss_and_jitter_are_those_of_rfc_3550_worked_by_hand() {
    let mut session = audio();
    // Sequence numbers 100..=109 without 103 and 107; one packet comes 5 ms late, the next on time.
    for number in (100_u16..110).filter(|number| ![103, 107].contains(number)) {
        if number == 105 {
            session.now += 5 * MILLISECOND;
        }
        session.rtp(&rtp(number, u32::from(number) * 960, b"a").bytes());
        let next = if [102, 106].contains(&number) { 40 } else { 20 };
        session.now += next * MILLISECOND;
        if number == 105 {
            session.now -= 5 * MILLISECOND;
        }
    }
    session.rtcp(UPLINK, &sender_report(SSRC, 0x1234_5678_9ABC_DEF0, 0));
    let delay = 500 * MILLISECOND;
    session.now += delay;
    let due = session.router.poll_timeout().expect("due");
    let waited = due.saturating_duration_since(session.now);
    session.pass(waited);
    let block = receiver_reports(&session)[0];
    assert_eq!(block.ssrc, SSRC);
    assert_eq!(block.cumulative_lost, 2);
    // 10 expected, 2 lost: 2 * 256 / 10.
    assert_eq!(block.fraction_lost, 51);
    assert_eq!(block.highest_sequence & 0xFFFF, 109);
    // Two differences of 240 ticks: J1 = 240/16 = 15, J2 = 15 + (240-15)/16 = 29.06, then two
    // (108, 109) without: 29.06 * (15/16)^2 = 25.5.
    assert_eq!(block.jitter, 25);
    assert_eq!(block.last_sr, 0x5678_9ABC);
    let held = (delay + waited).as_secs_f64() * 65_536.0;
    assert!((f64::from(block.delay_since_last_sr) - held).abs() < 2.0);
}

#[test]
fn the_share_lost_is_that_since_the_last_report_and_no_loss_is_negative_in_it() {
    let mut session = audio();
    for number in [1_u16, 2, 5, 6] {
        session.rtp(&rtp(number, 0, b"a").bytes());
    }
    session.pass(Duration::from_secs(1));
    for number in [7_u16, 8, 3, 4] {
        session.rtp(&rtp(number, 0, b"a").bytes());
    }
    session.pass(Duration::from_secs(1));
    let reports = receiver_reports(&session);
    let found: Vec<_> = reports
        .iter()
        .map(|r| (r.fraction_lost, r.cumulative_lost))
        .collect();
    assert_eq!(found, [(85, 2), (0, 0)]);
}

#[test]
fn each_received_stream_is_reported_each_second() {
    let mut session = Session::with(PayloadAccess::Opaque, simulcast(Codec::Vp8));
    for (index, rid) in [b"q", b"h", b"f"].into_iter().enumerate() {
        let packet = rtp(1, 0, &vp8(true, 1, b"a"))
            .ssrc(100 + index as u32)
            .extension(MID_ID, b"0");
        session.rtp(&packet.extension(RID_ID, rid).bytes());
    }
    session.pass(Duration::from_millis(3_100));
    let ssrcs: Vec<u32> = receiver_reports(&session)
        .iter()
        .map(|block| block.ssrc)
        .collect();
    assert_eq!(ssrcs, [100, 101, 102].repeat(3));
}

#[test]
fn a_stream_not_received_is_not_reported() {
    let mut session = audio();
    session.pass(Duration::from_secs(3));
    assert!(receiver_reports(&session).is_empty());
}

#[test]
fn a_sender_report_uses_the_subscribers_ssrc_and_time_with_a_common_name() {
    let mut session = audio();
    session.rtp(&rtp(1, 5_000, b"abc").bytes());
    session.rtcp(UPLINK, &sender_report(SSRC, 7 << 32, 5_000));
    let info = sender_reports(&session, DOWNLINK, DOWN_TRACK_SSRC)[0];
    let expected = SenderInfo {
        ntp_time: 7 << 32,
        rtp_time: 5_000,
        packets: 1,
        bytes: 3,
    };
    assert_eq!(info, expected);
    let compound = &session
        .out
        .rtcp
        .iter()
        .find(|sent| sent.to == DOWNLINK)
        .expect("sent")
        .bytes;
    assert_eq!(Compound::new(compound).count(), 2, "SR and SDES");
    assert_eq!(compound[28 + 1], 202);
    assert_eq!(compound[28 + 8], 1, "CNAME");
}

#[test]
fn a_report_on_retransmissions_is_not_taken_for_one_on_the_media() {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8));
    session.rtp(&rtp(1, 0, &vp8(true, 1, b"a")).bytes());
    session.rtcp(UPLINK, &sender_report(RTX_SSRC, 7 << 32, 9));
    assert!(sender_reports(&session, DOWNLINK, DOWN_TRACK_SSRC).is_empty());
    session.pass(Duration::from_secs(1));
    assert_eq!(receiver_reports(&session)[0].last_sr, 0);
}

#[test]
fn audio_and_video_stay_synchronized_over_pauses() {
    let mut session = Session::new(PayloadAccess::Clear);
    let mut audio = up_track(Codec::Opus);
    audio.mid = "1".into();
    audio.payload_type = 111;
    audio.encodings = vec![EncodingParameters {
        ssrc: Some(AUDIO_SSRC),
        ..EncodingParameters::default()
    }];
    let now = session.now;
    let published =
        session
            .router
            .publish(now, PUBLISHER, UPLINK, vec![up_track(Codec::Vp8), audio]);
    published.expect("published");
    let mut audio = down_track_without_rtx();
    (audio.up_track_mid, audio.ssrc) = ("1".into(), AUDIO_DOWN_TRACK_SSRC);
    let subscribed =
        session
            .router
            .subscribe(now, SUBSCRIBER, PUBLISHER, DOWNLINK, &[down_track(), audio]);
    subscribed.expect("subscribed");
    let start = session.now;
    for step in 0..400_u32 {
        let elapsed = (session.now - start).as_millis() as u32;
        let picture = rtp(
            step as u16,
            1_000_000 + elapsed * 90,
            &vp8(step % 10 == 0, step as u16, b"a"),
        );
        session.rtp(&picture.bytes());
        let talk = rtp(step as u16, 77 + elapsed * 48, b"audio")
            .ssrc(AUDIO_SSRC)
            .payload_type(111);
        session.rtp(&talk.bytes());
        if step == 100 || step == 200 {
            let forwarding = step == 200;
            session
                .router
                .set_down_track_forwarding(SUBSCRIBER, MediaKind::Video, forwarding)
                .expect("set");
        }
        if step % 50 == 0 {
            let wall = (1_000_u64 << 32) + (u64::from(elapsed) << 32) / 1_000;
            session.rtcp(UPLINK, &sender_report(SSRC, wall, 1_000_000 + elapsed * 90));
            session.rtcp(UPLINK, &sender_report(AUDIO_SSRC, wall, 77 + elapsed * 48));
        }
        session.pass(20 * MILLISECOND);
    }
    // The wall-clock time of the last packet of each stream, as a receiver computes it.
    let wall = |ssrc: u32, clock: f64| {
        let info = *sender_reports(&session, DOWNLINK, ssrc)
            .last()
            .expect("a report");
        let stream = session.out.stream(DOWNLINK, ssrc);
        let last = stream.last().expect("a packet").packet().timestamp();
        let ahead = f64::from(last.wrapping_sub(info.rtp_time) as i32) / clock;
        info.ntp_time as f64 / 4_294_967_296.0 + ahead
    };
    let apart = wall(DOWN_TRACK_SSRC, 90_000.0) - wall(AUDIO_DOWN_TRACK_SSRC, 48_000.0);
    assert!(apart.abs() < 0.001, "{apart}");
}

#[test]
fn reports_give_the_wall_clock_of_each_frame_also_right_after_a_switch() {
    let mut session = Session::with(PayloadAccess::Opaque, simulcast(Codec::Vp8));
    let mut random = Random::new(5);
    let start = session.now;
    let (mut switches, mut current) = (0, None);
    for frame in 0..600_u32 {
        let captured_ms = (session.now - start).as_millis() as u32;
        // Each encoding has its own clock and its own sending delay.
        let clock = |index: u32| 1_000_000 * index + captured_ms * 90;
        if frame % 40 == 0 {
            let sizes = [160, 640, 1_280];
            let preferred = PreferredLayers {
                max_width_px: Some(sizes[random.below(3) as usize]),
                ..PreferredLayers::default()
            };
            let set = session.router.set_preferred_layers(SUBSCRIBER, preferred);
            set.expect("set");
        }
        for (index, rid) in (0..).zip([b"q", b"h", b"f"]) {
            session.pass(Duration::from_millis(random.below(6)));
            let ssrc = 100 + index;
            if frame % 30 == 0 {
                let wall = (7_000_u64 << 32) + (u64::from(captured_ms) << 32) / 1_000;
                session.rtcp(UPLINK, &sender_report(ssrc, wall, clock(index)));
            }
            let size = [(320, 180), (640, 360), (1_280, 720)][index as usize];
            let payload = vp8_sized(frame % 20 == 0, frame as u16, size, b"a");
            let packet = rtp(frame as u16, clock(index), &payload)
                .ssrc(ssrc)
                .marker();
            let packet = packet.extension(MID_ID, b"0").extension(RID_ID, rid);
            session.rtp(&packet.bytes());
        }
        session.pass(20 * MILLISECOND);
        let now = session.router.snapshot().down_tracks[0].encoding;
        switches += u32::from(current != now);
        current = now;
        let Some(info) = sender_reports(&session, DOWNLINK, DOWN_TRACK_SSRC)
            .last()
            .copied()
        else {
            assert!(frame < 60, "no report");
            continue;
        };
        let stream = session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
        let shown = stream.last().expect("a packet").packet().timestamp();
        let ahead_s = f64::from(shown.wrapping_sub(info.rtp_time) as i32) / 90_000.0;
        let wall_s = info.ntp_time as f64 / 4_294_967_296.0 + ahead_s - 7_000.0;
        let wrong_s = wall_s - f64::from(captured_ms) / 1_000.0;
        assert!(wrong_s.abs() < 0.001, "frame {frame}: {wrong_s}");
    }
    assert!(switches > 6, "{switches}");
}

#[test]
fn a_subscribers_report_gives_its_round_trip_time_and_loss() {
    let mut session = audio();
    session.rtp(&rtp(1, 5_000, b"abc").bytes());
    session.rtcp(UPLINK, &sender_report(SSRC, 0x0007_1234_5678_0000, 5_000));
    session.pass(150 * MILLISECOND);
    let block = ReportBlock {
        ssrc: DOWN_TRACK_SSRC,
        fraction_lost: 13,
        last_sr: 0x1234_5678,
        delay_since_last_sr: 65_536 / 10,
        ..ReportBlock::default()
    };
    let mut compound = Vec::new();
    write_receiver_report(&mut compound, 1, &[block]);
    session.rtcp(OTHER_DOWNLINK, &compound);
    assert_eq!(session.router.snapshot().down_tracks[0].round_trip_ms, None);
    session.rtcp(DOWNLINK, &compound);
    let down_track = &session.router.snapshot().down_tracks[0];
    assert_eq!(down_track.fraction_lost, 13);
    assert_eq!(down_track.round_trip_ms, Some(50));
}

/// Whether the reports of a subscriber without other feedback limit its downlink, when one packet
/// of five is lost on the uplink (`uplink`) or on the downlink.
fn reports_limit(uplink: bool) -> bool {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8));
    let (mut lost, mut number) = (0, 0_u16);
    for second in 0..10_u32 {
        for index in 0..100_u32 {
            let missing = index % 5 == 3;
            lost += i32::from(missing);
            if !(missing && uplink) {
                let payload = wire::vp8(number == 0, number, &[7; 500]);
                let timestamp = second * 90_000 + index * 900;
                session.rtp(&wire::rtp(number, timestamp, &payload).bytes());
            }
            number += 1;
            session.pass(Duration::from_millis(10));
        }
        let highest = *session
            .out
            .sequences(DOWNLINK, DOWN_TRACK_SSRC)
            .last()
            .expect("sent");
        let block = ReportBlock {
            ssrc: DOWN_TRACK_SSRC,
            fraction_lost: 51,
            cumulative_lost: lost,
            highest_sequence: highest.into(),
            jitter: 0,
            last_sr: 0,
            delay_since_last_sr: 0,
        };
        let mut compound = Vec::new();
        write_receiver_report(&mut compound, 1, &[block]);
        session.rtcp(DOWNLINK, &compound);
    }
    session.router.snapshot().downlinks[0].limited
}

#[test]
fn a_link_is_not_blamed_for_what_was_lost_before_it() {
    assert!(reports_limit(false));
    assert!(!reports_limit(true));
}
