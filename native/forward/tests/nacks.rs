//! What publishers are asked to send again.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{Codec, PayloadAccess};
use std::time::Duration;
use support::numbered_video::{MILLISECOND, media, playing};
use support::wire::rtp;
use support::*;

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
