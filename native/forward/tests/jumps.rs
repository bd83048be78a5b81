//! Jumps of sequence numbers and timestamps, by every offset.
//!
//! SRTP refuses jumps back beyond the replay window, so they never arrive here. They must be
//! harmless all the same.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{Codec, PayloadAccess};
use std::time::Duration;
use support::wire::{encrypted, rtp};
use support::*;

const FRAME: Duration = Duration::from_millis(20);
const SAMPLES: u32 = 960;
const MOST_ASKED_AT_ONCE: usize = 512;

fn playing() -> Session {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Opus));
    for number in 0..3 {
        session.rtp(&voice(number, u32::from(number) * SAMPLES));
    }
    session.out.clear();
    session
}

fn voice(sequence: u16, timestamp: u32) -> Vec<u8> {
    rtp(sequence, timestamp, &encrypted(b"voice")).bytes()
}

#[test]
fn a_stream_goes_on_with_its_next_packet_after_any_jump_ahead() {
    for offset in 1..=0x7FFF_u16 {
        let mut session = playing();
        session.now += FRAME;
        let first = 2 + offset;
        for number in [first, first.wrapping_add(1)] {
            session.rtp(&voice(number, u32::from(number) * SAMPLES));
        }
        assert_eq!(
            session.out.stream(DOWNLINK, DOWN_TRACK_SSRC).len(),
            2,
            "{offset}"
        );
        let asked = session.out.asked(UPLINK, SSRC).len();
        assert!(asked <= MOST_ASKED_AT_ONCE, "{offset}: {asked}");
    }
}

#[test]
fn what_jumps_back_is_dropped_by_name_and_the_stream_goes_on() {
    for offset in 0x8000..=0xFFFF_u16 {
        let mut session = playing();
        session.now += FRAME;
        session.rtp(&voice(2_u16.wrapping_add(offset), 0));
        session.rtp(&voice(3, 3 * SAMPLES));
        let sent = session.out.stream(DOWNLINK, DOWN_TRACK_SSRC).len();
        let dropped = session.dropped("too_late") + session.dropped("duplicate");
        assert_eq!(sent as u64 + dropped, 2, "{offset}");
        assert!(sent >= 1, "{offset}");
        let asked = session.out.asked(UPLINK, SSRC).len();
        assert!(asked <= MOST_ASKED_AT_ONCE, "{offset}: {asked}");
    }
}

#[test]
fn a_stream_goes_on_with_its_next_packet_after_any_jump_of_its_clock() {
    for step in 0..=0xFFFF_u32 {
        let mut session = playing();
        session.now += FRAME;
        let jumped = step * 0x1_0001;
        session.rtp(&voice(3, jumped));
        session.rtp(&voice(4, jumped.wrapping_add(SAMPLES)));
        let times: Vec<u32> = session
            .out
            .stream(DOWNLINK, DOWN_TRACK_SSRC)
            .iter()
            .map(|sent| sent.packet().timestamp())
            .collect();
        assert_eq!(times.len(), 2, "{step}");
        assert_eq!(times[1].wrapping_sub(times[0]), SAMPLES, "{step}");
    }
}
