//! Video in packets that carry their own sequence number, for tests of loss.

use super::wire::{Rtp, rtp, vp8, vp8_continuation};
use super::{Session, up_track};
use sealroute_forward::{Codec, PayloadAccess};
use std::time::Duration;

pub const MILLISECOND: Duration = Duration::from_millis(1);

/// One packet of five to a frame; the first frame is a key frame.
pub fn media(number: u16) -> Rtp {
    let body = [number.to_be_bytes().as_slice(), &[0x5A; 600]].concat();
    let payload = if number.is_multiple_of(5) {
        vp8(number == 0, number / 5, &body)
    } else {
        vp8_continuation(number / 5, &body)
    };
    rtp(number, u32::from(number / 5) * 3_000, &payload)
}

/// A subscribed video whose first packet has passed.
pub fn playing() -> Session {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8));
    session.rtp(&media(0).bytes());
    session.out.clear();
    session
}
