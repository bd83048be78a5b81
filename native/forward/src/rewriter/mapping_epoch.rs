//! A mapping epoch: the packets of one encoding from one start to the next.

use sealroute_rtp::FullSequence;

use super::dropped_sequences::DroppedSequences;
use super::{Input, PICTURE_ID_MASK, RewrittenHeader};
use crate::up_track::EncodingIndex;

/// A larger step could make a receiver miscount the rollovers of 16 bits. As a gap it would be
/// useless too.
const MAX_STEP: u64 = 0x1000;
const PICTURE_IDS: u64 = 0x8000;

/// Added to the values in an encoding's packets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offsets {
    pub(super) timestamp: u32,
    pub(super) picture: u16,
    pub(super) tl0: u8,
}

/// Maps the sequence numbers of an encoding to those of the outgoing SSRC.
#[derive(Clone, Debug)]
pub(super) struct MappingEpoch {
    encoding: EncodingIndex,
    pub(super) offsets: Offsets,
    from: FullSequence,
    dropped_before: u64,
    left_out_before: u64,
    sequence: u64,
    /// The newest sequence number of the encoding that was mapped or left out.
    pub(super) newest: Option<FullSequence>,
    /// Sequence numbers of the encoding that this receiver does not get: packets of higher layers.
    left_out: DroppedSequences,
    pictures: DroppedPictures,
}

impl MappingEpoch {
    /// `sequence`: the sequence number of the first packet.
    pub(super) fn new(input: &Input<'_>, sequence: u64, offsets: Offsets) -> Self {
        Self {
            encoding: input.encoding,
            offsets,
            from: input.sequence,
            dropped_before: input.dropped.before(input.sequence),
            left_out_before: 0,
            sequence,
            newest: None,
            left_out: DroppedSequences::default(),
            pictures: DroppedPictures::default(),
        }
    }

    /// The rewritten header of a packet; `None` if it precedes the start. `last`: the last assigned
    /// sequence number.
    #[inline]
    pub(super) fn map(&mut self, input: &Input<'_>, last: Option<u64>) -> Option<RewrittenHeader> {
        let mut sequence = self.sequence_of(input)?;
        if let Some(last) = last
            && sequence > last + MAX_STEP
        {
            self.from = input.sequence;
            self.dropped_before = input.dropped.before(input.sequence);
            self.left_out_before = self.left_out.before(input.sequence);
            self.sequence = last + 1;
            sequence = self.sequence;
        }
        self.newest = self.newest.max(Some(input.sequence));
        Some(self.rewrite(input, sequence))
    }

    /// `map` for an epoch that ended with the sequence number `end`: only gaps are filled, because
    /// later numbers belong to another epoch.
    pub(super) fn map_late(&mut self, input: &Input<'_>, end: u64) -> Option<RewrittenHeader> {
        if !self.counts(input) {
            return None;
        }
        let sequence = self.sequence_of(input).filter(|&sequence| sequence < end)?;
        Some(self.rewrite(input, sequence))
    }

    /// Whether a sequence number was assigned in this epoch or a later one.
    pub(super) fn gave(&self, sequence: u64) -> bool {
        sequence >= self.sequence
    }

    /// Whether the packet belongs to the epoch's encoding and does not precede its start.
    pub(super) fn counts(&self, input: &Input<'_>) -> bool {
        self.encoding == input.encoding && input.sequence >= self.from
    }

    #[inline]
    fn sequence_of(&self, input: &Input<'_>) -> Option<u64> {
        if input.sequence < self.from {
            return None;
        }
        let skipped = input.dropped.before(input.sequence) - self.dropped_before;
        let counted = self.sequence + (input.sequence.0 - self.from.0) - skipped;
        if self.left_out.is_empty() {
            return Some(counted);
        }
        let left_out = self.left_out.before(input.sequence);
        let is_left_out = self.left_out.covers(input.sequence);
        (!is_left_out).then(|| counted - (left_out - self.left_out_before))
    }

    #[inline]
    fn rewrite(&mut self, input: &Input<'_>, sequence: u64) -> RewrittenHeader {
        let mut picture_offset = self.offsets.picture;
        if let Some((id, true)) = input.vp8.and_then(|vp8| vp8.picture_id) {
            picture_offset = picture_offset.wrapping_sub(self.pictures.left_out_before(id));
        }
        RewrittenHeader {
            sequence,
            timestamp: input.timestamp.wrapping_add(self.offsets.timestamp),
            picture_offset,
            tl0_offset: self.offsets.tl0,
            ends_frame: false,
            is_padding: false,
        }
    }

    /// Leaves a packet and its picture out of the count. `false`: its sequence number is already
    /// assigned, because a later packet was sent.
    pub(super) fn leave_out(&mut self, input: &Input<'_>) -> bool {
        if self.newest.is_some_and(|newest| input.sequence <= newest) {
            return self.left_out.covers(input.sequence);
        }
        self.newest = Some(input.sequence);
        self.left_out.push(input.sequence);
        if let Some((id, true)) = input.vp8.and_then(|vp8| vp8.picture_id) {
            self.pictures.leave_out(self.pictures.unwrap(id));
        }
        true
    }
}

/// VP8 pictures that a down track does not forward. Receivers count picture ids, so the ids close
/// up.
#[derive(Clone, Debug, Default)]
struct DroppedPictures {
    newest: Option<FullSequence>,
    left_out: DroppedSequences,
}

impl DroppedPictures {
    /// The unwrapped number of a 15-bit id, near the newest one.
    fn unwrap(&self, id: u16) -> FullSequence {
        let Some(newest) = self.newest else {
            // Leaves room for late packets below.
            return FullSequence(u64::from(id) + PICTURE_IDS);
        };
        let ahead = i64::from(id.wrapping_sub(newest.0 as u16) & PICTURE_ID_MASK);
        let ahead = if ahead >= PICTURE_IDS as i64 / 2 {
            ahead - PICTURE_IDS as i64
        } else {
            ahead
        };
        FullSequence(newest.0.saturating_add_signed(ahead))
    }

    fn see(&mut self, picture: FullSequence) {
        self.newest = self.newest.max(Some(picture));
    }

    fn leave_out(&mut self, picture: FullSequence) {
        if self.newest.is_none_or(|newest| picture > newest) {
            self.left_out.push(picture);
        }
        self.see(picture);
    }

    /// How many pictures were left out before this one. Pictures before the first one that was left
    /// out are not tracked.
    fn left_out_before(&mut self, id: u16) -> u16 {
        if self.left_out.is_empty() {
            return 0;
        }
        let picture = self.unwrap(id);
        self.see(picture);
        self.left_out.before(picture) as u16
    }
}
