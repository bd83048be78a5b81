//! Packets of one m-line to frames that may be played, in order.

use std::time::Duration;

use sealroute_e2ee::Codec;
use sealroute_media::{Assembler, Frame, Piece};

/// How often a key frame is asked for, of one that cannot be decoded without.
const ASK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Assembly {
    assembler: Assembler,
    skipped: u64,
    /// Nothing that is not a key frame can be decoded.
    needs_key_frame: bool,
    asked: Option<Duration>,
}

impl Assembly {
    pub(crate) fn new(codec: Codec) -> Self {
        Self {
            assembler: Assembler::new(codec),
            skipped: 0,
            needs_key_frame: codec != Codec::Opus,
            asked: None,
        }
    }

    pub(crate) fn codec(&self) -> Codec {
        self.assembler.codec()
    }

    pub(crate) fn push(&mut self, piece: Piece) {
        self.assembler.push(piece);
    }

    pub(crate) fn next_frame(&mut self, now: Duration) -> Option<Frame> {
        let frame = self.assembler.next_frame(now);
        if std::mem::replace(&mut self.skipped, self.assembler.skipped()) != self.skipped {
            self.lose();
        }
        frame
    }

    /// A frame did not open, or was dropped: what refers to it cannot be decoded.
    pub(crate) fn lose(&mut self) {
        self.needs_key_frame = self.codec() != Codec::Opus;
    }

    /// Whether an opened frame is of use to a decoder.
    pub(crate) fn lets_through(&mut self, is_key_frame: bool) -> bool {
        self.needs_key_frame &= !is_key_frame;
        !self.needs_key_frame
    }

    pub(crate) fn takes_key_frame_request(&mut self, now: Duration) -> bool {
        let is_recent = self.asked.is_some_and(|asked| now < asked + ASK_EVERY);
        let is_stuck = self.assembler.takes_key_frame_request(now) || self.needs_key_frame;
        if is_recent || !is_stuck {
            return false;
        }
        self.asked = Some(now);
        true
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.assembler.deadline()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sealroute_e2ee::Codec;

    use super::Assembly;

    #[test]
    fn after_a_loss_only_a_key_frame_goes_through_and_it_is_asked_for_once_a_second() {
        let mut assembly = Assembly::new(Codec::Vp8);
        assert!(!assembly.lets_through(false));
        assert!(assembly.lets_through(true));
        assert!(assembly.lets_through(false));
        assembly.lose();
        assert!(!assembly.lets_through(false));
        let s = Duration::from_millis;
        let asked = [0, 999, 1_000].map(|at| assembly.takes_key_frame_request(s(at)));
        assert_eq!(asked, [true, false, true]);
        let mut audio = Assembly::new(Codec::Opus);
        audio.lose();
        assert!(audio.lets_through(true) && audio.lets_through(false));
    }
}
