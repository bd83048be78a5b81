//! Sequence numbers (RFC 3550 appendix A.1): 16 bits on the wire, and unwrapped.

/// A 16-bit sequence number as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence(pub u16);

impl Sequence {
    /// How far `self` is ahead of `earlier`, modulo wrap-around; negative when it is behind.
    pub fn distance_from(self, earlier: Self) -> i32 {
        i32::from(self.0.wrapping_sub(earlier.0) as i16)
    }
}

/// An unwrapped sequence number: rollovers in the upper bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FullSequence(pub u64);

impl FullSequence {
    /// The 16 bits for the wire.
    pub fn truncated(self) -> Sequence {
        Sequence(self.0 as u16)
    }
}

/// Unwraps the sequence numbers of one RtpStream.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceUnwrapper {
    highest: Option<u64>,
}

impl SequenceUnwrapper {
    /// The unwrapped number nearest to the highest one so far. The first number starts one rollover
    /// in, to leave room for earlier packets.
    pub fn unwrap(&mut self, sequence: Sequence) -> FullSequence {
        let Some(highest) = self.highest else {
            let first = 0x1_0000 + u64::from(sequence.0);
            self.highest = Some(first);
            return FullSequence(first);
        };
        let ahead = sequence.distance_from(Sequence(highest as u16));
        let full = highest.saturating_add_signed(i64::from(ahead));
        self.highest = Some(highest.max(full));
        FullSequence(full)
    }

    /// The highest number so far.
    pub fn highest(&self) -> Option<FullSequence> {
        self.highest.map(FullSequence)
    }
}
