//! RTCP against golden bytes, round trips, and anything at all.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use sealroute_rtp::Sequence;
use sealroute_rtp::rtcp::{
    Compound, ReportBlock, RtcpPacket, SenderInfo, write_cname, write_nack, write_pli,
    write_receiver_report, write_sender_report,
};

fn only(bytes: &[u8]) -> RtcpPacket<'_> {
    let mut packets = Compound::new(bytes);
    let first = packets.next().expect("a packet");
    assert!(packets.next().is_none());
    first
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes);
    bytes
}

#[test]
fn a_picture_loss_indication_has_the_bytes_of_rfc_4585() {
    let bytes = written(|out| write_pli(out, 1, 0xAABB_CCDD));
    assert_eq!(bytes, [0x81, 206, 0, 2, 0, 0, 0, 1, 0xAA, 0xBB, 0xCC, 0xDD]);
    assert!(matches!(
        only(&bytes),
        RtcpPacket::Pli {
            media_ssrc: 0xAABB_CCDD
        }
    ));
}

#[test]
fn a_nack_packs_followers_into_the_mask() {
    let lost = [10, 11, 26, 27, 100].map(Sequence);
    let bytes = written(|out| write_nack(out, 1, 2, &lost));
    let golden = [
        0x81, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 10, 0x80, 0x01, 0, 27, 0, 0, 0, 100, 0, 0,
    ];
    assert_eq!(bytes, golden);
}

#[test]
fn a_full_intra_request_names_its_entry_and_not_the_media_field() {
    let bytes = [
        0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0,
    ];
    assert!(matches!(only(&bytes), RtcpPacket::Fir { media_ssrc: 9 }));
}

#[test]
fn a_canonical_name_ends_in_zeros_on_a_word() {
    let bytes = written(|out| write_cname(out, 7, "ab"));
    assert_eq!(
        bytes,
        [0x81, 202, 0, 3, 0, 0, 0, 7, 1, 2, b'a', b'b', 0, 0, 0, 0]
    );
    let longest = written(|out| write_cname(out, 7, &"x".repeat(300)));
    assert_eq!(longest.len() % 4, 0);
    assert!(matches!(only(&longest), RtcpPacket::Other));
}

#[test]
fn a_malformed_packet_ends_the_compound_and_those_before_it_count() {
    let mut bytes = written(|out| write_pli(out, 1, 2));
    bytes.extend_from_slice(&[0x81, 206, 0, 9, 0, 0]);
    assert_eq!(Compound::new(&bytes).count(), 1);
    let wrong_version = [0x41, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    assert_eq!(Compound::new(&wrong_version).count(), 0);
}

#[test]
fn what_we_do_not_act_on_is_passed_over() {
    let mut bytes = vec![0x80, 207, 0, 1, 0, 0, 0, 1];
    write_pli(&mut bytes, 1, 2);
    let packets: Vec<_> = Compound::new(&bytes).collect();
    assert!(matches!(
        packets[..],
        [RtcpPacket::Other, RtcpPacket::Pli { .. }]
    ));
}

#[test]
fn remb_and_other_application_feedback_are_distinguished() {
    let remb = [
        0x8F, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 0, 0, 0, 0,
    ];
    assert!(matches!(only(&remb), RtcpPacket::Remb { body: [b'R', ..] }));
    let mut other = remb;
    other[12] = b'X';
    assert!(matches!(only(&other), RtcpPacket::Other));
}

fn block() -> impl Strategy<Value = ReportBlock> {
    (
        any::<u32>(),
        any::<u8>(),
        -0x80_0000..0x80_0000_i32,
        any::<u32>(),
        any::<(u32, u32, u32)>(),
    )
        .prop_map(
            |(ssrc, fraction_lost, cumulative_lost, highest_sequence, (jitter, last_sr, delay))| {
                ReportBlock {
                    ssrc,
                    fraction_lost,
                    cumulative_lost,
                    highest_sequence,
                    jitter,
                    last_sr,
                    delay_since_last_sr: delay,
                }
            },
        )
}

proptest! {
    #[test]
    fn reports_come_back_as_written(blocks in prop::collection::vec(block(), 0..31)) {
        let bytes = written(|out| write_receiver_report(out, 1, &blocks));
        let RtcpPacket::ReceiverReport { reports } = only(&bytes) else { panic!("no report") };
        prop_assert!(reports.eq(blocks));
    }

    #[test]
    fn sender_reports_come_back_as_written(sender: u32, ntp_time: u64, rtp_time: u32, packets: u32, bytes: u32) {
        let told = SenderInfo { ntp_time, rtp_time, packets, bytes };
        let bytes = written(|out| write_sender_report(out, sender, &told));
        let RtcpPacket::SenderReport { ssrc, info, .. } = only(&bytes) else { panic!("no report") };
        prop_assert_eq!((ssrc, info), (sender, told));
    }

    #[test]
    fn nacks_come_back_as_written(start: u16, steps in prop::collection::vec(1_u16..60, 0..200)) {
        let next = |at: &mut u16, step: u16| { *at = at.wrapping_add(step); Some(Sequence(*at)) };
        let lost: Vec<Sequence> = steps.into_iter().scan(start, |at, step| next(at, step)).collect();
        let bytes = written(|out| write_nack(out, 1, 2, &lost));
        let RtcpPacket::Nack { media_ssrc: 2, lost: read } = only(&bytes) else { panic!("no NACK") };
        prop_assert!(read.eq(lost));
    }

    #[test]
    fn no_bytes_can_make_it_panic_or_run_on(mut bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 192_u8..224) {
        if let [first, second, high, ..] = bytes.as_mut_slice() {
            (*first, *second, *high) = (*first & 0x3F | 0x80, kind, 0);
        }
        let mut items = 0;
        for packet in Compound::new(&bytes) {
            items += 1 + match packet {
                RtcpPacket::SenderReport { reports, .. } | RtcpPacket::ReceiverReport { reports } => reports.count(),
                RtcpPacket::Nack { lost, .. } => lost.count(),
                _ => 0,
            };
        }
        prop_assert!(items <= bytes.len() * 17 / 4 + 1);
    }
}
