//! Packet indices: the estimate of the rollover counter, and the replay list.

/// The index of a sequence number closest to the highest one received (RFC 3711, appendix A). A
/// rollover counter of 0 is never decremented: such a sequence number lies ahead.
pub(super) fn estimate(highest: u64, sequence: u16) -> u64 {
    let counter = highest >> 16;
    let seen = i32::from(highest as u16);
    let ahead = i32::from(sequence) - seen;
    let counter = if seen < 0x8000 && ahead > 0x8000 {
        counter.saturating_sub(1)
    } else if seen >= 0x8000 && ahead < -0x8000 {
        counter + 1
    } else {
        counter
    };
    counter << 16 | u64::from(sequence)
}

/// Replay list of the last `64 * WORDS` indices (RFC 3711, section 3.3.2).
#[derive(Clone)]
pub(super) struct SeenIndices<const WORDS: usize> {
    highest: u64,
    /// Bit `index % (64 * WORDS)`.
    bits: [u64; WORDS],
}

impl<const WORDS: usize> SeenIndices<WORDS> {
    const SIZE: u64 = 64 * WORDS as u64;

    /// A list that contains only `index`.
    pub(super) fn starting_with(index: u64) -> Self {
        let mut seen = Self {
            highest: index,
            bits: [0; WORDS],
        };
        seen.set(index, true);
        seen
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether `index` is neither in the list nor older than its window.
    pub(super) fn is_new(&self, index: u64) -> bool {
        if index > self.highest {
            return true;
        }
        let (word, bit) = Self::place(index);
        self.highest - index < Self::SIZE && self.bits[word] & bit == 0
    }

    /// Adds an index that is new.
    pub(super) fn add(&mut self, index: u64) {
        if index > self.highest {
            if index - self.highest >= Self::SIZE {
                self.bits = [0; WORDS];
            } else {
                (self.highest + 1..index).for_each(|skipped| self.set(skipped, false));
            }
            self.highest = index;
        }
        self.set(index, true);
    }

    fn place(index: u64) -> (usize, u64) {
        let slot = index % Self::SIZE;
        ((slot / 64) as usize, 1 << (slot % 64))
    }

    fn set(&mut self, index: u64, seen: bool) {
        let (word, bit) = Self::place(index);
        if seen {
            self.bits[word] |= bit;
        } else {
            self.bits[word] &= !bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn the_rollover_counter_follows_wraps_in_both_directions() {
        for (highest, sequence, right) in [
            (0xffff, 0, 0x1_0000),
            (0x1_0000, 0xffff, 0xffff),
            (0x1_0005, 0x7fff, 0x1_7fff),
            (0x1_8000, 0x0001, 0x1_0001),
            (0x1_9000, 0x0fff, 0x2_0fff),
            (0x1_7fff, 0xffff, 0x1_ffff),
            (0x1_7ffe, 0xffff, 0xffff),
            (0x0005, 0xfff0, 0xfff0),
        ] {
            assert_eq!(
                estimate(highest, sequence),
                right,
                "{highest:x} {sequence:x}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_estimate_is_right_within_half_the_sequence_space(
            highest in 0x1_0000_u64..1 << 47, offset in -0x7fff_i64..0x8000,
        ) {
            let index = highest.wrapping_add_signed(offset);
            prop_assert_eq!(estimate(highest, index as u16), index);
        }

        #[test]
        fn an_index_is_new_once_and_never_after_the_window_passed_it(
            first in 0_u64..10_000, steps in prop::collection::vec(-200_i64..200, 0..400),
        ) {
            let mut seen = SeenIndices::<2>::starting_with(first);
            let mut model = HashSet::from([first]);
            let mut highest = first;
            for step in steps {
                let Some(index) = highest.checked_add_signed(step) else { continue };
                let fresh = !model.contains(&index) && index + 128 > highest;
                prop_assert_eq!(seen.is_new(index), fresh);
                if fresh {
                    seen.add(index);
                    model.insert(index);
                    highest = highest.max(index);
                }
                prop_assert_eq!(seen.highest(), highest);
            }
        }
    }
}
