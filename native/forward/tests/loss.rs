//! Loss and retransmission in both directions.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{Codec, DownTrackParameters, PayloadAccess};
use sealroute_netem::{Conditions, Link};
use sealroute_rtp::RtpPacket;
use sealroute_rtp::rtcp::{Compound, ReportBlock, RtcpPacket, write_receiver_report};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use support::wire::{retransmission, rtp, vp8, vp8_continuation};
use support::*;

const MILLISECOND: Duration = Duration::from_millis(1);
/// The jitter buffer of a call over a bad network.
const DEADLINE: Duration = Duration::from_secs(1);
const PACKETS: u16 = 3_000;

fn media(number: u16) -> wire::Rtp {
    let body = [number.to_be_bytes().as_slice(), &[0x5A; 600]].concat();
    let payload = if number.is_multiple_of(5) {
        vp8(number == 0, number / 5, &body)
    } else {
        vp8_continuation(number / 5, &body)
    };
    rtp(number, u32::from(number / 5) * 3_000, &payload)
}

/// A receiver that sends NACKs for every gap each 60 ms.
#[derive(Default)]
struct Receiver {
    arrived: BTreeMap<u16, Instant>,
    asked: BTreeMap<u16, Instant>,
}

impl Receiver {
    fn take(&mut self, now: Instant, datagram: &[u8]) {
        let packet = RtpPacket::parse(datagram).expect("RTP");
        let number = match packet.ssrc() {
            DOWN_TRACK_SSRC => packet.sequence().0,
            DOWN_TRACK_RTX_SSRC => u16::from_be_bytes([packet.payload()[0], packet.payload()[1]]),
            other => panic!("SSRC {other:#x}"),
        };
        self.arrived.entry(number).or_insert(now);
    }

    fn missing(&mut self, now: Instant) -> Vec<u16> {
        let highest = self.arrived.keys().next_back().copied().unwrap_or_default();
        let lowest = highest.saturating_sub(400);
        let gaps = (lowest..highest).filter(|number| !self.arrived.contains_key(number));
        let due = |number: &u16| {
            self.asked
                .get(number)
                .is_none_or(|&at| now >= at + 60 * MILLISECOND)
        };
        let due: Vec<u16> = gaps.filter(due).collect();
        self.asked.extend(due.iter().map(|&number| (number, now)));
        due
    }
}

/// A publisher that answers NACKs, a router, a subscriber that sends them; four lossy links.
struct Call {
    session: Session,
    up: Link,
    up_rtcp: Link,
    down: Link,
    down_rtcp: Link,
    rtx: u16,
    sent: BTreeMap<u16, Instant>,
    receiver: Receiver,
}

impl Call {
    fn new(seed: u64, (up, down): (f64, f64), with_rtx: bool) -> Self {
        let mut session = Session::new(PayloadAccess::Opaque);
        session.publish(PUBLISHER, UPLINK, up_track(Codec::Vp8));
        session.subscribe(
            SUBSCRIBER,
            DOWNLINK,
            if with_rtx {
                down_track()
            } else {
                down_track_without_rtx()
            },
        );
        let link = |index: u64, loss: f64| {
            let conditions = Conditions {
                loss,
                delay: 15 * MILLISECOND,
                jitter: 4 * MILLISECOND,
                ..Conditions::default()
            };
            Link::new(seed * 10 + index, conditions)
        };
        Self {
            session,
            up: link(0, up),
            up_rtcp: link(1, up),
            down: link(2, down),
            down_rtcp: link(3, down),
            rtx: 0,
            sent: BTreeMap::new(),
            receiver: Receiver::default(),
        }
    }

    fn answer_publisher(&mut self, compound: &[u8]) {
        for packet in Compound::new(compound) {
            if let RtcpPacket::Nack { lost, .. } = packet {
                for sequence in lost {
                    self.rtx += 1;
                    let again = retransmission(self.rtx, &media(sequence.0));
                    self.up.send(self.session.now, &again.bytes());
                }
            }
        }
    }

    fn deliver(&mut self) {
        let now = self.session.now;
        while let Some(datagram) = self.up.receive(now) {
            self.session.rtp(&datagram);
        }
        while let Some(datagram) = self.down_rtcp.receive(now) {
            self.session.rtcp(DOWNLINK, &datagram);
        }
        while let Some(datagram) = self.up_rtcp.receive(now) {
            self.answer_publisher(&datagram);
        }
        while let Some(datagram) = self.down.receive(now) {
            self.receiver.take(now, &datagram);
        }
        for sent in self.session.out.rtp.drain(..) {
            self.down.send(now, &sent.bytes);
        }
        for sent in self
            .session
            .out
            .rtcp
            .drain(..)
            .filter(|sent| sent.to == UPLINK)
        {
            self.up_rtcp.send(now, &sent.bytes);
        }
        let missing = self.receiver.missing(now);
        if !missing.is_empty() {
            self.down_rtcp.send(now, &nack(DOWN_TRACK_SSRC, &missing));
        }
    }

