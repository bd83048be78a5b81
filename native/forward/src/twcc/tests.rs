use super::*;
use proptest::prelude::*;

/// What a sender reads from a feedback: sequence numbers and arrival times in microseconds.
struct Feedback {
    count: u8,
    base: u16,
    packets: Vec<(u16, Option<i64>)>,
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// An independent parser, written from the draft.
fn read(packet: &[u8]) -> Feedback {
    assert_eq!((packet[0] & 0xdf, packet[1]), (0x8f, 205));
    assert_eq!(usize::from(be16(packet, 2)) * 4 + 4, packet.len());
    let end = if packet[0] & 0x20 == 0 {
        packet.len()
    } else {
        packet.len() - usize::from(packet[packet.len() - 1])
    };
    let base = be16(packet, 12);
    let total = usize::from(be16(packet, 14));
    let reference = i64::from(i32::from_be_bytes([packet[16], packet[17], packet[18], 0]) >> 8);
    let mut at = 20;
    let mut symbols = Vec::new();
    while symbols.len() < total {
        let chunk = be16(packet, at);
        at += 2;
        match chunk >> 14 {
            0 | 1 => symbols.extend(vec![chunk >> 13 & 3; usize::from(chunk & 0x1fff)]),
            2 => symbols.extend((0..14).rev().map(|bit| chunk >> bit & 1)),
            _ => symbols.extend((0..7).rev().map(|pair| chunk >> (2 * pair) & 3)),
        }
    }
    assert!(symbols[total..].iter().all(|symbol| *symbol == 0));
    let mut time = reference * 64_000;
    let mut packets = Vec::new();
    for (offset, symbol) in symbols[..total].iter().enumerate() {
        let delta = match symbol {
            0 => None,
            1 => Some(i64::from(packet[at])),
            2 => Some(i64::from(be16(packet, at) as i16)),
            _ => panic!("reserved symbol"),
        };
        at += usize::from(*symbol);
        time += delta.unwrap_or(0) * 250;
        packets.push((base.wrapping_add(offset as u16), delta.map(|_| time)));
    }
    assert_eq!(at, end);
    Feedback {
        count: packet[16 + 3],
        base,
        packets,
    }
}

fn poll(receiver: &mut TwccReceiver, now: Instant) -> Vec<Feedback> {
    let mut feedbacks = Vec::new();
    loop {
        let mut out = Vec::new();
        if !receiver.poll_feedback(now, 11, 22, &mut out) {
            return feedbacks;
        }
        assert!(out.len() <= 1_200);
        assert_eq!(out[4..12], [0, 0, 0, 11, 0, 0, 0, 22]);
        feedbacks.push(read(&out));
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn feedback_is_due_100_ms_after_the_first_packet_and_only_once() {
    let (mut receiver, start) = (TwccReceiver::new(), Instant::now());
    assert_eq!(receiver.poll_timeout(), None);
    assert!(poll(&mut receiver, start).is_empty());
    for at in 0..5 {
        receiver.record(start + ms(at * 10), at as u16);
    }
    assert_eq!(receiver.poll_timeout(), Some(start + ms(100)));
    assert!(poll(&mut receiver, start + ms(99)).is_empty());
    let feedbacks = poll(&mut receiver, start + ms(100));
    assert_eq!(feedbacks.len(), 1);
    let right: Vec<_> = (0..5_u16)
        .map(|at| (at, Some(i64::from(at) * 10_000)))
        .collect();
    assert_eq!(feedbacks[0].packets, right);
    assert_eq!(receiver.poll_timeout(), None);
    receiver.record(start + ms(500), 5);
    assert_eq!(receiver.poll_timeout(), Some(start + ms(600)));
    let second = poll(&mut receiver, start + ms(600));
    assert_eq!((second[0].count, second[0].base), (1, 5));
}

#[test]
fn lost_packets_are_reported_across_the_wrap_and_between_feedbacks() {
    let (mut receiver, start) = (TwccReceiver::new(), Instant::now());
    receiver.record(start, 65_534);
    receiver.record(start + ms(1), 1);
    let first = poll(&mut receiver, start + ms(100));
    let arrived: Vec<_> = first[0]
        .packets
        .iter()
        .map(|packet| packet.1.is_some())
        .collect();
    assert_eq!(first[0].base, 65_534);
    assert_eq!(arrived, [true, false, false, true]);
    receiver.record(start + ms(150), 4);
    let second = poll(&mut receiver, start + ms(300));
    assert_eq!(
        second[0].packets,
        [(2, None), (3, None), (4, Some(150_000))]
    );
}

#[test]
fn late_packets_are_reported_alone_so_that_no_received_packet_seems_lost() {
    let (mut receiver, start) = (TwccReceiver::new(), Instant::now());
    for sequence in [10, 11, 14, 16] {
        receiver.record(start, sequence);
    }
    poll(&mut receiver, start + ms(100));
    for sequence in [12, 13, 15, 18] {
        receiver.record(start + ms(110), sequence);
    }
    let sequences: Vec<Vec<_>> = poll(&mut receiver, start + ms(300))
        .iter()
        .map(|feedback| {
            feedback
                .packets
                .iter()
                .map(|(sequence, at)| (*sequence, at.is_some()))
                .collect()
        })
        .collect();
    assert_eq!(
        sequences,
        [
            vec![(12, true), (13, true)],
            vec![(15, true)],
            vec![(17, false), (18, true)]
        ]
    );
}

#[test]
fn reordered_packets_have_negative_deltas() {
    let (mut receiver, start) = (TwccReceiver::new(), Instant::now());
    for (sequence, at) in [(1, 0), (3, 20), (2, 90), (4, 95)] {
        receiver.record(start + ms(at), sequence);
    }
    let feedback = &poll(&mut receiver, start + ms(100))[0];
    let right =
        [(1, 0), (2, 90), (3, 20), (4, 95)].map(|(sequence, at)| (sequence, Some(at * 1_000)));
    assert_eq!(feedback.packets, right);
}

#[test]
fn a_burst_is_reported_at_once_in_feedbacks_that_fit_into_datagrams() {
    let (mut receiver, start) = (TwccReceiver::new(), Instant::now());
    for sequence in 0..500 {
        receiver.record(start + ms(1), sequence);
    }
    assert_eq!(receiver.poll_timeout(), Some(start + ms(1)));
    let feedbacks = poll(&mut receiver, start + ms(1));
    let sequences: Vec<_> = feedbacks
        .iter()
        .flat_map(|feedback| feedback.packets.iter().map(|packet| packet.0))
        .collect();
    assert!(sequences.into_iter().eq(0..500));
}

#[test]
fn a_jump_restarts_instead_of_reporting_thousands_as_lost() {
    let (mut receiver, start) = (TwccReceiver::new(), Instant::now());
    for jump in [100_u16, 30_000, 20_000, 20_600] {
        receiver.record(start, jump);
        let feedbacks = poll(&mut receiver, start + ms(100));
        assert_eq!(feedbacks.len(), 1);
        assert_eq!(feedbacks[0].packets.len(), 1);
        assert_eq!(feedbacks[0].base, jump);
    }
}

#[test]
fn a_packet_after_a_long_silence_is_reported_with_its_time() {
    let (mut receiver, start) = (TwccReceiver::new(), Instant::now());
    receiver.record(start, 1);
    receiver.record(start + Duration::from_secs(20), 2);
    let times: Vec<_> = poll(&mut receiver, start + Duration::from_secs(21))
        .iter()
        .flat_map(|feedback| feedback.packets.clone())
        .collect();
    assert_eq!(times, [(1, Some(0)), (2, Some(20_000_000))]);
}

proptest! {
    #[test]
    fn every_packet_is_reported_once_with_its_time(
        first in any::<u16>(), steps in prop::collection::vec((1_u16..30, 0_u64..40_000), 1..400),
    ) {
        let (mut receiver, start) = (TwccReceiver::new(), Instant::now());
        let (mut sequence, mut at_us) = (first, 0);
        let (mut sent, mut reported) = (Vec::new(), Vec::new());
        for (step, pause_us) in steps {
            receiver.record(start + Duration::from_micros(at_us), sequence);
            sent.push((sequence, (at_us as i64) / 250 * 250));
            sequence = sequence.wrapping_add(step);
            at_us += pause_us;
            let now = start + Duration::from_micros(at_us);
            for feedback in poll(&mut receiver, now) {
                reported.extend(feedback.packets);
            }
        }
        for feedback in poll(&mut receiver, start + Duration::from_secs(60)) {
            reported.extend(feedback.packets);
        }
        let reported: Vec<_> = reported
            .into_iter()
            .filter_map(|(sequence, at)| at.map(|at| (sequence, at)))
            .collect();
        prop_assert_eq!(reported, sent);
    }

    #[test]
    fn any_order_of_sequence_numbers_keeps_memory_and_feedbacks_bounded(
        sequences in prop::collection::vec(any::<u16>(), 0..2_000),
    ) {
        let (mut receiver, start) = (TwccReceiver::new(), Instant::now());
        for (at, sequence) in sequences.into_iter().enumerate() {
            receiver.record(start + Duration::from_micros(at as u64), sequence);
            prop_assert!(receiver.arrivals.len() <= 2 * MAX_PACKETS);
        }
        poll(&mut receiver, start + ms(1_000));
        prop_assert!(receiver.arrivals.is_empty());
    }
}