    fn run(&mut self) {
        for number in 0..PACKETS {
            // The first packet starts the stream; its loss is the subject of another test.
            if number == 0 {
                self.session.rtp(&media(0).bytes());
            } else {
                self.up.send(self.session.now, &media(number).bytes());
            }
            self.sent.insert(number, self.session.now);
            for _ in 0..3 {
                self.session.pass(MILLISECOND);
                self.deliver();
            }
        }
        for _ in 0..1_500 {
            self.session.pass(MILLISECOND);
            self.deliver();
        }
    }

    /// Packets that missed the deadline.
    fn late(&self) -> Vec<u16> {
        let late = |(number, at): &(&u16, &Instant)| {
            let arrived = self.receiver.arrived.get(number);
            arrived.is_none_or(|&arrived| arrived > **at + DEADLINE)
        };
        // No later packet reveals the loss of the last ones.
        let sent = self.sent.iter().take(usize::from(PACKETS) - 20);
        sent.filter(late).map(|(&number, _)| number).collect()
    }
}

#[test]
fn at_light_loss_on_all_four_links_everything_arrives_in_time() {
    for (seed, loss) in [(1, 0.05), (2, 0.10), (3, 0.13)] {
        for with_rtx in [true, false] {
            let mut call = Call::new(seed, (loss, loss), with_rtx);
            call.run();
            assert!(call.up.lost() > 100 && call.down.lost() > 100);
            assert_eq!(call.late(), [0_u16; 0], "{loss} {with_rtx}");
        }
    }
}

#[test]
fn at_heavy_loss_of_a_publisher_all_but_one_in_a_thousand_arrives_in_time() {
    for (seed, loss) in [(4, 0.20), (5, 0.30)] {
        let mut call = Call::new(seed, (loss, 0.02), true);
        call.run();
        // Ten tries, each of which fails with 1 - 0.7 * 0.7, leave one loss in 840.
        let late = call.late();
        assert!(
            late.len() <= usize::from(PACKETS) / 1_000,
            "{loss}: {late:?}"
        );
    }
}

#[test]
fn at_heavy_loss_of_a_subscriber_only_the_share_for_repeats_leaves_gaps() {
    for (seed, loss) in [(6, 0.20), (7, 0.30)] {
        let mut call = Call::new(seed, (0.0, loss), true);
        call.run();
        let late = call.late().len();
        let refused = call.session.dropped("resend_limit");
        assert!(late == 0 || refused > 0, "{loss}: {late} late");
        // A sixth of the media is retransmitted, and the loss takes its share of that again.
        let lost = f64::from(PACKETS) * loss;
        let made_good = f64::from(PACKETS) * 0.18 * (1.0 - loss);
        assert!(
            (late as f64) < lost - made_good * 0.9,
            "{loss}: {late} late"
        );
    }
}

fn playing() -> Session {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8));
    session.rtp(&media(0).bytes());
    session.out.clear();
    session
}

#[test]
fn a_gap_is_asked_for_at_once_then_each_80_ms_and_given_up_after_800_ms() {
    let mut session = playing();
    session.rtp(&media(3).bytes());
    assert_eq!(session.out.asked(UPLINK, SSRC), [1, 2]);
    session.out.clear();
    session.pass(79 * MILLISECOND);
    assert_eq!(session.out.asked(UPLINK, SSRC), [0_u16; 0]);
    session.pass(MILLISECOND);
    assert_eq!(session.out.asked(UPLINK, SSRC), [1, 2]);
    session.rtp(&media(1).bytes());
    session.out.clear();
    session.pass(10 * Duration::from_secs(1));
    let asked = session.out.asked(UPLINK, SSRC);
    assert!(asked.iter().all(|&number| number == 2), "{asked:?}");
    assert!((7..=9).contains(&asked.len()), "{asked:?}");
}

#[test]
fn a_jump_of_half_the_sequence_space_causes_no_nack() {
    let mut session = playing();
    session.rtp(&media(1).bytes());
    session.rtp(&media(0x7FFF).bytes());
    session.pass(Duration::from_secs(1));
    assert_eq!(session.out.asked(UPLINK, SSRC), [0_u16; 0]);
}

#[test]
fn what_is_outstanding_at_one_time_is_bounded() {
    let mut session = playing();
    for step in 1..100_u16 {
        session.take(UPLINK, &media(step * 250).bytes());
    }
    session.router.flush(session.now, &mut session.out);
    assert_eq!(session.out.asked(UPLINK, SSRC).len(), 512);
}

#[test]
fn an_up_track_without_nack_is_never_asked() {
    let mut parameters = up_track(Codec::Opus);
    parameters.nack = false;
    let mut session = Session::with(PayloadAccess::Clear, parameters);
    session.rtp(&rtp(1, 0, b"a").bytes());
    session.rtp(&rtp(4, 0, b"a").bytes());
    session.pass(Duration::from_secs(1));
    assert_eq!(session.out.asked(UPLINK, SSRC), [0_u16; 0]);
}

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
